//! What was set aside comes to what lies there: batches, records, producers and transactions, told
//! beside the files, however damaged they are and wherever the copying ends.

use super::*;
use crate::io::Disk;
use crate::model::{LeaderEpoch, ProducerEpoch, ProducerId, SetAside, Written, WrittenBy};
use crate::record::{Marker, Producer};

fn cut_at() -> Offset {
    Offset::new(10)
}

fn into() -> PathBuf {
    PathBuf::from("/vault.aside")
}

/// Batches of a log, one behind the other.
#[derive(Default)]
struct Writing {
    end: Offset,
    batches: Vec<Vec<u8>>,
}

impl Writing {
    fn put(&mut self, batch: Vec<u8>) {
        self.end = next_offset(&batch);
        self.batches.push(batch);
    }

    /// Records of a producer: its id, its epoch, and its first sequence number.
    fn data(&mut self, records: u32, producer: Option<(i64, i16, i32)>, is_transactional: bool) {
        let mut batch = BatchBuilder::new(self.end, LeaderEpoch::new(0), 1_000);
        if let Some((id, epoch, base_sequence)) = producer {
            batch = batch.producer(Producer {
                id: ProducerId::from_wire(id).expect("it is one"),
                epoch: ProducerEpoch::new(epoch),
                base_sequence,
            });
        }
        if is_transactional {
            batch = batch.transactional();
        }
        for _ in 0..records {
            batch.push(None, Some(&[7; 40]), &[]);
        }
        self.put(batch.finish());
    }

    fn marker(&mut self, id: i64, commits: bool) {
        let marker = Marker {
            offset: self.end,
            leader_epoch: LeaderEpoch::new(0),
            timestamp: 1_000,
            producer_id: ProducerId::from_wire(id).expect("it is one"),
            producer_epoch: ProducerEpoch::new(0),
            coordinator_epoch: 0,
            commits,
        };
        self.put(marker.batch());
    }

    /// So much of the batches from this one on.
    fn sum(&self, batches: std::ops::Range<usize>, records: u64) -> Written {
        let bytes = self.batches[batches.clone()].iter().map(Vec::len);
        Written {
            batches: batches.len() as u64,
            records,
            bytes: bytes.sum::<usize>() as u64,
        }
    }
}

/// Up to [`cut_at`] a transaction is open and another has ended.
fn written() -> Writing {
    let mut log = Writing::default();
    log.data(4, Some((5, 0, 0)), true);
    log.data(5, Some((8, 0, 0)), true);
    log.marker(8, true);
    assert_eq!(log.end, cut_at());
    log.data(3, None, false);
    log.data(2, Some((7, 0, 30)), false);
    log.data(1, Some((7, 1, 0)), false);
    log.data(6, Some((8, 0, 5)), true);
    log.data(1, Some((8, 0, 11)), true);
    log.marker(8, true);
    log.marker(5, false);
    log.data(2, Some((9, 3, 0)), true);
    log
}

fn aside_of(disk: &MemoryDisk, to: Offset) -> SetAside {
    let aside = set_aside(disk, &dir(), to, &into(), WALL).expect("works");
    aside.expect("something goes")
}

fn noted(disk: &MemoryDisk, aside: &str) -> SetAside {
    let file = Path::new(aside).join(SetAside::FILE);
    let bytes = disk.bytes(&file).expect("it is beside the files");
    SetAside::read(&bytes).expect("it is whole")
}

#[test]
fn each_producer_and_transaction_is_counted() {
    let log = written();
    let disk = MemoryDisk::default();
    worked(&disk, &log.batches);
    let by = |producer_id, epochs: (i16, i16), offsets: (i64, i64), sequences: (i32, i32)| {
        let (first_epoch, last_epoch) = epochs;
        let (first_offset, last_offset) = offsets;
        let (first_sequence, last_sequence) = sequences;
        WrittenBy {
            producer_id,
            first_epoch,
            last_epoch,
            first_offset,
            last_offset,
            first_sequence,
            last_sequence,
            ..WrittenBy::default()
        }
    };
    let expected = SetAside {
        topic: "t".to_owned(),
        topic_id: Some(TopicId::new([7; 16]).to_string()),
        timestamp: WALL.0,
        from: 10,
        to: log.end.value(),
        all: log.sum(3..11, 17),
        committed_transactions: 1,
        aborted_transactions: 1,
        open_transactions: 1,
        control: log.sum(8..10, 2),
        without_producer: log.sum(3..4, 3),
        producers: vec![
            WrittenBy {
                written: log.sum(4..6, 3),
                ..by(7, (0, 1), (13, 15), (30, 0))
            },
            WrittenBy {
                written: log.sum(6..8, 7),
                ..by(8, (0, 0), (16, 22), (5, 11))
            },
            WrittenBy {
                written: log.sum(10..11, 2),
                open_from: Some(25),
                ..by(9, (3, 3), (25, 26), (0, 1))
            },
        ],
        ..SetAside::default()
    };
    let aside = aside_of(&disk, cut_at());
    assert_eq!(aside.path, "/vault.aside/t-0.from-10");
    assert_eq!(noted(&disk, &aside.path), expected);
    let said = aside.to_string();
    let words = "offsets 10 up to 27, 17 records in 8 batches, 2 control batches included, of \
                 producers 7, 8, 9; it lies in /vault.aside/t-0.from-10";
    assert_eq!(said, words);
    assert_eq!(
        SetAside {
            path: String::new(),
            ..aside
        },
        expected
    );
}

