//! The batches of a segment's file from some place on, checked, without holding all of it.

use std::path::Path;

use crate::io::File;
use crate::model::{LeaderEpoch, Offset, Position};
use crate::record::{Batch, BatchFault, Expect, Rest, check};

use super::fault::{LogFault, at};
use super::large;

const WINDOW_BYTES: usize = 1 << 20;

/// Where a walk begins and what it has to find.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) from: Position,
    /// The file's size, or as much of it as is meant.
    pub(super) to: u64,
    /// No batch begins below.
    pub(super) next: Offset,
    /// No batch has an older epoch.
    pub(super) epoch: LeaderEpoch,
}

/// Where a walk ended.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    /// The place behind the last sound batch.
    pub(super) position: u64,
    /// The offset behind it.
    pub(super) next: Offset,
    /// Its epoch.
    pub(super) epoch: LeaderEpoch,
    /// Its base offset, where one was passed.
    pub(super) last_base: Option<Offset>,
    /// Why it went no further; `None` at the file's end.
    pub(super) obstacle: Option<Obstacle>,
    /// Bytes that were read.
    pub(super) bytes_read: u64,
}

/// What a walk can stumble over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Obstacle {
    #[error("the file ends within a batch")]
    Torn,
    #[error("{0}")]
    Fault(BatchFault),
    #[error("batches up to offset {0} are gone: there the next segment begins")]
    Lost(Offset),
}

impl Obstacle {
    /// A batch may be sound, but not where it lies.
    pub(super) fn is_between_batches(&self) -> bool {
        use BatchFault::{Epoch, Order};
        matches!(self, Obstacle::Fault(Order { .. } | Epoch { .. }))
    }
}

/// Shows each sound batch of the file called `name` with its place to `each`, in order.
pub(super) fn walk<F: File>(
    file: &F,
    name: &Path,
    route: Route,
    mut each: impl FnMut(&Batch<'_>, Position) -> Result<(), LogFault>,
) -> Result<Arrived, LogFault> {
    let mut here = Arrived {
        position: route.from.value(),
        next: route.next,
        epoch: route.epoch,
        last_base: None,
        obstacle: None,
        bytes_read: 0,
    };
    let mut window = Vec::new();
    let mut window_bytes = WINDOW_BYTES as u64;
    while here.position < route.to && here.obstacle.is_none() {
        let left = route.to - here.position;
        window.resize(
            usize::try_from(left.min(window_bytes)).unwrap_or(usize::MAX),
            0,
        );
        let read = file.read_at(&mut window, Position::new(here.position));
        let read = read.map_err(at(name))?;
        here.bytes_read += read as u64;
        let is_end = read as u64 == left || read < window.len();
        let checked = check(&window[..read], here.expect(route.to));
        let mut position = Position::new(here.position);
        for batch in checked.run.batches() {
            each(&batch, position)?;
            position = position.plus(batch.bytes().len() as u64);
            here.last_base = Some(batch.base_offset());
        }
        here.position = position.value();
        here.next = checked.run.next_offset();
        here.epoch = checked.run.last_epoch();
        window_bytes = WINDOW_BYTES as u64;
        match checked.rest {
            Rest::Fault(fault) => here.obstacle = Some(Obstacle::Fault(fault)),
            Rest::Short { need, .. } if !is_end => {
                let need = need.unwrap_or(0) as u64;
                here.obstacle = here.large(file, name, route.to, need)?;
                window_bytes = window_bytes.max(need);
            }
            Rest::Short { .. } => here.obstacle = Some(Obstacle::Torn),
            Rest::Nothing if is_end && here.position < route.to => {
                here.obstacle = Some(Obstacle::Torn);
            }
            Rest::Nothing => {}
        }
    }
    Ok(here)
}

impl Arrived {
    /// Why the batch of `need` bytes that has begun here is not to be read as a whole.
    fn large<F: File>(
        &self,
        file: &F,
        name: &Path,
        to: u64,
        need: u64,
    ) -> Result<Option<Obstacle>, LogFault> {
        if need > to - self.position {
            return Ok(Some(Obstacle::Torn));
        }
        let fault = large::fault(file, name, Position::new(self.position), need)?;
        Ok(fault.map(Obstacle::Fault))
    }

    fn expect(&self, file_bytes: u64) -> Expect {
        Expect {
            batch_bytes_max: usize::try_from(file_bytes).unwrap_or(usize::MAX),
            ..Expect::after(self.next, self.epoch)
        }
    }
}
