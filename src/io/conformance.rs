//! What every disk does, as small cases: run on the memory disk here and on the real one in
//! `uring`, so that a test which passes in memory says something about a machine.

use std::io::ErrorKind;
use std::path::Path;

use super::{Disk, Durability, File, Open, replace};
use crate::model::Position;

/// One case. It gets a directory of its own, which exists and is empty.
type Case<D> = fn(&D, &Path);

/// Runs every case on `disk`, below `dir`, which exists.
pub(crate) fn conforms<D: Disk>(disk: &D, dir: &Path) {
    let cases: [(&str, Case<D>); 17] = [
        ("open", open_modes),
        ("read-only", what_is_open_for_reading_is_not_written),
        ("nowhere", nothing_is_made_where_no_directory_is),
        ("read", reads_end_with_the_file),
        ("sparse", holes_are_zeros),
        ("overwrite", writes_in_the_middle_keep_the_rest),
        ("nothing", writing_nothing_changes_nothing),
        ("truncate", truncation_cuts_and_extends),
        ("large", large_pieces_come_back_whole),
        ("clones", clones_are_one_file_that_outlives_its_name),
        ("rename", renames_replace),
        ("rename-dir", directories_are_renamed_with_all_they_hold),
        ("list", lists_are_sorted_and_flat),
        ("create-dir", directories_come_with_their_parents),
        ("remove", removed_files_are_gone),
        ("lock", a_lock_has_one_holder),
        ("replace", replacements_are_whole),
    ];
    for (name, case) in cases {
        let own = dir.join(name);
        disk.create_dir(&own).unwrap();
        case(disk, &own);
    }
}

/// The case that has to be waited for: a sync ends, and what was written stays as it was.
pub(crate) async fn syncs<D: Disk>(disk: &D, dir: &Path) {
    let file = written(disk, &dir.join("synced"), b"some bytes");
    file.sync().await.unwrap();
    file.sync_blocking().unwrap();
    let later = file.sync();
    drop(file);
    later.await.unwrap();
    assert_eq!(content(disk, &dir.join("synced")), b"some bytes");
}

fn at(position: u64) -> Position {
    Position::new(position)
}

fn written<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> D::File {
    let file = disk.open(path, Open::CreateEmpty).unwrap();
    file.write_at(bytes, Position::ZERO).unwrap();
    file
}

fn bytes_of(file: &impl File) -> Vec<u8> {
    let mut bytes = vec![0xaa; usize::try_from(file.size().unwrap()).unwrap()];
    let read = file.read_at(&mut bytes, Position::ZERO).unwrap();
    assert_eq!(read, bytes.len());
    bytes
}

fn content<D: Disk>(disk: &D, path: &Path) -> Vec<u8> {
    bytes_of(&disk.open(path, Open::Read).unwrap())
}

fn names<D: Disk>(disk: &D, dir: &Path) -> Vec<String> {
    let entries = disk.list(dir).unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

fn is_missing<D: Disk>(disk: &D, path: &Path) -> bool {
    let outcome = disk.open(path, Open::Read).map(drop);
    outcome.is_err_and(|fault| fault.kind() == ErrorKind::NotFound)
}

fn open_modes<D: Disk>(disk: &D, dir: &Path) {
    let path = dir.join("file");
    for how in [Open::Read, Open::Write] {
        let fault = disk.open(&path, how).map(drop).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::NotFound, "{how:?}");
    }
    assert!(names(disk, dir).is_empty(), "a refused open leaves nothing");
    let file = disk.open(&path, Open::WriteOrCreate).unwrap();
    assert_eq!(file.size().unwrap(), 0);
    file.write_at(b"kept", at(0)).unwrap();
    for how in [Open::Read, Open::Write, Open::WriteOrCreate] {
        assert_eq!(
            bytes_of(&disk.open(&path, how).unwrap()),
            b"kept",
            "{how:?}"
        );
    }
    let emptied = disk.open(&path, Open::CreateEmpty).unwrap();
    assert_eq!(emptied.size().unwrap(), 0);
    assert_eq!(
        file.size().unwrap(),
        0,
        "it is the same file, not a new one"
    );
    let other = dir.join("other");
    assert_eq!(written(disk, &other, b"new").size().unwrap(), 3);
}

fn what_is_open_for_reading_is_not_written<D: Disk>(disk: &D, dir: &Path) {
    let path = dir.join("file");
    written(disk, &path, b"kept");
    let file = disk.open(&path, Open::Read).unwrap();
    assert!(file.write_at(b"x", at(0)).is_err());
    assert!(file.truncate(at(1)).is_err());
    assert_eq!(content(disk, &path), b"kept");
}

