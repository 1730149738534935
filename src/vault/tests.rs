//! What a vault accepts, refuses and remembers.

use std::path::Path;

use super::*;
use crate::io::memory::MemoryDisk;
use crate::model::{Offset, TopicId};

const DIR: &str = "/vault";

fn identity(cluster: &str) -> Identity {
    Identity {
        cluster_id: cluster.to_owned(),
        node_id: 0,
        directory_id: TopicId::new([7; 16]).to_string(),
    }
}

fn open(disk: &MemoryDisk) -> Result<(Vault<MemoryDisk>, Found), VaultFault> {
    open_with(disk, ProducerIdShift::NONE)
}

fn open_with(
    disk: &MemoryDisk,
    shift: ProducerIdShift,
) -> Result<(Vault<MemoryDisk>, Found), VaultFault> {
    Vault::open(disk.clone(), Path::new(DIR), &identity("here"), shift)
}

fn id(name: &str) -> TopicPartition {
    name.parse().expect("a partition's name")
}

fn sample() -> State {
    let partition = |ending| PartitionState {
        topic_id: TopicId::new([3; 16]),
        position: Offset::new(12),
        log_start: Some(Offset::new(2)),
        gaps: vec![Gap {
            from: Offset::new(3),
            to: Offset::new(5),
        }],
        ending,
    };
    let why = "the source lost what we hold".to_owned();
    State {
        source_cluster_id: "here".to_owned(),
        directory_id: Some(TopicId::new([7; 16]).to_string()),
        producer_id_shift: ProducerIdShift::new(1 << 40).expect("positive"),
        partitions: [
            (id("a-0"), partition(Ending::CaughtUp)),
            (id("a-1"), partition(Ending::Stopped { why })),
            (id("b-c-10"), partition(Ending::Running)),
        ]
        .into(),
    }
}

#[test]
fn a_vault_remembers_what_was_saved_and_how_it_was_closed() {
    let disk = MemoryDisk::default();
    let (vault, found) = open(&disk).expect("a new vault");
    assert!(!found.clean && found.partitions.is_empty());
    let offsets = Offsets::from([(id("a-1"), Offset::new(12)), (id("x.y-0"), Offset::ZERO)]);
    vault
        .save(Checkpoint::RecoveryPoint, &offsets)
        .expect("saved");
    vault.save_state(&sample()).expect("saved");
    disk.create_dir(&vault.partition_dir(&id("a-1")))
        .expect("made");
    let text = disk.bytes(&Path::new(DIR).join("recovery-point-offset-checkpoint"));
    assert_eq!(text.expect("there"), b"0\n2\na 1 12\nx.y 0 0\n");
    vault.close().expect("closed");

    let (vault, found) = open_with(&disk, sample().producer_id_shift).expect("ours");
    assert!(found.clean);
    let known = Offsets::from([(id("a-1"), Offset::new(12))]);
    assert_eq!(found.recovery_points, known, "nobody knows the other");
    assert!(found.damage.iter().any(|what| what.starts_with("x.y-0: ")));
    // Nobody has saved them, but the notes know one that is there.
    let noted = Offsets::from([(id("a-1"), Offset::new(2))]);
    assert_eq!(found.log_starts, noted);
    assert_eq!(found.state, sample());
    assert_eq!(found.partitions, [id("a-1")]);
    drop(vault);
    let left = disk.after_power_loss(|| 0);
    let (_, found) = open_with(&left, sample().producer_id_shift).expect("ours");
    assert!(!found.clean, "the marker must not come back");
}

#[test]
fn a_state_says_which_ids_stand_for_a_name_only() {
    let disk = MemoryDisk::default();
    let (vault, _) = open(&disk).expect("a new vault");
    let mut state = sample();
    let nameless = id("a-1");
    let partition = state.partitions.get_mut(&nameless).expect("there");
    partition.topic_id = TopicId::of_name(&nameless.topic);
    vault.save_state(&state).expect("saved");
    let bytes = disk.bytes(&Path::new(DIR).join("twinlog.state"));
    let text = String::from_utf8(bytes.expect("there")).expect("text");
    assert_eq!(text.matches("by_name").count(), 1, "{text}");
    let found = Vault::look(&disk, Path::new(DIR)).expect("sound");
    assert_eq!(found.state, state);
}

#[test]
fn only_one_process_writes_a_vault() {
    let disk = MemoryDisk::default();
    let (vault, _) = open(&disk).expect("a new vault");
    assert!(matches!(open(&disk), Err(VaultFault::Locked { .. })));
    Vault::look(&disk, Path::new(DIR)).expect("reading needs no lock");
    drop(vault);
    open(&disk).expect("unlocked");
}

