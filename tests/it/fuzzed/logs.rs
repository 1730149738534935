//! A partition's directory in any state: opened, appended to, closed, opened again.

use std::path::{Path, PathBuf};

use twinlog::log::{Beginning, Claims, Log, LogFault, LogOptions, Opened, Store, open, verify};
use twinlog::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId, WallTime};
use twinlog::record::{BatchBuilder, Expect, Marker, Producer, check, check_mut};

use super::bounded;
use super::disk::FlatDisk;
use super::input::{self, Input};

/// Where the partition lies.
pub(super) const DIR: &str = "/vault/t-0";

const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 3_000,
    segment_ms: i64::MAX,
    index_interval_bytes: 100,
    index_bytes_max: 1 << 20,
};
const WALL: WallTime = WallTime(2_000);
/// Names of files, entries of the directory, faults in words.
const BESIDE: u64 = 64 << 10;
const FILES_MAX: usize = 12;
const SUFFIXES: [&str; 6] = [
    "log",
    "index",
    "timeindex",
    "txnindex",
    "snapshot",
    "log.tmp",
];
const NAMED: [&str; 6] = [
    "leader-epoch-checkpoint",
    "partition.metadata",
    "leader-epoch-checkpoint.tmp",
    "source-leader-epoch-checkpoint",
    "led-leader-epoch-checkpoint",
    "digest-checkpoint",
];

fn known(durable: Offset, is_clean: bool) -> Beginning<'static> {
    Beginning {
        recovery_point: durable,
        is_clean,
        ..Beginning::anew(TopicId::new([7; 16]))
    }
}

/// Ten batches of one record, at offsets 0 to 9; a transaction among them, aborted.
pub(crate) fn ten_batches() -> Vec<u8> {
    let batch = |nth: i64| {
        let producer = Producer {
            id: ProducerId::from_wire(9).expect("not negative"),
            epoch: ProducerEpoch::new(0),
            base_sequence: i32::try_from(nth).expect("small"),
        };
        let epoch = LeaderEpoch::new(i32::from(nth >= 5));
        let mut batch = BatchBuilder::new(Offset::new(nth), epoch, 1_000 + nth);
        batch = batch.producer(producer);
        if nth == 4 {
            let marker = Marker {
                offset: Offset::new(nth),
                leader_epoch: epoch,
                timestamp: 1_000 + nth,
                producer_id: producer.id,
                producer_epoch: producer.epoch,
                coordinator_epoch: 1,
                commits: false,
            };
            return marker.batch();
        }
        if nth == 3 {
            batch = batch.transactional();
        }
        batch.push(None, Some(&[7; 60]), &[]);
        batch.finish()
    };
    (0..10).flat_map(batch).collect()
}

/// A log of ten batches, closed.
pub(super) fn sound() -> FlatDisk {
    thread_local! {
        static FILES: Vec<(PathBuf, Vec<u8>)> = written();
    }
    let disk = FlatDisk::default();
    FILES.with(|files| {
        for (path, bytes) in files {
            disk.put(path, bytes);
        }
    });
    disk
}

fn written() -> Vec<(PathBuf, Vec<u8>)> {
    let disk = FlatDisk::default();
    let opened = open(
        disk.clone(),
        Path::new(DIR),
        OPTIONS,
        known(Offset::ZERO, false),
        WALL,
    );
    let mut opened = opened.expect("an empty directory");
    append(&mut opened.log, &mut opened.store, &ten_batches());
    opened
        .store
        .close(&mut opened.log, WALL)
        .expect("there is room");
    disk.files()
}

/// Appends batches that continue the log, as many as do.
fn append(log: &mut Log, store: &mut Store<FlatDisk>, batches: &[u8]) {
    let expect = Expect {
        next: log.watermarks().log_end,
        may_begin_before: log.is_empty(),
        epoch: log.last_epoch(),
        batch_bytes_max: batches.len(),
    };
    store
        .append(log, WALL, check(batches, expect).run)
        .expect("there is room");
}

