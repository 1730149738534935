//! What lies in files that were set aside: whose, how much, and how its transactions end.

use std::path::Path;

use crate::io::{Disk, File, Open};
use crate::log::fact::BatchFact;
use crate::log::fault::{LogFault, at};
use crate::log::layout::{self, LOG};
use crate::log::walk::{Route, walk};
use crate::model::{LeaderEpoch, Offset, Position, SetAside, WrittenBy};
use crate::record::{Batch, Producer};

/// Counts the segments in `dir`, which were cut off from `from` on. They may hold anything.
pub(super) fn count<D: Disk>(disk: &D, dir: &Path, from: Offset) -> Result<SetAside, LogFault> {
    let mut told = SetAside {
        from: from.value(),
        to: from.value(),
        topic_id: layout::topic_id(disk, dir)?.map(|id| id.to_string()),
        ..SetAside::default()
    };
    let entries = disk.list(dir).map_err(at(dir))?;
    for base in layout::offsets(&entries, LOG) {
        let path = layout::path(dir, base, LOG);
        let file = disk.open(&path, Open::Read).map_err(at(&path))?;
        let route = Route {
            from: Position::ZERO,
            to: file.size().map_err(at(&path))?,
            next: base,
            epoch: LeaderEpoch::NONE,
        };
        let arrived = walk(&file, &path, route, |batch, _| {
            add(&mut told, batch);
            Ok(())
        })?;
        told.unreadable_bytes += route.to - arrived.position;
    }
    let open = told.producers.iter().filter(|one| one.open_from.is_some());
    told.open_transactions = open.count() as u64;
    Ok(told)
}

fn add(told: &mut SetAside, batch: &Batch<'_>) {
    let (records, bytes) = (batch.record_count(), batch.bytes().len());
    told.to = batch.next_offset().value();
    told.all.add(records, bytes);
    match batch.producer() {
        producer if batch.is_control() => {
            told.control.add(records, bytes);
            end(told, batch, producer);
        }
        None => told.without_producer.add(records, bytes),
        Some(producer) => match by(told, batch, producer) {
            Some(one) => go_on(one, batch, producer),
            None => told.further_producers.add(records, bytes),
        },
    }
}

/// A transaction ends, where the batch is a marker that can be read.
fn end(told: &mut SetAside, batch: &Batch<'_>, producer: Option<Producer>) {
    let marker = BatchFact::of(batch).ok().and_then(|fact| fact.marker);
    let Some((marker, producer)) = marker.zip(producer) else {
        return;
    };
    match marker.is_abort {
        true => told.aborted_transactions += 1,
        false => told.committed_transactions += 1,
    }
    let id = producer.id.value();
    let mut producers = told.producers.iter_mut();
    if let Some(one) = producers.find(|one| one.producer_id == id) {
        one.open_from = None;
    }
}

/// The producer's line, a new one where there is room for it.
fn by<'t>(
    told: &'t mut SetAside,
    batch: &Batch<'_>,
    producer: Producer,
) -> Option<&'t mut WrittenBy> {
    let id = producer.id.value();
    let known = told.producers.iter().position(|one| one.producer_id == id);
    if known.is_none() && told.producers.len() < SetAside::PRODUCERS_MAX {
        told.producers.push(WrittenBy {
            producer_id: id,
            first_epoch: producer.epoch.value(),
            first_offset: batch.base_offset().value(),
            first_sequence: producer.base_sequence,
            ..WrittenBy::default()
        });
        return told.producers.last_mut();
    }
    told.producers.get_mut(known?)
}

fn go_on(one: &mut WrittenBy, batch: &Batch<'_>, producer: Producer) {
    one.last_epoch = producer.epoch.value();
    one.last_offset = batch.last_offset().value();
    one.last_sequence = batch.last_sequence();
    one.written.add(batch.record_count(), batch.bytes().len());
    if batch.is_transactional() {
        one.open_from.get_or_insert(batch.base_offset().value());
    }
}
