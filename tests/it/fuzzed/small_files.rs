//! Bytes of the files beside a log's batches, and of those at the top of a vault.

use std::path::{Path, PathBuf};

use twinlog::io::Disk as _;
use twinlog::log::{Claims, Piece, Reader, describe, last_epoch, verify};
use twinlog::model::{Offset, TopicId};
use twinlog::record::crc::crc32c;
use twinlog::vault::{Checkpoint, Vault, merge_checkpoint};

use super::bounded;
use super::disk::FlatDisk;
use super::input::Input;
use super::logs::{self, DIR};

/// Names, entries of the directory, faults in words.
const BESIDE: u64 = 8 << 10;
/// The same for a vault, which has more files.
const VAULT_BESIDE: u64 = 16 << 10;

fn pieces(disk: &FlatDisk, path: &Path, bytes: usize) {
    let mut last_epoch = None;
    bounded(bytes, BESIDE, || {
        let shown = describe(disk, path, &mut |piece| match piece {
            Piece::Epoch(epoch, start) => {
                let before = last_epoch.replace((epoch, start));
                assert!(
                    before.is_none_or(|(one, at)| one < epoch && at < start),
                    "they rise"
                );
            }
            Piece::OffsetEntry(last, ..) | Piece::TimeEntry(_, last, _) => {
                assert!(last >= Offset::ZERO);
            }
            _ => {}
        });
        shown.expect("a disk in memory does not fail");
    });
}

/// An index of any kind beside a sound segment: shown, believed as far as it is true, and every
/// offset found nevertheless once the log was opened.
pub(super) fn indexes(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.byte();
    let is_clean = kind & 0x80 != 0;
    let suffix = ["index", "timeindex", "txnindex"][usize::from(kind & 0x7f) % 3];
    let index = input.rest();
    let disk = logs::sound();
    let path = PathBuf::from(DIR).join(format!("{:020}.{suffix}", 0));
    disk.put(&path, index);
    pieces(&disk, &path, index.len());
    let all = disk.size();
    let claims = Claims {
        log_start: None,
        topic_id: TopicId::new([7; 16]),
        durable: Offset::ZERO,
        is_clean: false,
    };
    bounded(all, super::BESIDE_MAX, || {
        verify(&disk, Path::new(DIR), claims).expect("a disk in memory does not fail");
    });
    finds_nothing_impossible(&disk);
    logs::opens_whole(&disk, is_clean);
}

/// Whatever an index says, a search ends, and reads within the file.
fn finds_nothing_impossible(disk: &FlatDisk) {
    let mut reader = Reader::open(disk.clone(), Path::new(DIR)).expect("it is there");
    let mut window = [0; 64];
    for offset in [0, 1, 5, 9, 1 << 31, i64::MAX] {
        let place = reader.find(Offset::new(offset)).expect("a disk in memory");
        reader.read(place, &mut window).expect("a disk in memory");
    }
}

/// `leader-epoch-checkpoint`.
pub(super) fn leader_epochs(bytes: &[u8]) {
    let disk = FlatDisk::default();
    let path = PathBuf::from(DIR).join("leader-epoch-checkpoint");
    disk.put(&path, bytes);
    pieces(&disk, &path, bytes.len());
    bounded(bytes.len(), BESIDE, || {
        drop(last_epoch(&disk, Path::new(DIR)))
    });
    let sound = logs::sound();
    sound.put(&path, bytes);
    logs::opens_whole_or_cut(&sound);
}

/// A snapshot of producers, its checksum made right where the first byte says so.
pub(super) fn snapshots(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_repaired = input.byte() & 1 == 1;
    let mut snapshot = input.rest().to_vec();
    if is_repaired && snapshot.len() >= 6 {
        let crc = crc32c(&snapshot[6..]);
        snapshot[2..6].copy_from_slice(&crc.to_be_bytes());
    }
    let disk = FlatDisk::default();
    let path = PathBuf::from(DIR).join(format!("{:020}.snapshot", 4));
    disk.put(&path, &snapshot);
    let mut is_read = false;
    bounded(snapshot.len(), BESIDE, || {
        let mut show = |piece: Piece<'_>| is_read |= matches!(piece, Piece::Producer(_));
        let shown = describe(&disk, &path, &mut show);
        shown.expect("a disk in memory does not fail");
    });
    if is_read {
        let sound = logs::sound();
        sound.put(&path, &snapshot);
        logs::opens_whole(&sound, false);
    }
}

/// The three checkpoints of a log directory: one of a stopped broker, to which entries are added,
/// and one of a vault, which is looked at.
pub(super) fn checkpoints(bytes: &[u8]) {
    let which = [
        Checkpoint::RecoveryPoint,
        Checkpoint::HighWatermark,
        Checkpoint::LogStart,
    ];
    let mut input = Input::new(bytes);
    let which = which[usize::from(input.byte()) % which.len()];
    let text = input.rest();
    let (disk, dir) = (FlatDisk::default(), Path::new("/vault"));
    let path = dir.join(which.file_name());
    disk.put(&path, text);
    let none = std::collections::BTreeMap::new();
    let read = bounded(text.len(), VAULT_BESIDE, || {
        merge_checkpoint(&disk, dir, which, &none)
    });
    if read.is_ok() {
        let written = disk.bytes(&path);
        merge_checkpoint(&disk, dir, which, &none).expect("what was written is read");
        assert_eq!(disk.bytes(&path), written);
    }
    let disk = vault(&state(
        "{\"source_cluster_id\":\"c\",\"partitions\":{}}\n".as_bytes(),
    ));
    disk.put(&path, text);
    let found = bounded(text.len(), VAULT_BESIDE, || Vault::look(&disk, dir));
    let found = found.expect("damage is told, not refused");
    let told = found.recovery_points.len().max(found.log_starts.len());
    assert!(told <= PARTITIONS.len(), "of others nothing is kept");
}

/// The directories of the vault below.
const PARTITIONS: [&str; 2] = ["t-0", "t-1"];

fn vault(state: &[u8]) -> FlatDisk {
    let (disk, dir) = (FlatDisk::default(), Path::new("/vault"));
    disk.put(&dir.join("twinlog.state"), state);
    for partition in PARTITIONS {
        disk.put_dir(&dir.join(partition));
    }
    disk
}

/// The notes of a vault with their checksum.
fn state(json: &[u8]) -> Vec<u8> {
    let head = format!("twinlog.state 1 {:08x}\n", crc32fast::hash(json));
    [head.as_bytes(), json].concat()
}

/// `twinlog.state`, its checksum made right, beside directories of partitions.
pub(super) fn vault_state(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_repaired = input.byte() & 1 == 1;
    let text = input.rest();
    let state = match is_repaired {
        true => self::state(text),
        false => text.to_vec(),
    };
    let (disk, dir) = (vault(&state), Path::new("/vault"));
    let found = bounded(state.len(), VAULT_BESIDE, || Vault::look(&disk, dir));
    if let Ok(found) = found {
        assert_eq!(found.partitions.len(), 2);
    }
    assert_eq!(
        disk.list(dir).expect("it is there").len(),
        3,
        "looking changes nothing"
    );
}
