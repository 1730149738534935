//! What is kept through kills, losses of power, full disks and damage.

use std::collections::BTreeMap;

use super::*;
use crate::io::memory::MemoryDisk;
use crate::mirror::{
    ClusterMirror, Desired, MirrorName, MirrorPartitionState, MirrorTopic, PartitionKey, State,
};
use crate::model::{PartitionIndex, TopicId, TopicName};

const DIR: &str = "/node";

fn path() -> PathBuf {
    Path::new(DIR).join(FILE)
}

fn open(disk: &MemoryDisk) -> Result<StateFile<MemoryDisk>, StateFault> {
    StateFile::open(disk.clone(), Path::new(DIR))
}

fn now<T>(task: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without drivers").block_on(task)
}

fn append(file: &mut StateFile<MemoryDisk>, records: &[Record]) -> Result<(), StateFault> {
    now(file.append(records.to_vec()))
}

fn mirror() -> MirrorName {
    MirrorName::new("dr").expect("a name")
}

fn made() -> Record {
    let said = ClusterMirror {
        include: vec!["a{1,2}".to_owned()],
        settings: BTreeMap::from([("bootstrap.servers".to_owned(), "a:1".to_owned())]),
        ..ClusterMirror::default()
    };
    Record::Mirror(mirror(), Some(said))
}

fn topic(name: &str, desired: Desired) -> Record {
    let said = MirrorTopic {
        id: TopicId::new([1; 16]),
        mirror: mirror(),
        desired,
        partitions: 3,
    };
    Record::Topic(TopicName::new(name).expect("a name"), Some(said))
}

fn state(partition: i32, state: Option<State>) -> Record {
    let key = PartitionKey {
        mirror: mirror(),
        topic: TopicId::new([1; 16]),
        partition: PartitionIndex::new(partition).expect("not negative"),
    };
    Record::State(key, state.map(MirrorPartitionState::begun))
}

/// Groups that are appended one after the other.
fn script() -> Vec<Vec<Record>> {
    let states = |of: State| (0..3).map(|nth| state(nth, Some(of))).collect();
    vec![
        vec![made(), topic("a", Desired::Mirroring)],
        states(State::LogAlignment),
        states(State::Mirroring),
        vec![topic("a", Desired::Stopped)],
        states(State::Stopping),
        vec![state(1, None), topic("b", Desired::Paused)],
    ]
}

/// What the first `groups` of the script say.
fn said(groups: usize) -> StateLog {
    let mut log = StateLog::new();
    for (offset, record) in (0..).zip(script().into_iter().take(groups).flatten()) {
        log.apply(Offset::new(offset), record).expect("sound");
    }
    log
}

#[test]
fn what_was_appended_is_there_again() {
    let disk = MemoryDisk::default();
    for groups in 0..script().len() {
        let mut file = open(&disk).expect("sound");
        assert_eq!(*file.log(), said(groups));
        append(&mut file, &script()[groups]).expect("kept");
        append(&mut file, &[]).expect("nothing is kept easily");
        assert_eq!(*file.log(), said(groups + 1));
    }
    assert_eq!(*open(&disk).expect("sound").log(), said(script().len()));
}

#[test]
fn nobody_else_writes_it_meanwhile() {
    let disk = MemoryDisk::default();
    let file = open(&disk).expect("sound");
    let second = open(&disk).err().expect("it is in use").to_string();
    assert!(
        second.contains("/node is in use by another twinlog"),
        "{second}"
    );
    drop(file);
    assert!(open(&disk).is_ok());
}

/// Runs the script until the disk dies; says how many groups were said to be kept. The file is
/// written anew after every second group.
fn play(disk: &MemoryDisk) -> usize {
    let Ok(mut file) = open(disk) else {
        return 0;
    };
    let mut kept = 0;
    for (nth, group) in script().iter().enumerate() {
        if nth % 2 == 1 {
            file.rewrite_at = 0;
        }
        match append(&mut file, group) {
            Ok(()) => kept += 1,
            Err(_) => break,
        }
        assert_eq!(*file.log(), said(kept));
    }
    kept
}

/// What counts in both is the same; offsets differ where a file was written anew.
fn agrees(log: &StateLog, groups: usize) -> bool {
    let expected = said(groups);
    log.last() == expected.last() && log.records().eq(expected.records())
}