#[test]
fn what_is_not_our_vault_is_refused_and_not_touched() {
    let file = |name: &str| Path::new(DIR).join(name);
    let with = |name: &str| {
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new(DIR)).expect("made");
        disk.put(&file(name), b"theirs");
        disk
    };
    let strange = with("notes.txt");
    assert!(matches!(open(&strange), Err(VaultFault::NotAVault { .. })));
    assert_eq!(strange.paths(), [file("notes.txt")]);
    let brokers = with("meta.properties");
    assert!(matches!(
        open(&brokers),
        Err(VaultFault::BrokersDirectory { .. })
    ));

    let disk = MemoryDisk::default();
    drop(open(&disk).expect("a new vault"));
    let there = identity("there");
    let other = Vault::open(disk.clone(), Path::new(DIR), &there, ProducerIdShift::NONE);
    assert!(matches!(other, Err(VaultFault::OtherSource { .. })));
    disk.create_dir(&file("lost+found")).expect("made");
    assert!(matches!(open(&disk), Err(VaultFault::Foreign { .. })));
}

#[test]
fn the_shift_of_producer_ids_is_durable_at_once_and_stays() {
    let shift = |by| ProducerIdShift::new(by).expect("positive");
    let disk = MemoryDisk::default();
    drop(open_with(&disk, shift(5)).expect("a new vault"));
    let disk = disk.after_power_loss(|| 0);
    let found = Vault::look(&disk, Path::new(DIR)).expect("a vault");
    assert_eq!(found.state.producer_id_shift, shift(5));
    // Nothing is shifted yet: it may still change, durably.
    drop(open_with(&disk, shift(7)).expect("still empty"));
    let disk = disk.after_power_loss(|| 0);
    let (vault, found) = open_with(&disk, shift(7)).expect("the same");
    assert_eq!(found.state.producer_id_shift, shift(7));
    disk.create_dir(&vault.partition_dir(&id("a-1")))
        .expect("made");
    drop(vault);
    for (asked, advice) in [(0, "give --producer-id-shift 7"), (8, "raised by 8")] {
        let refused = open_with(&disk, shift(asked)).err().expect("another shift");
        assert!(matches!(refused, VaultFault::OtherShift { .. }));
        assert!(refused.to_string().contains(advice), "{refused}");
    }
    drop(open_with(&disk, shift(7)).expect("the lock is free, and the shift the same"));
}

#[test]
fn a_vault_of_unshifted_ids_takes_no_shift_later() {
    let disk = MemoryDisk::default();
    let (vault, _) = open(&disk).expect("a new vault");
    disk.create_dir(&vault.partition_dir(&id("a-1")))
        .expect("made");
    drop(vault);
    let shift = ProducerIdShift::new(1).expect("positive");
    let refused = open_with(&disk, shift).err().expect("another shift");
    let advice = "the source's own producer ids, this copy asks for producer ids raised by 1: \
                  leave out --producer-id-shift";
    assert!(refused.to_string().contains(advice), "{refused}");
}

/// A vault that was closed cleanly, with two partitions that all its files know.
fn closed() -> (MemoryDisk, Found) {
    closed_at(12, 2, 7)
}

/// The same, whose partitions end at `end` and begin at `start`, and whose directory has this id.
fn closed_at(end: i64, start: i64, directory: u8) -> (MemoryDisk, Found) {
    let disk = MemoryDisk::default();
    let identity = Identity {
        directory_id: TopicId::new([directory; 16]).to_string(),
        ..identity("here")
    };
    let opened = Vault::open(
        disk.clone(),
        Path::new(DIR),
        &identity,
        ProducerIdShift::NONE,
    );
    let (vault, found) = opened.expect("a new vault");
    let mut state = State {
        partitions: sample().partitions,
        ..found.state
    };
    state.partitions.remove(&id("b-c-10"));
    for partition in state.partitions.values_mut() {
        partition.position = Offset::new(end);
        partition.log_start = Some(Offset::new(start));
    }
    let offsets = |offset: i64| -> Offsets {
        let all = state.partitions.keys();
        all.map(|id| (id.clone(), Offset::new(offset))).collect()
    };
    for which in [Checkpoint::RecoveryPoint, Checkpoint::HighWatermark] {
        vault.save(which, &offsets(end)).expect("saved");
    }
    vault
        .save(Checkpoint::LogStart, &offsets(start))
        .expect("saved");
    vault.save_state(&state).expect("saved");
    for id in state.partitions.keys() {
        disk.create_dir(&vault.partition_dir(id)).expect("made");
    }
    vault.close().expect("closed");
    let found = Vault::look(&disk, Path::new(DIR)).expect("a vault");
    assert_eq!(found.damage, [""; 0]);
    (disk, found)
}

