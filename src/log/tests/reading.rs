//! Places in a log, found by offsets.

use super::*;

/// Every offset is found in the very batch that holds it, in a gap the next one behind, across
/// segments; a place stays good when segments come and go.
#[test]
fn every_offset_is_located_exactly() {
    let (disk, batches) = (MemoryDisk::default(), batches(Traffic::Compacted));
    let options = LogOptions {
        segment_bytes: 600,
        index_interval_bytes: 200,
        ..OPTIONS
    };
    let known = known(Offset::ZERO, false);
    let opened = open(disk.clone(), &dir(), options, known, WALL).expect("nothing is there");
    let Opened {
        mut log, mut store, ..
    } = opened;
    for batch in &batches {
        append(&mut log, &mut store, batch).expect("nothing is in its way");
    }
    let end = store.close(&mut log, WALL).expect("nothing is in its way");
    let mut reader = Reader::open(disk.clone(), &dir()).expect("it is there");
    let mut holders = Vec::new();
    for batch in &batches {
        let run = check(batch, Expect::first()).run;
        let batch = run.batches().next().expect("one");
        holders.push((batch.last_offset(), batch.bytes().to_vec()));
    }
    for offset in (0..end.value()).map(Offset::new) {
        let (_, bytes) = holders
            .iter()
            .find(|(last, _)| *last >= offset)
            .expect("below the end");
        let place = reader.locate(offset).expect("sound");
        let mut found = vec![0; bytes.len()];
        assert_eq!(reader.read(place, &mut found).expect("there"), found.len());
        assert_eq!(found, *bytes, "{offset}");
    }
    let behind = reader.locate(end).expect("sound");
    assert_eq!(reader.read(behind, &mut [0; 8]).expect("there"), 0);
    assert_eq!(reader.next_segment(behind), None);

    // The first segment goes: what was found behind it is still there.
    let second = holders.last().expect("some").0;
    let place = reader.locate(second).expect("sound");
    let mut before = vec![0; 61];
    reader.read(place, &mut before).expect("there");
    let mut logs = disk.paths();
    logs.retain(|path| path.extension().is_some_and(|end| end == "log"));
    logs.sort();
    assert!(logs.len() > 2, "{logs:?}");
    crate::io::Disk::remove_file(&disk, &logs[0]).expect("there");
    reader.look().expect("there");
    let mut after = vec![0; 61];
    reader.read(place, &mut after).expect("there");
    assert_eq!(before, after);
}

#[test]
fn damage_on_the_way_to_an_offset_is_told() {
    let (disk, batches) = (MemoryDisk::default(), batches(Traffic::Plain));
    worked(&disk, &batches);
    let first = dir().join("00000000000000000000.log");
    let mut bytes = disk.bytes(&first).expect("there");
    bytes[8] ^= 0x80;
    disk.put(&first, &bytes);
    let mut reader = Reader::open(disk, &dir()).expect("it is there");
    let last = next_offset(&batches[0]);
    assert!(matches!(reader.locate(last), Err(LogFault::Damaged { .. })));
}