#[track_caller]
fn assert_kept(disk: &MemoryDisk, kept: usize, when: &str) {
    let file = open(disk).unwrap_or_else(|fault| panic!("{when}: {fault}"));
    let found = (kept..=script().len()).find(|groups| agrees(file.log(), *groups));
    let groups = found.unwrap_or_else(|| panic!("{when}: {kept} were kept: {:?}", file.log()));
    assert!(groups <= kept + 1, "{when}: one group was being written");
    // It goes on from there, and what it found stays.
    let mut file = file;
    for group in &script()[groups..] {
        append(&mut file, group).expect("it goes on");
    }
    drop(file);
    let file = open(disk).expect("sound");
    assert!(agrees(file.log(), script().len()), "{when}");
}

#[test]
fn a_kill_or_a_loss_of_power_at_any_change_loses_nothing_that_was_kept() {
    let whole = MemoryDisk::default();
    assert_eq!(play(&whole), script().len());
    for change in 0..whole.changes() {
        let disk = MemoryDisk::default();
        disk.kill_after(change);
        let kept = play(&disk);
        assert_kept(&disk.after_kill(), kept, &format!("killed after {change}"));
        for chance in 0..8 {
            let mut calls = 0;
            let after = disk.after_power_loss(|| {
                calls += 1;
                if calls == 1 { chance % 2 } else { chance / 2 }
            });
            let when = format!("power lost after {change}, by {chance}");
            assert_kept(&after, kept, &when);
        }
    }
}

/// What the process that comes next has found is durable, even if it was never synced before.
#[test]
fn what_was_found_is_kept_through_a_loss_of_power() {
    let disk = MemoryDisk::default();
    let mut file = open(&disk).expect("sound");
    append(&mut file, &script()[0]).expect("kept");
    disk.fail_syncs(true);
    assert!(append(&mut file, &script()[1]).is_err());
    drop(file);
    disk.fail_syncs(false);
    let found = open(&disk).expect("sound").log().clone();
    assert_eq!(found, said(2), "the bytes are all there");
    let after = open(&disk.after_power_loss(|| 0)).expect("sound");
    assert_eq!(*after.log(), found);
}

#[test]
fn after_a_failed_sync_nothing_more_is_written() {
    let disk = MemoryDisk::default();
    let mut file = open(&disk).expect("sound");
    append(&mut file, &script()[0]).expect("kept");
    disk.fail_sync_after(0);
    assert!(append(&mut file, &script()[1]).is_err());
    let fault = append(&mut file, &script()[1]).expect_err("it is broken");
    let fault = fault.to_string();
    assert!(fault.contains("nothing more is written to /node/mirror-state.log"));
    assert_eq!(*file.log(), said(1));
}

#[test]
fn a_full_disk_takes_nothing_and_goes_on_when_there_is_room() {
    let disk = MemoryDisk::default();
    let mut file = open(&disk).expect("sound");
    append(&mut file, &script()[0]).expect("kept");
    disk.fill_after(0, 1);
    let fault = append(&mut file, &script()[1]).expect_err("it is full");
    assert!(fault.to_string().ends_with("make room there"), "{fault}");
    assert_eq!(*file.log(), said(1));
    append(&mut file, &script()[1]).expect("there is room");
    drop(file);
    assert_eq!(*open(&disk).expect("sound").log(), said(2));
}

#[test]
fn a_full_disk_while_it_is_written_anew_leaves_the_old_one() {
    let disk = MemoryDisk::default();
    let mut file = open(&disk).expect("sound");
    append(&mut file, &script()[0]).expect("kept");
    file.rewrite_at = 0;
    // The group itself has room, what follows has none.
    disk.fill_after(1, 100);
    append(&mut file, &script()[1]).expect("kept");
    disk.fill_after(0, 0);
    append(&mut file, &script()[2]).expect("kept");
    drop(file);
    assert_eq!(*open(&disk).expect("sound").log(), said(3));
    assert_eq!(disk.bytes(&Path::new(DIR).join(FRESH)), None);
}