/// Damage to one file at the top is found, mended from the others by the next copy, and gone.
fn is_found_and_mended(damaged: &MemoryDisk, sound: &Found, what: &str) {
    let found = Vault::look(damaged, Path::new(DIR)).expect("a vault");
    assert!(!found.damage.is_empty(), "not found: {what}");
    let (vault, opened) = open(damaged).unwrap_or_else(|fault| panic!("{what}: {fault}"));
    assert_eq!(opened.state, sound.state, "{what}");
    let known = |offsets: &Offsets| -> Offsets {
        let mut offsets = offsets.clone();
        offsets.retain(|id, _| sound.state.partitions.contains_key(id));
        offsets
    };
    assert_eq!(
        known(&opened.recovery_points),
        sound.recovery_points,
        "{what}"
    );
    assert_eq!(known(&opened.log_starts), sound.log_starts, "{what}");
    // What a copy writes with its first notes.
    vault
        .save(Checkpoint::RecoveryPoint, &sound.recovery_points)
        .expect("saved");
    vault
        .save(Checkpoint::HighWatermark, &sound.high_watermarks)
        .expect("saved");
    vault
        .save(Checkpoint::LogStart, &sound.log_starts)
        .expect("saved");
    vault.close().expect("closed");
    let found = Vault::look(damaged, Path::new(DIR)).expect("a vault");
    assert_eq!(found.damage, [""; 0], "{what}");
}

#[test]
fn any_changed_byte_at_the_top_is_found_and_mended() {
    let (disk, sound) = closed();
    for path in disk.paths() {
        let bytes = disk.bytes(&path).expect("listed");
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let damaged = disk.after_kill();
            damaged.put(&path, &flipped);
            is_found_and_mended(&damaged, &sound, &format!("{} byte {at}", path.display()));
        }
    }
}

#[test]
fn any_missing_or_cut_file_at_the_top_is_found_and_mended() {
    let (disk, sound) = closed();
    let means_nothing = [LOCK, CLEAN_SHUTDOWN];
    for path in disk.paths() {
        let name = path.file_name().expect("it has one").to_string_lossy();
        let bytes = disk.bytes(&path).expect("listed");
        if !means_nothing.contains(&&*name) {
            let damaged = disk.after_kill();
            damaged.remove_file(&path).expect("it is there");
            is_found_and_mended(&damaged, &sound, &format!("{name} is missing"));
        }
        for left in [0, bytes.len() / 2] {
            if left < bytes.len() {
                let damaged = disk.after_kill();
                damaged.put(&path, &bytes[..left]);
                is_found_and_mended(&damaged, &sound, &format!("{name} cut to {left}"));
            }
        }
    }
}

#[test]
fn any_file_of_another_vault_of_the_cluster_is_found_and_mended() {
    let (disk, sound) = closed();
    let (other, _) = closed_at(14, 3, 8);
    let says_the_same = [LOCK, CLEAN_SHUTDOWN];
    for path in disk.paths() {
        let name = path.file_name().expect("it has one").to_string_lossy();
        let theirs = other.bytes(&path).expect("it has the same files");
        let is_same = disk.bytes(&path) == Some(theirs.clone());
        assert_eq!(is_same, says_the_same.contains(&&*name), "{name}");
        if !is_same {
            let damaged = disk.after_kill();
            damaged.put(&path, &theirs);
            is_found_and_mended(&damaged, &sound, &format!("another's {name}"));
        }
    }
}

#[test]
fn a_copy_of_the_notes_as_they_were_once_is_found_and_mended() {
    let (disk, sound) = closed();
    let (once, _) = closed_at(11, 2, 7);
    let path = Path::new(DIR).join("twinlog.state.copy");
    disk.put(&path, &once.bytes(&path).expect("there"));
    is_found_and_mended(&disk, &sound, "an older copy of the notes");
}