/// What lies beside the ten batches may be damaged: the batches were not, and are all there.
pub(super) fn opens_whole(disk: &FlatDisk, is_clean: bool) {
    let known = known(Offset::new(10), is_clean);
    let Opened {
        mut log, mut store, ..
    } = bounded(disk.size(), BESIDE, || {
        open(disk.clone(), Path::new(DIR), OPTIONS, known, WALL)
    })
    .unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(log.watermarks().log_end, Offset::new(10));
    store.close(&mut log, WALL).expect("there is room");
    assert_eq!(segment(disk), ten_batches());
}

/// A checkpoint of epochs that contradicts durable batches may be the one that is right: the log is
/// refused as it is, or ends where they part and is fetched again from there.
pub(super) fn opens_whole_or_cut(disk: &FlatDisk) {
    let start = |disk: &FlatDisk, refetchable| {
        let known = Beginning {
            refetchable,
            ..known(Offset::new(10), false)
        };
        open(disk.clone(), Path::new(DIR), OPTIONS, known, WALL)
    };
    let left = disk.copied();
    if start(&left, None).is_ok() {
        return opens_whole(disk, false);
    }
    assert_eq!(segment(&left), ten_batches(), "refused, and not touched");
    let opened = start(disk, Some(Offset::ZERO));
    let opened = opened.unwrap_or_else(|fault| panic!("{fault}"));
    assert!(opened.log.watermarks().log_end < Offset::new(10));
    assert!(ten_batches().starts_with(&segment(disk)));
}

fn segment(disk: &FlatDisk) -> Vec<u8> {
    let path = PathBuf::from(DIR).join(format!("{:020}.log", 0));
    disk.bytes(&path).unwrap_or_default()
}

/// A directory filled from the input. Where it opens, it takes batches, closes, and is the same
/// log when it is opened again; nothing that `verify` minds is left in it then.
pub(super) fn recovery(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let offset = |input: &mut Input<'_>| Offset::new(i64::from(input.byte()));
    let (log_start, durable) = (offset(&mut input), offset(&mut input));
    let beginning = Beginning {
        log_start,
        ..known(durable, flags & 1 == 1)
    };
    let disk = filled(&mut input);
    let dir = Path::new(DIR);
    let opened = bounded(disk.size(), BESIDE, || {
        open(disk.clone(), dir, OPTIONS, beginning, WALL)
    });
    let Ok(Opened {
        mut log, mut store, ..
    }) = opened
    else {
        return;
    };
    let marks = log.watermarks();
    marks.assert_invariants();
    if flags & 1 == 0 {
        assert!(marks.log_end >= durable, "what was durable is there");
    }
    if marks.log_end < Offset::new(1 << 40) {
        let batch = one_batch(marks.log_end, log.last_epoch());
        append(&mut log, &mut store, &batch);
        assert!(log.watermarks().log_end > marks.log_end);
    }
    let Ok(end) = store.close(&mut log, WALL) else {
        panic!("there is room");
    };
    let again = Beginning {
        recovery_point: end,
        is_clean: flags & 2 == 2,
        ..beginning
    };
    let reopened = open(disk.clone(), dir, OPTIONS, again, WALL);
    let reopened = reopened.unwrap_or_else(|fault| panic!("it was closed: {fault}"));
    assert_eq!(reopened.log.watermarks(), log.watermarks());
    assert_eq!(reopened.log.last_epoch(), log.last_epoch());
    drop(verified(&disk, end));
    is_led(reopened);
}

/// Whatever the file beside it says of the source's epochs, it can be led, and goes on with what is
/// the source's only where all of it is.
fn is_led(opened: Opened<FlatDisk>) {
    let Opened {
        mut log, mut store, ..
    } = opened;
    let stamp = log.last_epoch().max(LeaderEpoch::new(0));
    let led = store.lead(&mut log, stamp, None);
    led.unwrap_or_else(|fault| panic!("there is room: {fault}"));
    let end = log.watermarks().log_end;
    assert!(log.mirrored() <= end);
    if log.mirrored() < end || end >= Offset::new(1 << 40) {
        return;
    }
    let mut bytes = one_batch(end, log.source_epoch());
    let due = Expect::after(end, log.source_epoch());
    let (mut run, _) = check_mut(&mut bytes, due);
    let noted = store.note_source_epochs(&mut log, &run.as_run());
    noted.unwrap_or_else(|fault| panic!("there is room: {fault}"));
    run.stamp(stamp);
    let appended = store.append(&mut log, WALL, run.as_run());
    appended.unwrap_or_else(|fault| panic!("there is room: {fault}"));
    assert!(log.mirrored() > end && log.last_epoch() == stamp);
}