fn nothing_is_made_where_no_directory_is<D: Disk>(disk: &D, dir: &Path) {
    let path = dir.join("none").join("file");
    for how in [Open::WriteOrCreate, Open::CreateEmpty] {
        let fault = disk.open(&path, how).map(drop).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::NotFound, "{how:?}");
    }
    assert!(disk.lock(&path).is_err());
    assert!(replace(disk, &path, b"x", Durability::ProcessCrash).is_err());
    written(disk, &dir.join("file"), b"x");
    assert!(disk.rename(&dir.join("file"), &path).is_err());
    assert_eq!(names(disk, dir), ["file"]);
}

fn reads_end_with_the_file<D: Disk>(disk: &D, dir: &Path) {
    let file = written(disk, &dir.join("file"), b"0123456789");
    for (from, room, expected) in [
        (0, 4, &b"0123"[..]),
        (6, 4, b"6789"),
        (7, 10, b"789"),
        (10, 3, b""),
        (1_000_000, 3, b""),
        (3, 0, b""),
    ] {
        let mut into = vec![0xaa; room];
        let read = file.read_at(&mut into, at(from)).unwrap();
        assert_eq!(&into[..read], expected, "{room} from {from}");
        let untouched = into[read..].iter().all(|byte| *byte == 0xaa);
        assert!(untouched, "{room} from {from}");
    }
}

fn holes_are_zeros<D: Disk>(disk: &D, dir: &Path) {
    let file = written(disk, &dir.join("file"), b"ab");
    file.write_at(b"cd", at(10_000)).unwrap();
    assert_eq!(file.size().unwrap(), 10_002);
    let bytes = bytes_of(&file);
    assert!(bytes.starts_with(b"ab") && bytes.ends_with(b"cd"));
    assert!(bytes[2..10_000].iter().all(|byte| *byte == 0));
}

fn writes_in_the_middle_keep_the_rest<D: Disk>(disk: &D, dir: &Path) {
    let file = written(disk, &dir.join("file"), b"0123456789");
    file.write_at(b"xyz", at(4)).unwrap();
    assert_eq!(bytes_of(&file), b"0123xyz789");
    file.write_at(b"end", at(9)).unwrap();
    assert_eq!(bytes_of(&file), b"0123xyz78end");
}

fn writing_nothing_changes_nothing<D: Disk>(disk: &D, dir: &Path) {
    let file = written(disk, &dir.join("file"), b"0123");
    for place in [0, 4, 100] {
        file.write_at(b"", at(place)).unwrap();
    }
    assert_eq!(bytes_of(&file), b"0123");
}

fn truncation_cuts_and_extends<D: Disk>(disk: &D, dir: &Path) {
    let file = written(disk, &dir.join("file"), b"0123456789");
    file.truncate(at(4)).unwrap();
    assert_eq!(bytes_of(&file), b"0123");
    file.truncate(at(8)).unwrap();
    assert_eq!(bytes_of(&file), b"0123\0\0\0\0", "what was cut stays gone");
    file.truncate(at(8)).unwrap();
    file.write_at(b"x", at(8)).unwrap();
    assert_eq!(file.size().unwrap(), 9);
    file.truncate(at(0)).unwrap();
    assert_eq!(file.size().unwrap(), 0);
}

fn large_pieces_come_back_whole<D: Disk>(disk: &D, dir: &Path) {
    let pattern: Vec<u8> = (0..3_000_001_u32).map(|at| (at % 251) as u8).collect();
    let file = disk.open(&dir.join("file"), Open::CreateEmpty).unwrap();
    for (number, piece) in (0..).zip(pattern.chunks(1_000_000)) {
        file.write_at(piece, at(number * 1_000_000)).unwrap();
    }
    assert!(bytes_of(&file) == pattern);
}

fn clones_are_one_file_that_outlives_its_name<D: Disk>(disk: &D, dir: &Path) {
    let path = dir.join("file");
    let file = written(disk, &path, b"first");
    let twin = file.clone();
    twin.write_at(b"F", at(0)).unwrap();
    drop(twin);
    assert_eq!(bytes_of(&file), b"First");
    disk.remove_file(&path).unwrap();
    file.write_at(b"!", at(5)).unwrap();
    assert_eq!(bytes_of(&file), b"First!");
    written(disk, &path, b"second");
    assert_eq!(bytes_of(&file), b"First!", "the name belongs to another");
}

fn renames_replace<D: Disk>(disk: &D, dir: &Path) {
    let (old, new) = (dir.join("old"), dir.join("new"));
    let moved = written(disk, &old, b"moved");
    let replaced = written(disk, &new, b"replaced by it");
    disk.rename(&old, &new).unwrap();
    assert_eq!(names(disk, dir), ["new"]);
    assert_eq!(content(disk, &new), b"moved");
    assert_eq!(bytes_of(&replaced), b"replaced by it");
    moved.write_at(b"M", at(0)).unwrap();
    assert_eq!(content(disk, &new), b"Moved", "it is still the same file");
    let fault = disk.rename(&old, &dir.join("third")).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::NotFound);
    assert_eq!(names(disk, dir), ["new"]);
}