#[test]
fn so_many_producers_are_listed_and_the_others_counted() {
    let mut log = Writing::default();
    let most = i64::try_from(SetAside::PRODUCERS_MAX).expect("small");
    for id in (0..most + 9).chain([0, most]) {
        log.data(2, Some((id, 0, 0)), true);
    }
    let disk = MemoryDisk::default();
    worked(&disk, &log.batches);
    let aside = aside_of(&disk, Offset::new(2));
    let listed: Vec<i64> = aside.producers.iter().map(|one| one.producer_id).collect();
    assert_eq!(listed[..2], [1, 2]);
    assert_eq!(listed.len(), SetAside::PRODUCERS_MAX);
    assert_eq!(aside.open_transactions, 32, "of those that are listed");
    // Those behind the ones listed, and the first one, which comes too late.
    assert_eq!(aside.further_producers.batches, 8 + 1);
    assert_eq!(aside.producers[31].written.batches, 2);
    let of_all = aside.producers.iter().map(|one| one.written.records);
    let of_all = of_all.sum::<u64>() + aside.further_producers.records;
    assert_eq!((of_all, aside.all.records), (84, 84));
    assert!(aside.to_string().contains(" and more;"), "{aside}");
}

#[test]
fn what_cannot_be_read_is_counted_in_bytes() {
    let log = written();
    let disk = MemoryDisk::default();
    worked(&disk, &log.batches);
    let path = layout::path(&dir(), Offset::ZERO, layout::LOG);
    let bytes = disk.bytes(&path).expect("one segment has it all");
    let last = log.batches[10].len();
    let torn = bytes[..bytes.len() - 1].to_vec();
    let mut flipped = bytes.clone();
    *flipped.last_mut().expect("it has bytes") ^= 1;
    for (damaged, unreadable) in [(torn, last - 1), (flipped, last)] {
        disk.put(&path, &damaged);
        let aside = aside_of(&disk, cut_at());
        assert_eq!(aside.unreadable_bytes, unreadable as u64);
        assert_eq!((aside.to, aside.all), (25, log.sum(3..10, 15)));
    }
    // Nothing of it can be read.
    let place: usize = log.batches[..3].iter().map(Vec::len).sum();
    let mut senseless = bytes.clone();
    senseless[place..].fill(0xff);
    disk.put(&path, &senseless);
    let aside = aside_of(&disk, cut_at());
    assert_eq!((aside.from, aside.to), (10, 10));
    assert_eq!(aside.unreadable_bytes, (bytes.len() - place) as u64);
}

/// What has its name is whole, and says what it is.
#[test]
fn it_is_told_wherever_setting_aside_is_killed() {
    let batches = batches(Traffic::Transactions);
    let whole = MemoryDisk::default();
    let end = worked(&whole, &batches);
    let to = Offset::new(end.value() / 2);
    let disk = whole.after_kill();
    let expected = noted(&disk, &aside_of(&disk, to).path);
    assert_eq!(expected.to, end.value());
    let mut told = 0;
    for after in 0..disk.changes() {
        let disk = whole.after_kill();
        disk.kill_after(after);
        drop(set_aside(&disk, &dir(), to, &into(), WALL));
        let mut prng = Prng::new(after as u64);
        let chance = || u32::try_from(prng.below(1 << 20)).expect("small");
        for left in [disk.after_kill(), disk.after_power_loss(chance)] {
            let names = left.list(&into()).unwrap_or_default();
            let names = names
                .iter()
                .filter(|entry| !entry.name.ends_with("unfinished"));
            for entry in names {
                let path = into().join(&entry.name).display().to_string();
                assert_eq!(noted(&left, &path), expected, "after {after}");
                told += 1;
            }
        }
    }
    assert!(told > 0, "it is never whole before its end");
}
