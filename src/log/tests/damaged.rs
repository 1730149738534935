//! Files of a log that are gone, cut or from elsewhere: found by the audit, mended at the start
//! where that is safe, refused with a way out where it is not.

use super::*;
use crate::io::Disk;

const WAY_OUT: &str = "mv /vault/t-0 /vault.t-0.damaged";

fn claims(durable: Offset) -> Claims {
    Claims {
        topic_id: TopicId::new([7; 16]),
        log_start: Some(Offset::ZERO),
        durable,
        is_clean: true,
    }
}

fn is_of_kind(path: &Path, kind: &str) -> bool {
    path.extension().is_some_and(|end| end == kind)
}

/// A log with something in every kind of file.
fn whole() -> (MemoryDisk, Vec<Vec<u8>>, Offset) {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    let durable = worked(&disk, &batches);
    for kind in ["log", "index", "timeindex", "txnindex", "snapshot"] {
        let paths = disk.paths();
        assert!(paths.iter().any(|path| is_of_kind(path, kind)), "no {kind}");
    }
    (disk, batches, durable)
}

fn is_found(disk: &MemoryDisk, durable: Offset, what: &str) {
    let verified = verify(disk, &dir(), claims(durable)).expect("readable");
    assert!(!verified.findings.is_empty(), "not found: {what}");
}

/// A start makes the log whole again.
fn is_mended(disk: &MemoryDisk, batches: &[Vec<u8>], durable: Offset, what: &str) {
    for is_clean in [true, false] {
        let left = disk.after_kill();
        let known = known(durable, is_clean);
        let opened = open(left.clone(), &dir(), OPTIONS, known, WALL);
        let Opened {
            mut log, mut store, ..
        } = opened.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert_eq!(log.watermarks().log_end, durable, "{what}");
        store.close(&mut log, WALL).expect("the disk works");
        assert!(content(&left) == batches.concat(), "{what}");
        let verified = verify(&left, &dir(), claims(durable)).expect("readable");
        assert_eq!(verified.findings, [], "{what}, clean: {is_clean}");
    }
}

#[test]
fn any_missing_file_is_found_and_what_is_derived_is_made_again() {
    let (disk, batches, durable) = whole();
    let named = |path: &Path| {
        path.file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok())
    };
    let has_log = |offset: Offset| disk.bytes(&layout::path(&dir(), offset, "log")).is_some();
    // Beside those that segments begin with, and the one of the end, snapshots are for recovery.
    let is_spare = |path: &Path| {
        let offset = named(path).map(Offset::new);
        is_of_kind(path, "snapshot") && offset.is_some_and(|at| at != durable && !has_log(at))
    };
    for path in disk.paths().into_iter().filter(|path| !is_spare(path)) {
        let left = disk.after_kill();
        left.remove_file(&path).expect("it is there");
        let what = format!("{} is missing", path.display());
        is_found(&left, durable, &what);
        if !is_of_kind(&path, "log") && !is_of_kind(&path, "txnindex") {
            is_mended(&left, &batches, durable, &what);
        }
    }
}

#[test]
fn any_cut_file_is_found() {
    let (disk, _, durable) = whole();
    for path in disk.paths() {
        let bytes = disk.bytes(&path).expect("listed");
        let last = bytes.len().saturating_sub(1);
        let entry_bytes = match path.extension().and_then(|end| end.to_str()) {
            // An index with fewer entries is a sparser one, and all it says is true.
            Some("index") => 8,
            Some("timeindex") => 12,
            _ => usize::MAX,
        };
        for left in [0, 1, bytes.len() / 2, last] {
            if left < bytes.len() && (left % entry_bytes != 0 || entry_bytes == usize::MAX) {
                let damaged = disk.after_kill();
                damaged.put(&path, &bytes[..left]);
                let what = format!("{} cut to {left} bytes", path.display());
                is_found(&damaged, durable, &what);
            }
        }
    }
}

/// Every file of a log exchanged for the same file of another log.
#[test]
fn any_file_from_elsewhere_is_found() {
    let (disk, _, durable) = whole();
    let other = MemoryDisk::default();
    let mut theirs = self::batches(Traffic::Plain);
    theirs.truncate(BATCHES - 2);
    worked(&other, &theirs);
    for path in disk.paths() {
        let Some(foreign) = other.bytes(&path) else {
            continue;
        };
        if Some(&foreign) == disk.bytes(&path).as_ref() {
            continue;
        }
        let damaged = disk.after_kill();
        damaged.put(&path, &foreign);
        let what = format!("{} is another's", path.display());
        is_found(&damaged, durable, &what);
    }
    let damaged = disk.after_kill();
    damaged.put(&dir().join("somebodys.file"), b"?");
    is_found(&damaged, durable, "a file that is none of ours");
}

#[test]
fn a_directory_of_another_topic_is_refused_and_not_touched() {
    let (disk, _, durable) = whole();
    let before = content(&disk);
    let other = Beginning {
        topic_id: TopicId::new([8; 16]),
        ..known(durable, true)
    };
    let opened = open(disk.clone(), &dir(), OPTIONS, other, WALL);
    let said = opened.err().expect("it is another's").to_string();
    assert!(
        said.contains("comes from elsewhere") && said.contains(WAY_OUT),
        "{said}"
    );
    assert!(content(&disk) == before);
}

/// The log with its last segment torn, flipped or gone.
fn with_damage(disk: &MemoryDisk, damage: &str) -> MemoryDisk {
    let mut logs = disk.paths();
    logs.retain(|path| is_of_kind(path, "log"));
    let last = logs.iter().max().expect("there is one");
    let mut bytes = disk.bytes(last).expect("listed");
    let left = disk.after_kill();
    match damage {
        "torn" => left.put(last, &bytes[..bytes.len() - 1]),
        "flipped" => {
            let at = bytes.len() - 3;
            bytes[at] ^= 1;
            left.put(last, &bytes);
        }
        _ => left.remove_file(last).expect("it is there"),
    }
    left
}

#[test]
fn what_was_durable_and_is_damaged_is_fetched_again_only_where_that_is_safe() {
    let (disk, batches, durable) = whole();
    for damage in ["torn", "flipped", "gone"] {
        for is_clean in [true, false] {
            let what = format!("{damage}, clean: {is_clean}");
            let start = |left: &MemoryDisk, refetchable| {
                let known = Beginning {
                    refetchable,
                    ..known(durable, is_clean)
                };
                open(left.clone(), &dir(), OPTIONS, known, WALL)
            };
            for too_late in [None, Some(durable)] {
                let left = with_damage(&disk, damage);
                let before = content(&left);
                let opened = start(&left, too_late);
                let said = opened.err().expect("it was durable").to_string();
                assert!(said.contains(WAY_OUT), "{what}: {said}");
                assert!(content(&left) == before, "{what}: nothing is cut");
            }
            let left = with_damage(&disk, damage);
            let opened = start(&left, Some(Offset::ZERO));
            let opened = opened.unwrap_or_else(|fault| panic!("{what}: {fault}"));
            let end = opened.log.watermarks().log_end;
            assert!(end < durable, "{what}: something was lost");
            drop(opened);
            recovers(&left, &batches, end, &what);
        }
    }
}