fn directories_are_renamed_with_all_they_hold<D: Disk>(disk: &D, dir: &Path) {
    let (old, new) = (dir.join("old"), dir.join("new"));
    disk.create_dir(&old.join("inner")).unwrap();
    let file = written(disk, &old.join("inner").join("file"), b"1");
    written(disk, &dir.join("older"), b"not in it");
    disk.rename(&old, &new).unwrap();
    assert_eq!(names(disk, dir), ["new", "older"]);
    assert_eq!(names(disk, &new), ["inner"]);
    file.write_at(b"2", at(1)).unwrap();
    assert_eq!(content(disk, &new.join("inner").join("file")), b"12");
    assert!(disk.list(&old).is_err());
}

fn lists_are_sorted_and_flat<D: Disk>(disk: &D, dir: &Path) {
    for (name, bytes) in [("b", 3), ("a-10", 2), ("a-9", 1), ("B", 0), (".hidden", 4)] {
        written(disk, &dir.join(name), &vec![1; bytes]);
    }
    disk.create_dir(&dir.join("dir")).unwrap();
    written(disk, &dir.join("dir").join("inner"), b"deeper");
    let listed = disk.list(dir).unwrap();
    let told = listed.iter().map(|entry| {
        let bytes = if entry.is_dir { 0 } else { entry.bytes };
        (entry.name.as_str(), entry.is_dir, bytes)
    });
    let expected = [
        (".hidden", false, 4),
        ("B", false, 0),
        ("a-10", false, 2),
        ("a-9", false, 1),
        ("b", false, 3),
        ("dir", true, 0),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let fault = disk.list(&dir.join("none")).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::NotFound);
    let fault = disk.list(&dir.join("b")).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::NotADirectory);
}

fn directories_come_with_their_parents<D: Disk>(disk: &D, dir: &Path) {
    let deep = dir.join("a").join("b").join("c");
    for _ in 0..2 {
        disk.create_dir(&deep).unwrap();
        assert!(names(disk, &deep).is_empty());
        assert_eq!(names(disk, &dir.join("a")), ["b"]);
    }
    disk.sync_dir(&deep).unwrap();
    assert!(disk.sync_dir(&dir.join("none")).is_err());
    written(disk, &dir.join("file"), b"x");
    assert!(disk.create_dir(&dir.join("file")).is_err());
    assert!(disk.create_dir(&dir.join("file").join("below")).is_err());
    assert_eq!(content(disk, &dir.join("file")), b"x");
}

fn removed_files_are_gone<D: Disk>(disk: &D, dir: &Path) {
    let path = dir.join("file");
    written(disk, &path, b"x");
    disk.remove_file(&path).unwrap();
    assert!(is_missing(disk, &path) && names(disk, dir).is_empty());
    let fault = disk.remove_file(&path).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::NotFound);
    disk.create_dir(&dir.join("dir")).unwrap();
    assert!(disk.remove_file(&dir.join("dir")).is_err());
    assert_eq!(names(disk, dir), ["dir"]);
}

fn a_lock_has_one_holder<D: Disk>(disk: &D, dir: &Path) {
    let path = dir.join(".lock");
    let is_held = || disk.lock(&path).unwrap().is_none();
    assert!(!disk.is_locked(&path).unwrap(), "there is no file");
    let held = disk.lock(&path).unwrap().expect("nobody has it");
    assert!(disk.is_locked(&path).unwrap());
    assert_eq!(names(disk, dir), [".lock"], "the file was made");
    assert!(is_held());
    assert!(is_held(), "a refusal does not free it");
    // Whoever opens and closes the file otherwise takes nothing away.
    drop(disk.open(&path, Open::Read).unwrap());
    assert!(is_held());
    let other = disk.lock(&dir.join("other")).unwrap();
    assert!(other.is_some(), "another file has a lock of its own");
    held.write_at(b"whose", at(0)).unwrap();
    let twin = held.clone();
    drop(held);
    assert!(is_held(), "its clone holds it");
    drop(twin);
    assert!(!is_held());
    assert_eq!(content(disk, &path), b"whose", "locking keeps the content");
}

fn replacements_are_whole<D: Disk>(disk: &D, dir: &Path) {
    for durability in [Durability::PowerLoss, Durability::ProcessCrash] {
        let dir = dir.join(format!("{durability:?}"));
        disk.create_dir(&dir).unwrap();
        let path = dir.join("state");
        // Whoever died in the middle of it has left this.
        written(disk, &dir.join("state.tmp"), b"longer than what comes now");
        replace(disk, &path, b"first", durability).unwrap();
        let reader = disk.open(&path, Open::Read).unwrap();
        replace(disk, &path, b"2nd", durability).unwrap();
        assert_eq!(content(disk, &path), b"2nd");
        assert_eq!(bytes_of(&reader), b"first", "a reader sees one of both");
        assert_eq!(names(disk, &dir), ["state"]);
        replace(disk, &path, b"", durability).unwrap();
        assert_eq!(content(disk, &path), b"");
    }
}