fn verified(disk: &FlatDisk, end: Offset) -> Result<usize, LogFault> {
    let claims = Claims {
        log_start: None,
        topic_id: TopicId::new([7; 16]),
        durable: end,
        is_clean: true,
    };
    let verified = verify(disk, Path::new(DIR), claims)?;
    Ok(verified.findings.len())
}

fn one_batch(at: Offset, epoch: LeaderEpoch) -> Vec<u8> {
    let mut batch = BatchBuilder::new(at, epoch.max(LeaderEpoch::new(0)), 1_500);
    batch.push(None, Some(&[1; 10]), &[]);
    batch.finish()
}

/// Files with names that a partition's directory can have.
fn filled(input: &mut Input<'_>) -> FlatDisk {
    let disk = FlatDisk::default();
    let dir = Path::new(DIR);
    disk.put_dir(dir);
    for _ in 0..FILES_MAX {
        if input.is_empty() {
            break;
        }
        let kind = usize::from(input.byte());
        let how = input.byte();
        let base = match how & 0x80 {
            0 => i64::from(input.byte()),
            _ => input.i64() & i64::MAX,
        };
        let bytes = usize::from(input.u16());
        let bytes = input.take(bytes);
        let kind = kind % (SUFFIXES.len() + NAMED.len());
        match SUFFIXES.get(kind) {
            Some(suffix) => {
                let path = dir.join(format!("{base:020}.{suffix}"));
                disk.put(&path, &content(suffix, how & 0x7f, bytes));
            }
            None => disk.put(&dir.join(NAMED[kind - SUFFIXES.len()]), bytes),
        }
    }
    disk
}

fn content(suffix: &str, how: u8, bytes: &[u8]) -> Vec<u8> {
    match suffix {
        "log" => input::batches(how, bytes),
        "snapshot" if how & 1 == 1 && bytes.len() >= 6 => {
            let crc = twinlog::record::crc::crc32c(&bytes[6..]);
            [&bytes[..2], &crc.to_be_bytes(), &bytes[6..]].concat()
        }
        _ => bytes.to_vec(),
    }
}

/// The input that [`recovery`] makes this directory of.
fn packed(flags: u8, durable: u8, disk: &FlatDisk) -> Vec<u8> {
    let mut out = vec![flags, 0, durable];
    for (path, bytes) in disk.files() {
        let name = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let suffix = name.split_once('.').map_or("", |(_, suffix)| suffix);
        let named = NAMED.iter().position(|known| *known == name);
        let kind = match SUFFIXES.iter().position(|known| *known == suffix) {
            Some(kind) => kind,
            None => SUFFIXES.len() + named.expect("a name of ours"),
        };
        let base = name.split('.').next().and_then(|base| base.parse().ok());
        // Batches are put together, checksums of snapshots are made right.
        let (how, bytes) = match suffix {
            "log" => (2, input::taken_apart(&bytes)),
            "snapshot" => (1, bytes),
            _ => (0, bytes),
        };
        out.extend([u8::try_from(kind).expect("few"), how, base.unwrap_or(0)]);
        let size = u16::try_from(bytes.len()).expect("a small file");
        out.extend(size.to_be_bytes());
        out.extend(bytes);
    }
    out
}

/// The input of [`recovery`] that is a sound log.
pub(crate) fn packed_sound(flags: u8, durable: u8) -> Vec<u8> {
    packed(flags, durable, &sound())
}

/// The files of a sound log, by name.
pub(crate) fn sound_directory() -> Vec<(String, Vec<u8>)> {
    let name = |path: &Path| {
        path.file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned()
    };
    let files = sound().files().into_iter();
    files.map(|(path, bytes)| (name(&path), bytes)).collect()
}