#[test]
fn notes_of_another_vault_are_not_believed_where_its_own_are_damaged() {
    let (disk, _) = closed();
    let (other, _) = closed_at(14, 3, 8);
    let file = |name: &str| Path::new(DIR).join(name);
    for (damaged, theirs) in [
        ("twinlog.state", "twinlog.state.copy"),
        ("twinlog.state.copy", "twinlog.state"),
    ] {
        let disk = disk.after_kill();
        disk.put(&file(damaged), b"?");
        disk.put(&file(theirs), &other.bytes(&file(theirs)).expect("there"));
        let refused = open(&disk).err().expect("nothing is known");
        assert!(matches!(refused, VaultFault::NotesLost { .. }), "{refused}");
    }
}

/// Notes of an earlier version do not name their directory: they do once it is written again.
#[test]
fn notes_learn_the_id_of_their_directory() {
    let (disk, sound) = closed();
    let state = State {
        directory_id: None,
        ..sound.state.clone()
    };
    state::write(&disk, Path::new(DIR), &state).expect("works");
    state::write_copy(&disk, Path::new(DIR), &state).expect("works");
    let found = Vault::look(&disk, Path::new(DIR)).expect("a vault");
    assert_eq!(found.damage, [""; 0]);
    assert!(found.clean);
    let (vault, found) = open(&disk).expect("ours");
    assert_eq!(found.state, sound.state);
    vault.save_state(&found.state).expect("works");
    vault.close().expect("works");
    let found = Vault::look(&disk, Path::new(DIR)).expect("a vault");
    assert_eq!((found.state, found.damage), (sound.state, Vec::new()));
}

/// The notes and their copy do not change at once: a vault that is marked clean has both the same,
/// wherever it is killed.
#[test]
fn a_clean_vault_is_never_accused_wherever_its_next_copy_is_killed() {
    let disk = MemoryDisk::default();
    let (vault, _) = open(&disk).expect("a new vault");
    vault.close().expect("closed");
    let shift = ProducerIdShift::new(5).expect("positive");
    let whole = disk.after_kill();
    drop(open_with(&whole, shift).expect("still empty"));
    for after in 0..whole.changes() {
        let killed = disk.after_kill();
        killed.kill_after(after);
        drop(open_with(&killed, shift));
        let found = Vault::look(&killed.after_kill(), Path::new(DIR)).expect("a vault");
        assert_eq!(found.damage, [""; 0], "killed after {after}");
    }
}

#[test]
fn notes_that_are_lost_twice_are_refused_with_the_way_out() {
    let (disk, _) = closed();
    for name in ["twinlog.state", "twinlog.state.copy"] {
        disk.put(&Path::new(DIR).join(name), b"?");
    }
    let said = open(&disk).err().expect("nothing is known").to_string();
    assert!(said.contains("mv /vault /vault.damaged"), "{said}");
}

#[test]
fn a_vault_without_any_notes_is_told_from_a_brokers_directory() {
    let (disk, _) = closed();
    for name in ["twinlog.state", "twinlog.state.copy"] {
        disk.remove_file(&Path::new(DIR).join(name))
            .expect("it is there");
    }
    let looked = Vault::look(&disk, Path::new(DIR)).map(|_| ());
    for outcome in [open(&disk).map(|_| ()), looked] {
        let said = outcome.expect_err("nothing is known").to_string();
        for word in ["mv /vault /vault.damaged", "from a backup", "twinlog.state"] {
            assert!(said.contains(word), "nothing of {word}: {said}");
        }
    }
    let meta = Path::new(DIR).join("meta.properties");
    disk.put(&meta, b"#Mon Nov 30\nversion=1\nnode.id=1\n");
    for (outcome, word) in [
        (open(&disk).map(|_| ()), "a broker's log directory"),
        (Vault::look(&disk, Path::new(DIR)).map(|_| ()), "a broker's"),
    ] {
        let said = outcome.expect_err("it is not ours").to_string();
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn a_directory_that_the_notes_do_not_know_is_found() {
    let (disk, _) = closed();
    disk.create_dir(&Path::new(DIR).join("else-0"))
        .expect("made");
    let found = Vault::look(&disk, Path::new(DIR)).expect("a vault");
    assert!(found.damage.iter().any(|what| what.contains("else-0")));
}

#[test]
fn a_creation_killed_anywhere_can_be_done_again() {
    let disk = MemoryDisk::default();
    drop(open(&disk).expect("a new vault"));
    for changes in 0..disk.changes() {
        let disk = MemoryDisk::default();
        disk.kill_after(changes);
        assert!(open(&disk).is_err());
        let (_, found) = open(&disk.after_kill()).expect("finished");
        assert_eq!(found.state.source_cluster_id, "here");
        let (_, found) = open(&disk.after_power_loss(|| 0)).expect("finished");
        assert_eq!(found.state.source_cluster_id, "here");
    }
}
