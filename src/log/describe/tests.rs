//! Sound files are told as they are; no bytes whatever make it panic.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::io::memory::MemoryDisk;
use crate::log::{Beginning, LogOptions, Opened, Store, open};
use crate::model::{ProducerEpoch, TopicId, WallTime};
use crate::record::{BatchBuilder, Marker, Producer, check};

const DIR: &str = "/vault/t-0";
const WALL: WallTime = WallTime(2_000);

/// What is compared of a piece.
fn told(piece: &Piece<'_>) -> String {
    match piece {
        Piece::File(path, _) => name_of(path),
        Piece::Batch(batch, position) => format!("{batch:?} at {}", position.value()),
        other => format!("{other:?}"),
    }
}

fn all(disk: &MemoryDisk, path: &Path) -> Vec<String> {
    let mut pieces = Vec::new();
    describe(disk, path, &mut |piece| pieces.push(told(&piece))).expect("the disk works");
    pieces
}

fn is_wrong(told: &str) -> bool {
    ["NoBatch", "NotReadable", "Differs"]
        .iter()
        .any(|word| told.contains(word))
}

fn producer(id: i64) -> Producer {
    Producer {
        id: ProducerId::from_wire(id).expect("not negative"),
        epoch: ProducerEpoch::new(1),
        base_sequence: 0,
    }
}

fn data(base: i64, id: i64) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Offset::new(base), LeaderEpoch::new(3), 1_000 + base);
    if id >= 0 {
        batch = batch.producer(producer(id)).transactional();
    }
    batch.push(None, Some(&[7; 90]), &[]);
    batch.push(None, Some(&[8; 90]), &[]);
    batch.finish()
}

fn marker(base: i64, id: i64, commits: bool) -> Vec<u8> {
    let producer = producer(id);
    let marker = Marker {
        offset: Offset::new(base),
        leader_epoch: LeaderEpoch::new(3),
        timestamp: 1_000 + base,
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        coordinator_epoch: 9,
        commits,
    };
    marker.batch()
}

fn append(log: &mut crate::log::Log, store: &mut Store<MemoryDisk>, batch: &[u8]) {
    let expect = log.expects();
    let run = check(batch, expect).run;
    store.append(log, WALL, run).expect("there is room");
}

/// A partition of two segments with a gap, an index entry for each batch but the first, one
/// transaction committed, one aborted, and one open.
fn partition() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let options = LogOptions {
        segment_bytes: 1_000,
        segment_ms: i64::MAX,
        index_interval_bytes: 0,
        index_bytes_max: 1 << 20,
    };
    let known = Beginning::anew(TopicId::new([7; 16]));
    let Opened {
        mut log, mut store, ..
    } = open(disk.clone(), Path::new(DIR), options, known, WALL).expect("a new directory");
    let batches = [
        data(0, 4),
        data(2, 5),
        data(4, -1),
        marker(6, 4, true),
        data(10, 5),
        marker(12, 5, false),
        data(13, 6),
    ];
    for batch in &batches {
        append(&mut log, &mut store, batch);
    }
    store.close(&mut log, WALL).expect("synced");
    disk.put(&file(SOURCE_EPOCHS), b"0\n1\n9 0\n");
    disk.put(&file(CUT), b"0\n1\n13 20\n");
    disk
}

