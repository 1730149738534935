//! Files of a log that are gone, cut or from elsewhere: found by the audit, mended at the start
//! where that is safe, refused with a way out where it is not.

use super::*;
use crate::io::Disk;
use crate::log::layout::DIGEST;
use crate::model::LeaderEpoch;

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
        // A log may have been made before there were digests.
        match path.ends_with(DIGEST) {
            true => {
                let verified = verify(&left, &dir(), claims(durable)).expect("readable");
                assert_eq!((verified.findings, verified.digest_from), (vec![], None));
            }
            false => is_found(&left, durable, &what),
        }
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

/// The log with its last segment torn, flipped or gone, or with a last batch whose base offset is
/// none.
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
        "senseless" => {
            let starts = std::iter::successors(Some(0), |at| {
                let length = bytes[at + 8..at + 12].try_into().expect("four bytes");
                let next = at + 12 + u32::from_be_bytes(length) as usize;
                (next < bytes.len()).then_some(next)
            });
            let at = starts.last().expect("it has a batch");
            bytes[at..at + 8].fill(0xff);
            left.put(last, &bytes);
        }
        _ => left.remove_file(last).expect("it is there"),
    }
    left
}

#[test]
fn what_was_durable_and_is_damaged_is_fetched_again_only_where_that_is_safe() {
    let (disk, batches, durable) = whole();
    for damage in ["torn", "flipped", "senseless", "gone"] {
        for is_clean in [true, false] {
            let what = format!("{damage}, clean: {is_clean}");
            let aside = Path::new("aside");
            let start = |left: &MemoryDisk, refetchable| {
                let known = Beginning {
                    refetchable,
                    aside: Some(aside),
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
            let before = content(&left).len();
            let opened = start(&left, Some(Offset::ZERO));
            let opened = opened.unwrap_or_else(|fault| panic!("{what}: {fault}"));
            let end = opened.log.watermarks().log_end;
            assert!(end < durable, "{what}: something was lost");
            // The source may not have all of what is cut off.
            assert_eq!(content(&left).len(), before, "{what}: it is set aside");
            for path in left.paths().iter().filter(|path| path.starts_with(aside)) {
                left.remove_file(path).expect("just listed");
            }
            assert!(damage == "gone" || content(&left).len() < before, "{what}");
            drop(opened);
            recovers(&left, &batches, end, &what);
        }
    }
}

/// One segment of batches whose times rise to the middle and are lower from there on.
fn with_a_late_middle() -> (MemoryDisk, Vec<Vec<u8>>, Offset) {
    let batch = |nth: i64| {
        let time = if nth < 12 { 1_000 + nth } else { 900 + nth };
        let mut batch = BatchBuilder::new(Offset::new(nth), LeaderEpoch::new(0), time);
        batch.push(Some(b"key"), Some(&[7; 60]), &[]);
        batch.finish()
    };
    let batches: Vec<Vec<u8>> = (0..24).map(batch).collect();
    let options = LogOptions {
        segment_bytes: 1 << 20,
        ..OPTIONS
    };
    let disk = MemoryDisk::default();
    let beginning = known(Offset::ZERO, false);
    let opened = open(disk.clone(), &dir(), options, beginning, WALL);
    let Opened {
        mut log, mut store, ..
    } = opened.expect("a new log");
    for batch in &batches {
        append(&mut log, &mut store, batch).expect("the disk works");
    }
    let end = store.close(&mut log, WALL).expect("the disk works");
    (disk, batches, end)
}

/// A time index with fewer entries says nothing that is not true; what a start made of it was not.
#[test]
fn a_time_index_that_is_cut_is_made_again() {
    let (disk, batches, durable) = with_a_late_middle();
    let path = layout::path(&dir(), Offset::ZERO, "timeindex");
    let bytes = disk.bytes(&path).expect("there is one");
    assert!(bytes.len() > 24, "several entries");
    for left in (0..bytes.len()).step_by(12) {
        let damaged = disk.after_kill();
        damaged.put(&path, &bytes[..left]);
        let what = format!("cut to {left} bytes");
        is_found(&damaged, durable, &what);
        is_mended(&damaged, &batches, durable, &what);
        goes_on(&damaged, durable, &what);
    }
    // A later time than any batch has.
    let mut false_time = bytes.clone();
    let last = bytes.len() - 12;
    false_time[last..last + 8].copy_from_slice(&5_000i64.to_be_bytes());
    let damaged = disk.after_kill();
    damaged.put(&path, &false_time);
    is_found(&damaged, durable, "a false time");
    is_mended(&damaged, &batches, durable, "a false time");
    goes_on(&damaged, durable, "a false time");
}

/// A start, one more batch, and the end.
fn goes_on(disk: &MemoryDisk, durable: Offset, what: &str) {
    let left = disk.after_kill();
    let opened = open(left.clone(), &dir(), OPTIONS, known(durable, true), WALL);
    let opened = opened.unwrap_or_else(|fault| panic!("{what}: {fault}"));
    let (mut log, mut store) = (opened.log, opened.store);
    let mut batch = BatchBuilder::new(durable, log.last_epoch(), 1_010);
    batch.push(Some(b"key"), Some(b"value"), &[]);
    append(&mut log, &mut store, &batch.finish()).expect("the disk works");
    let end = store.close(&mut log, WALL).expect("the disk works");
    let verified = verify(&left, &dir(), claims(end)).expect("readable");
    assert_eq!(verified.findings, [], "{what}");
}

/// What a finding says of files that are made from batches is what mends them, wherever they lie.
#[test]
fn derived_files_are_mended_by_the_command_that_the_finding_ends_with() {
    let (disk, batches, durable) = whole();
    let mut mended = std::collections::BTreeSet::new();
    for path in disk.paths() {
        let bytes = disk.bytes(&path).expect("listed");
        let kinds = ["index", "timeindex", "txnindex", "snapshot"];
        let kind = kinds.into_iter().find(|kind| is_of_kind(&path, kind));
        let kind = kind.or(path.ends_with(DIGEST).then_some(DIGEST));
        let Some(kind) = kind.filter(|_| !bytes.is_empty()) else {
            continue;
        };
        for at in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            let damaged = disk.after_kill();
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x11;
            damaged.put(&path, &flipped);
            let what = format!("{} byte {at}", path.display());
            let verified = verify(&damaged, &dir(), claims(durable)).expect("readable");
            for finding in &verified.findings {
                let said = finding.to_string();
                let Remedy::Remove(paths) = &finding.remedy else {
                    panic!("{what}: {said}");
                };
                assert!(
                    said.contains(&format!("`rm -f {}", path.display())),
                    "{said}"
                );
                for path in paths {
                    // Others may have gone for another finding.
                    drop(damaged.remove_file(path));
                }
            }
            assert!(!verified.findings.is_empty(), "{what}: not found");
            is_mended(&damaged, &batches, durable, &what);
            mended.insert(kind);
        }
    }
    assert_eq!(mended.len(), 5, "{mended:?}");
}

#[test]
fn damaged_batches_and_strange_files_are_named_with_the_command_too() {
    let (disk, _, durable) = whole();
    let said = |damaged: &MemoryDisk| {
        let verified = verify(damaged, &dir(), claims(durable)).expect("readable");
        let said = verified.findings.iter().map(ToString::to_string);
        said.collect::<Vec<_>>().join("\n")
    };
    let logs = disk
        .paths()
        .into_iter()
        .filter(|path| is_of_kind(path, "log"));
    let first = logs.min().expect("there is one");
    let mut bytes = disk.bytes(&first).expect("listed");
    bytes[40] ^= 1;
    let damaged = disk.after_kill();
    damaged.put(&first, &bytes);
    let found = said(&damaged);
    assert!(found.contains(WAY_OUT), "{found}");
    let damaged = disk.after_kill();
    damaged.put(&dir().join("some body's.file"), b"?");
    let found = said(&damaged);
    let command = r"`mv '/vault/t-0/some body'\''s.file' '/vault.some body'\''s.file'`";
    assert!(found.contains(command), "{found}");
    let damaged = disk.after_kill();
    let epochs = dir().join("leader-epoch-checkpoint");
    damaged.remove_file(&epochs).expect("it is there");
    let found = said(&damaged);
    assert!(
        found.contains("the same `twinlog copy` makes it again"),
        "{found}"
    );
}

/// It was put there by somebody: a log that was closed ends where it says, and no later.
#[test]
fn a_snapshot_behind_the_end_is_found_and_costs_that_one_file() {
    let (disk, batches, durable) = whole();
    let own = layout::path(&dir(), durable, "snapshot");
    let bytes = disk.bytes(&own).expect("there is one of the end");
    let later = durable.checked_add(1_000).expect("small");
    let path = layout::path(&dir(), later, "snapshot");
    let damaged = disk.after_kill();
    damaged.put(&path, &bytes);
    let command = format!("`rm -f {}`", path.display());
    let verified = verify(&damaged, &dir(), claims(durable)).expect("readable");
    let found = verified.findings.iter().map(ToString::to_string);
    let found = found.collect::<Vec<_>>().join("\n");
    assert!(found.contains(&command), "{found}");
    let opened = open(
        damaged.after_kill(),
        &dir(),
        OPTIONS,
        known(durable, true),
        WALL,
    );
    let said = opened.err().expect("it is refused").to_string();
    let command = format!("`rm {}`", path.display());
    assert!(said.contains(&command) && !said.contains("mv "), "{said}");
    damaged.remove_file(&path).expect("it is there");
    is_mended(&damaged, &batches, durable, "the command was followed");
}

#[test]
fn the_way_out_holds_for_any_path() {
    let missing = |dir: &str| {
        let dir = PathBuf::from(dir);
        let (end, durable) = (Offset::ZERO, Offset::new(1));
        LogFault::Missing { dir, end, durable }.to_string()
    };
    for (dir, verify, command) in [
        (
            "./t-0",
            "--vault . --from",
            "`mv ./t-0 ./../vault.t-0.damaged`",
        ),
        ("t-0", "--vault . --from", "`mv t-0 ../vault.t-0.damaged`"),
        (
            "my vault/t-0",
            "--vault 'my vault' --from",
            "`mv 'my vault/t-0' 'my vault.t-0.damaged'`",
        ),
        ("/v/t-0", "--vault /v --from", "`mv /v/t-0 /v.t-0.damaged`"),
    ] {
        let said = missing(dir);
        assert!(said.contains(verify) && said.contains(command), "{said}");
    }
}