#[test]
fn it_is_written_anew_when_it_has_grown() {
    let disk = MemoryDisk::default();
    let mut file = open(&disk).expect("sound");
    append(&mut file, &[made(), topic("a", Desired::Mirroring)]).expect("kept");
    let states = [State::Mirroring, State::Pausing, State::Paused];
    let group = |nth: usize| {
        let states = (0..2_000).map(|index| state(index, Some(states[nth % 3])));
        states.collect::<Vec<_>>()
    };
    let mut sizes = Vec::new();
    for nth in 0..60 {
        append(&mut file, &group(nth)).expect("kept");
        sizes.push(file.end);
    }
    let most = sizes.iter().max().expect("sixty");
    assert!(*most <= REWRITE_BYTES_MIN + (512 << 10), "{most}");
    assert!(sizes.windows(2).any(|pair| pair[1] < pair[0]));
    let log = file.log().clone();
    drop(file);
    let again = open(&disk).expect("sound");
    assert_eq!(again.log().last(), log.last());
    assert!(again.log().records().eq(log.records()));
    assert_eq!(again.log().last(), Some(Offset::new(2 + 60 * 2_000 - 1)));
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let disk = MemoryDisk::default();
    let mut file = open(&disk).expect("sound");
    let said = ClusterMirror {
        include: vec!["a(".to_owned()],
        ..ClusterMirror::default()
    };
    let before = disk.bytes(&path());
    let bad = [
        topic("a", Desired::Paused),
        Record::Mirror(mirror(), Some(said)),
    ];
    assert!(append(&mut file, &bad).is_err());
    assert_eq!(disk.bytes(&path()), before);
    assert_eq!(*file.log(), StateLog::new());
    append(&mut file, &script()[0]).expect("it can go on");
}

/// A file with three groups, and where each begins.
fn three_groups() -> (Vec<u8>, [usize; 3]) {
    let disk = MemoryDisk::default();
    let mut file = open(&disk).expect("sound");
    let mut places = [0; 3];
    for (nth, place) in places.iter_mut().enumerate() {
        *place = usize::try_from(file.end).expect("small");
        append(&mut file, &script()[nth]).expect("kept");
    }
    (disk.bytes(&path()).expect("there"), places)
}

fn reopened(bytes: &[u8]) -> Result<StateLog, String> {
    let disk = MemoryDisk::default();
    disk.put(&path(), bytes);
    let opened = open(&disk).map(|file| file.log().clone());
    if opened.is_err() {
        assert_eq!(
            disk.bytes(&path()).as_deref(),
            Some(bytes),
            "it is left alone"
        );
    }
    opened.map_err(|fault| fault.to_string())
}

#[test]
fn damage_before_the_last_group_is_refused_with_its_place() {
    let (bytes, places) = three_groups();
    for at in HEAD.len()..places[2] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let begins = if at < places[1] { places[0] } else { places[1] };
        let fault = reopened(&damaged).expect_err("it is damaged");
        let expected = format!("/node/mirror-state.log is damaged at byte {begins}: ");
        assert!(fault.starts_with(&expected), "{at}: {fault}");
        assert!(fault.contains("Put a copy of it back"), "{fault}");
    }
    for at in 0..HEAD.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let fault = reopened(&damaged).expect_err("it is damaged");
        assert!(
            fault.contains("is damaged at byte 0: it does not begin"),
            "{fault}"
        );
    }
}

#[test]
fn a_torn_end_is_cut_off() {
    let (bytes, places) = three_groups();
    for end in places[2]..bytes.len() {
        assert_eq!(reopened(&bytes[..end]), Ok(said(2)), "{end}");
        let mut zeros = bytes.clone();
        zeros[end..].fill(0);
        // The last bytes of the group are zeros anyway.
        let is_same = zeros == bytes;
        assert_eq!(
            reopened(&zeros),
            Ok(said(if is_same { 3 } else { 2 })),
            "{end}"
        );
    }
    for end in 0..HEAD.len() {
        assert_eq!(reopened(&HEAD[..end]), Ok(said(0)));
        let mut zeros = HEAD.to_vec();
        zeros[end..].fill(0);
        assert_eq!(reopened(&zeros), Ok(said(0)));
    }
    assert!(reopened(b"something else").is_err());
}

#[test]
fn records_of_a_newer_twinlog_are_refused_with_what_to_do() {
    let (mut bytes, _) = three_groups();
    let (mut group, _) = group(Offset::new(8), &[topic("b", Desired::Paused)]);
    // Another kind of record, with a checksum that agrees.
    group[24..26].copy_from_slice(&1_999i16.to_be_bytes());
    let sum = {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&group[..4]);
        sum.update(&group[8..]);
        sum.finalize()
    };
    group[4..8].copy_from_slice(&sum.to_be_bytes());
    bytes.extend_from_slice(&group);
    let fault = reopened(&bytes).expect_err("nobody knows it");
    for words in [
        "mirror-state.log: the state log at offset 8",
        "kind 1999",
        "newer twinlog",
    ] {
        assert!(fault.contains(words), "{fault}");
    }
}