fn file(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

#[test]
fn a_partition_is_told_from_its_first_batch_to_its_open_transaction() {
    let pieces = all(&partition(), Path::new(DIR));
    assert!(!pieces.iter().any(|piece| is_wrong(piece)), "{pieces:#?}");
    let count = |word: &str| pieces.iter().filter(|piece| piece.contains(word)).count();
    assert_eq!(count("Batch("), 7);
    assert_eq!(count("Gap(Offset(7), Offset(10))"), 1);
    assert_eq!(
        count("OffsetEntry"),
        5,
        "each batch but the first of a segment"
    );
    assert_eq!(count("Aborted(Aborted"), 1);
    assert_eq!(count("Agrees"), count("Entry") + 1, "all are checked");
    assert_eq!(count("Epoch(LeaderEpoch(3), Offset(0))"), 1);
    assert_eq!(count("Epoch(LeaderEpoch(9), Offset(0))"), 1, "the source's");
    assert_eq!(count("13 20"), 1, "it was cut once");
    let outcomes = ["Committed", "outcome: Aborted", "Open"].map(count);
    assert_eq!(outcomes, [1, 1, 1]);
    let aborted = pieces
        .iter()
        .find(|piece| piece.contains("outcome: Aborted"));
    let aborted = aborted.expect("counted");
    for part in [
        "first: Some(Offset(2))",
        "last: Offset(12)",
        "batches: 2",
        "records: 4",
    ] {
        assert!(aborted.contains(part), "{aborted}");
    }
    // What stays open is told behind the last segment, before other files.
    let place = |word: &str| pieces.iter().position(|piece| piece.contains(word));
    assert!(place("outcome: Open") < place(EPOCHS), "{pieces:#?}");
}

#[test]
fn a_file_alone_is_told_with_the_segment_beside_it_or_without() {
    let disk = partition();
    let index = file("00000000000000000000.index");
    let pieces = all(&disk, &index);
    assert!(pieces.len() > 1 && pieces.iter().skip(1).all(|piece| piece.contains("Agrees")));
    disk.remove_file(&file("00000000000000000000.log"))
        .expect("there");
    let pieces = all(&disk, &index);
    assert!(pieces.len() > 1 && pieces.iter().skip(1).all(|piece| piece.contains("Unknown")));
}

#[test]
fn every_flipped_byte_of_an_index_contradicts_its_segment() {
    let disk = partition();
    for suffix in [INDEX, TIME_INDEX, TXN_INDEX] {
        let all_entries = disk.list(Path::new(DIR)).expect("there");
        for base in layout::offsets(&all_entries, suffix) {
            let path = layout::path(Path::new(DIR), base, suffix);
            let sound = disk.bytes(&path).expect("there");
            for at in 0..sound.len() {
                let may_differ = match suffix {
                    // Any offset of the batch that has the time will do.
                    TIME_INDEX => at % 12 == 11,
                    // Only the log before says where it began and what was stable.
                    TXN_INDEX => (10..18).contains(&(at % 34)) || at % 34 >= 26,
                    _ => false,
                };
                if may_differ {
                    continue;
                }
                let mut bytes = sound.clone();
                bytes[at] ^= 1;
                disk.put(&path, &bytes);
                let pieces = all(&disk, &path);
                let found = pieces.iter().any(|piece| is_wrong(piece));
                assert!(found, "byte {at} of {}: {pieces:#?}", path.display());
            }
            disk.put(&path, &sound);
        }
    }
}

#[test]
fn room_behind_the_entries_is_no_fault() {
    let disk = partition();
    let path = file("00000000000000000000.index");
    let mut bytes = disk.bytes(&path).expect("there");
    let entries = bytes.len() / OFFSET_ENTRY_BYTES;
    bytes.extend([0; 4096]);
    disk.put(&path, &bytes);
    let pieces = all(&disk, &path);
    assert_eq!(pieces.len(), 1 + entries + 1);
    assert_eq!(pieces.last().map(String::as_str), Some("Room(4096)"));
    disk.put(&path, &[0; 4096]);
    assert_eq!(all(&disk, &path)[1..], ["Room(4096)"]);
}

const OFFSET_ENTRY_BYTES: usize = 8;

/// Flips every byte of every file, one after the other, and cuts every file everywhere.
#[test]
fn no_flipped_byte_and_no_cut_makes_it_panic() {
    let disk = partition();
    for entry in disk.list(Path::new(DIR)).expect("there") {
        let path = file(&entry.name);
        let sound = disk.bytes(&path).expect("there");
        for at in 0..sound.len() {
            for bit in [1, 0x80] {
                let mut bytes = sound.clone();
                bytes[at] ^= bit;
                disk.put(&path, &bytes);
                all(&disk, Path::new(DIR));
            }
            disk.put(&path, &sound[..at]);
            all(&disk, Path::new(DIR));
        }
        disk.put(&path, &sound);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        which in 0usize..7,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        keep in 0usize..200,
    ) {
        let names = [
            "00000000000000000000.log",
            "00000000000000000000.index",
            "00000000000000000000.timeindex",
            "00000000000000000006.txnindex",
            "00000000000000000006.snapshot",
            EPOCHS,
            METADATA,
        ];
        let disk = partition();
        let path = file(names[which]);
        let mut mixed = disk.bytes(&path).unwrap_or_default();
        mixed.truncate(keep);
        mixed.extend(bytes);
        disk.put(&path, &mixed);
        all(&disk, Path::new(DIR));
        all(&disk, &path);
    }
}
