//! A shard on the memory disk without a source: what control orders of a partition that we lead,
//! killed and robbed of power at every change.

mod alone;
mod full;
mod losing;
mod peer;

use std::path::{Path, PathBuf};

use alone::{Ordered, idle, with_shard, with_shard_of};

use super::inbox::{LeaderEpochs, LogOptions, Mirror, Retention, Told};
use super::*;
use crate::generator::{PartitionLoad, Sizes, Traffic, topics};
use crate::io::Disk;
use crate::io::memory::MemoryDisk;
use crate::log::{Beginning, Log, Opened, Reader, Store, cut, open};
use crate::model::{BrokerId, LeaderEpoch, Offset, ProducerIdShift, TopicId, WallTime};
use crate::record::{Expect, check_mut};
use crate::stdx::prng::Prng;

const BATCHES: usize = 17;
const TOPIC: TopicId = TopicId::new([7; 16]);
const WALL: WallTime = WallTime(2_000);
const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 1_000,
    segment_ms: i64::MAX,
    index_interval_bytes: 300,
    index_bytes_max: 1 << 20,
};

fn dir() -> PathBuf {
    PathBuf::from("/logs/t-0")
}

fn id() -> TopicPartition {
    "t-0".parse().expect("a name")
}

fn epoch(number: i32) -> LeaderEpoch {
    LeaderEpoch::new(number)
}

/// A log that was led in epoch 1, with transactions that are open at its end; and where that is.
fn mirrored() -> (MemoryDisk, Offset) {
    let (disk, mut log, mut store) = unsynced();
    let end = store.close(&mut log, WALL).expect("works");
    (disk, end)
}

/// The same log, of which nothing is durable.
fn unsynced() -> (MemoryDisk, Log, Store<MemoryDisk>) {
    let disk = MemoryDisk::default();
    let known = Beginning::anew(TOPIC);
    let opened = open(disk.clone(), &dir(), OPTIONS, known, WALL);
    let Opened {
        mut log, mut store, ..
    } = opened.expect("the disk works");
    store.lead(&mut log, epoch(1), None).expect("it is empty");
    for mut bytes in batches() {
        let due = Expect::after(log.watermarks().log_end, log.source_epoch());
        let (mut run, _) = check_mut(&mut bytes, due);
        store
            .note_source_epochs(&mut log, &run.as_run())
            .expect("works");
        run.stamp(epoch(1));
        store.append(&mut log, WALL, run.as_run()).expect("works");
    }
    (disk, log, store)
}

/// What the source has: transactions, and another leader's epoch from the middle on.
fn batches() -> Vec<Vec<u8>> {
    let all = topics(7, 1);
    let topic = all
        .iter()
        .find(|topic| topic.traffic == Traffic::Transactions);
    let sizes = Sizes {
        records: 3,
        value_bytes: 40,
    };
    let mut load = PartitionLoad::new(topic.expect("one of each"), 0, sizes);
    let next = |nth: usize| {
        if nth == 9 {
            load.elect();
        }
        load.next_batch(1_000 + nth as i64)
    };
    (0..BATCHES).map(next).collect()
}

/// The partition, to be led in epoch 2 and not fetched.
fn led(recovery_point: Offset) -> Box<Mirror> {
    Box::new(Mirror {
        id: id(),
        topic_id: TopicId::new([1; 16]),
        held_topic_id: Some(TOPIC),
        dir: dir(),
        leader: BrokerId(1),
        leader_epoch: epoch(5),
        log_start: Offset::ZERO,
        recovery_point,
        is_clean: false,
        refetchable: None,
        options: OPTIONS,
        producer_id_shift: ProducerIdShift::NONE,
        until: None,
        stamp: Some(epoch(2)),
        fetches: false,
        restarts: false,
        source_epochs: None,
        may_truncate: false,
        aside: None,
        follows_log_start: false,
        retention: None,
    })
}

/// What the orders, and a close behind them, come to.
fn obeyed(disk: &MemoryDisk, orders: Vec<Order>) -> Vec<Told> {
    with_shard(disk, async |ordered: &mut Ordered| {
        for order in orders {
            ordered.order(order).await;
        }
        ordered.order(Order::Close).await;
        let mut told = Vec::new();
        while let Some(one) = ordered.next().await {
            told.push(one);
        }
        told
    })
}

/// Every segment's bytes, one after the other.
fn content(disk: &MemoryDisk) -> Vec<u8> {
    let mut logs = disk.paths();
    logs.retain(|path| path.starts_with(dir()) && path.extension().is_some_and(|end| end == "log"));
    logs.sort();
    let bytes = logs.iter().map(|path| disk.bytes(path).expect("listed"));
    bytes.collect::<Vec<_>>().concat()
}

/// What a kill after so many changes leaves, and what a loss of power does.
fn left(disk: &MemoryDisk, after: usize) -> [MemoryDisk; 3] {
    let mut prng = Prng::new(after as u64);
    let chance = || u32::try_from(prng.below(1 << 20)).expect("small");
    [
        disk.after_kill(),
        disk.after_power_loss(chance),
        disk.after_power_loss(|| 0),
    ]
}

fn seal() -> Vec<Order> {
    vec![Order::Cease { id: id() }, Order::Seal { id: id() }]
}

fn orders(mirror: Box<Mirror>, then: Vec<Order>) -> Vec<Order> {
    let mut orders = vec![Order::Mirror(mirror)];
    orders.extend(then);
    orders
}

#[test]
fn sealing_tells_where_the_mirror_stood_and_what_it_ended() {
    let (sealed, end) = mirrored();
    let told = obeyed(&sealed, orders(led(end), seal()));
    let [
        Told::Opened {
            log_end,
            stamp,
            mirrored,
            source_epoch,
            ..
        },
        Told::Ceased {
            log_end: ceased_at,
            mirrored: lmo,
            source_epoch: lme,
            digest,
            ..
        },
        Told::Sealed {
            log_end: sealed_end,
            aborted,
            ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(
        (*log_end, *mirrored, *ceased_at, *lmo),
        (end, end, end, end)
    );
    let digest = digest.expect("its files are sound");
    assert!(digest.to == end && digest.chain.batches > 1, "{digest:?}");
    let epochs = (*stamp, *source_epoch, *lme);
    assert_eq!(epochs, (Some(epoch(2)), epoch(1), epoch(1)));
    assert!(aborted.len() > 1, "{aborted:?} is no test");
    assert_eq!(sealed_end.since(end) as usize, aborted.len());
}

#[test]
fn sealing_is_done_once_wherever_it_is_killed() {
    let (whole, end) = mirrored();
    let sealed = whole.after_kill();
    let told = obeyed(&sealed, orders(led(end), seal()));
    let Some(Told::Sealed {
        log_end: sealed_end,
        ..
    }) = told.last()
    else {
        panic!("{told:?}");
    };
    for after in 0..sealed.changes() {
        let disk = whole.after_kill();
        disk.kill_after(after);
        let before = obeyed(&disk, orders(led(end), seal()));
        let was_told = before
            .iter()
            .any(|told| matches!(told, Told::Sealed { .. }));
        for left in left(&disk, after) {
            let held = content(&left).len();
            let told = obeyed(&left, orders(led(end), seal()));
            let [
                ..,
                Told::Ceased { mirrored, .. },
                Told::Sealed {
                    log_end, aborted, ..
                },
            ] = &told[..]
            else {
                panic!("killed after {after}: {told:?}");
            };
            assert_eq!(
                (*mirrored, *log_end),
                (end, *sealed_end),
                "killed after {after}"
            );
            assert_eq!(content(&left), content(&sealed), "killed after {after}");
            if was_told {
                assert_eq!(aborted, &[], "killed after {after}, when it was told");
                assert_eq!(held, content(&sealed).len());
            }
        }
    }
}

/// Where the batch begins that holds the middle of the log.
fn boundary(disk: &MemoryDisk, middle: Offset) -> Offset {
    let reader = Reader::open(disk.clone(), &dir()).expect("readable");
    let mut stream = crate::log::BatchStream::from(reader, Offset::ZERO).expect("readable");
    let mut end = Offset::ZERO;
    while let Some(batch) = stream.next_batch().expect("sound") {
        if batch.next_offset() > middle {
            break;
        }
        end = batch.next_offset();
    }
    end
}

#[test]
fn a_cut_ends_where_it_was_to_wherever_it_is_killed() {
    let (whole, end) = mirrored();
    let to = boundary(&whole, Offset::new(end.value() / 2));
    let cut = || vec![Order::Cut { id: id(), to }];
    let cut_whole = whole.after_kill();
    let mut mirror = led(end);
    mirror.aside = Some(PathBuf::from("/logs.aside"));
    let told = obeyed(&cut_whole, orders(mirror.clone(), cut()));
    let [
        Told::Opened { .. },
        Told::SetAside { aside, .. },
        Told::Cut {
            log_end, epochs, ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(*log_end, to);
    let begun: Vec<_> = epochs.iter().collect();
    assert_eq!(
        begun,
        [(epoch(1), Offset::ZERO), (epoch(2), to)],
        "we lead from there on"
    );
    assert_eq!((aside.from, aside.to), (to.value(), end.value()));
    let aside = cut_whole.list(Path::new(&aside.path));
    assert!(aside.expect("it is there").len() > 2);
    let changes = cut_whole.changes();
    for after in 0..changes {
        let disk = whole.after_kill();
        disk.kill_after(after);
        let before = obeyed(&disk, orders(mirror.clone(), cut()));
        let was_told = before.iter().any(|told| matches!(told, Told::Cut { .. }));
        for left in left(&disk, after) {
            // Nobody has lowered the recovery point.
            let told = obeyed(&left, orders(mirror.clone(), cut()));
            let [
                Told::Opened { log_end: found, .. },
                aside @ ..,
                Told::Cut { log_end, .. },
            ] = &told[..]
            else {
                panic!("killed after {after}: {told:?}");
            };
            assert_eq!(*log_end, to, "killed after {after}");
            let is_told = matches!(aside, [Told::SetAside { .. }]);
            assert_eq!(is_told, *found > to, "killed after {after}: {told:?}");
            assert!(
                !was_told || *found == to,
                "killed after {after}, when it was told"
            );
            assert!(content(&whole).starts_with(&content(&left)));
        }
    }
}

/// What came behind a cut is not durable for the sake of a recovery point of before.
#[test]
fn a_log_that_was_cut_and_killed_is_durable_up_to_there() {
    let (disk, end) = mirrored();
    let to = boundary(&disk, Offset::new(end.value() / 2));
    cut(&disk, &dir(), to, end).expect("works");
    let opened = || {
        let known = Beginning {
            recovery_point: end,
            ..Beginning::anew(TOPIC)
        };
        open(disk.clone(), &dir(), OPTIONS, known, WALL).expect("sound")
    };
    let Opened {
        mut log, mut store, ..
    } = opened();
    store.lead(&mut log, epoch(2), None).expect("works");
    store.seal(&mut log, WALL).expect("works");
    let unsynced = log.watermarks().log_end;
    assert!((to..end).contains(&unsynced) && to < unsynced, "{unsynced}");
    let Opened {
        log,
        store,
        recovered,
        ..
    } = opened();
    let partition = Partition::new(*led(end), log, store, recovered);
    assert_eq!((partition.end(), partition.durable), (unsynced, to));
}

#[test]
fn what_was_released_is_closed_cleanly_wherever_it_is_killed() {
    let (whole, end) = mirrored();
    let give_away = || {
        let mut orders = orders(led(end), seal());
        orders.push(Order::Release { id: id() });
        orders
    };
    let whole_run = whole.after_kill();
    let told = obeyed(&whole_run, give_away());
    let Some(Told::Released {
        log_end: sealed_end,
        is_clean: true,
        ..
    }) = told.last()
    else {
        panic!("{told:?}");
    };
    let mut released = 0;
    for after in 0..=whole_run.changes() {
        let disk = whole.after_kill();
        disk.kill_after(after);
        let told = obeyed(&disk, give_away());
        let Some(Told::Released {
            log_end,
            is_clean: true,
            ..
        }) = told.last()
        else {
            continue;
        };
        assert_eq!(log_end, sealed_end);
        released += 1;
        for left in left(&disk, after) {
            let mut again = led(*log_end);
            again.is_clean = true;
            let told = obeyed(&left, orders(again, vec![]));
            let [
                Told::Opened {
                    log_end, mirrored, ..
                },
            ] = &told[..]
            else {
                panic!("{told:?}");
            };
            assert_eq!((log_end, *mirrored), (sealed_end, end));
        }
    }
    assert!(released > 0, "never");
}

#[test]
fn what_was_released_can_be_mirrored_again_at_once() {
    let (disk, end) = mirrored();
    let mut again = led(end);
    again.stamp = None;
    again.is_clean = true;
    let then = vec![
        Order::Release { id: id() },
        Order::Mirror(again),
        Order::Cease { id: id() },
    ];
    let told = obeyed(&disk, orders(led(end), then));
    let [
        Told::Opened { .. },
        Told::Released { is_clean: true, .. },
        Told::Opened {
            stamp: None,
            mirrored,
            ..
        },
        Told::Ceased { .. },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(*mirrored, end);
}

#[test]
fn a_later_epoch_is_told_once_it_is_durable() {
    let (disk, end) = mirrored();
    let lead = |number| Order::Stamp {
        id: id(),
        epoch: epoch(number),
    };
    with_shard(&disk, async |ordered: &mut Ordered| {
        ordered.order(Order::Mirror(led(end))).await;
        ordered.next().await.expect("it is open");
        for number in [4, 4, 6] {
            ordered.order(lead(number)).await;
            let told = ordered.next().await;
            let Some(Told::Opened { epochs, stamp, .. }) = told else {
                panic!("{told:?}");
            };
            assert_eq!(stamp, Some(epoch(number)));
            assert_eq!(epochs.iter().last(), Some((epoch(number), end)));
            let left = disk.after_power_loss(|| 0);
            let path = dir().join("leader-epoch-checkpoint");
            let text = left.bytes(&path).expect("it is there");
            let text = String::from_utf8(text).expect("text");
            assert!(text.ends_with(&format!("\n{number} {end}\n")), "{text}");
        }
        ordered.order(lead(5)).await;
        let told = ordered.next().await;
        assert!(
            matches!(told, Some(Told::Failed { what: "stamp", .. })),
            "{told:?}"
        );
    });
}

#[test]
fn an_order_that_cannot_be_obeyed_is_answered_with_the_reason() {
    let (disk, end) = mirrored();
    with_shard(&disk, async |ordered: &mut Ordered| {
        let fails = async |ordered: &mut Ordered, order, verb: &str, word: &str| {
            ordered.order(order).await;
            let told = ordered.next().await;
            let Some(Told::Failed { what, why, .. }) = &told else {
                panic!("{told:?}");
            };
            assert_eq!(*what, verb);
            assert!(why.contains(word), "{why}");
        };
        let fetch = || Order::Fetch { id: id() };
        fails(ordered, fetch(), "fetch", "not mirrored here").await;
        let mut older = led(end);
        older.stamp = Some(epoch(0));
        fails(ordered, Order::Mirror(older), "open", "leader epoch 0").await;
        let mut elsewhere = led(end);
        elsewhere.held_topic_id = None;
        fails(ordered, Order::Mirror(elsewhere), "open", "elsewhere").await;
        ordered.order(Order::Mirror(led(end))).await;
        ordered.next().await.expect("it is open");
        fails(ordered, Order::Mirror(led(end)), "open", "mirrored already").await;
        ordered.order(fetch()).await;
        fails(ordered, Order::Seal { id: id() }, "seal", "still fetched").await;
        let to = Offset::new(3);
        fails(ordered, Order::Cut { id: id(), to }, "cut", "still fetched").await;
        for order in seal() {
            ordered.order(order).await;
            ordered.next().await.expect("it is obeyed");
        }
        // Our markers lie where the source has something else.
        fails(ordered, fetch(), "fetch", "not known to be the source's").await;
        ordered.order(Order::Cut { id: id(), to: end }).await;
        let told = ordered.next().await;
        assert!(
            matches!(told, Some(Told::Cut { log_end, .. }) if log_end == end),
            "{told:?}"
        );
        ordered.order(fetch()).await;
        fails(ordered, Order::Seal { id: id() }, "seal", "still fetched").await;
    });
}

/// What is mirrored back may part from what others have before our log begins.
#[test]
fn a_log_that_is_cut_before_its_beginning_is_emptied_and_begins_there() {
    let (disk, end) = mirrored();
    let mut begins_later = led(end);
    begins_later.log_start = Offset::new(4);
    let to = Offset::new(3);
    let told = obeyed(
        &disk,
        orders(begins_later, vec![Order::Cut { id: id(), to }]),
    );
    let Some(Told::Cut {
        log_start,
        log_end,
        epochs,
        ..
    }) = told.last()
    else {
        panic!("{told:?}");
    };
    assert_eq!((*log_start, *log_end), (to, to));
    assert_eq!(epochs.iter().collect::<Vec<_>>(), [(epoch(2), to)]);
}

/// What comes before a log that begins anew is dropped, however much of it was durable.
#[test]
fn a_log_that_begins_anew_holds_nothing_of_before() {
    let (disk, end) = mirrored();
    let mut anew = led(end);
    let at = Offset::new(end.value() + 100);
    (anew.log_start, anew.restarts) = (at, true);
    let told = obeyed(&disk, orders(anew, Vec::new()));
    let Some(Told::Opened {
        log_start, log_end, ..
    }) = told.last()
    else {
        panic!("{told:?}");
    };
    assert_eq!((*log_start, *log_end), (at, at));
}

#[test]
fn a_log_of_unknown_origin_is_not_fetched() {
    let (disk, end) = mirrored();
    let file = dir().join("source-leader-epoch-checkpoint");
    disk.remove_file(&file).expect("it is there");
    let mut mirror = led(end);
    mirror.fetches = true;
    let told = obeyed(&disk, orders(mirror.clone(), vec![]));
    let [
        Told::Opened { mirrored, .. },
        Told::Failed { what: "fetch", .. },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(*mirrored, Offset::ZERO);
    mirror.source_epochs = LeaderEpochs::of(vec![(epoch(0), Offset::ZERO)]);
    let told = obeyed(&disk, orders(mirror, vec![]));
    let [
        Told::Opened {
            mirrored,
            source_epoch,
            ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!((*mirrored, *source_epoch), (end, epoch(0)));
}

#[test]
fn what_a_sync_has_lost_is_given_back_and_mirrored_again() {
    let (disk, end) = mirrored();
    let release = || Order::Release { id: id() };
    with_shard(&disk, async |ordered: &mut Ordered| {
        ordered.order(Order::Mirror(led(end))).await;
        ordered.next().await.expect("it is open");
        disk.fail_syncs(true);
        ordered.order(Order::Seal { id: id() }).await;
        let (broken, failed) = (ordered.next().await, ordered.next().await);
        assert!(matches!(broken, Some(Told::Broken { durable, .. }) if durable == end));
        assert!(
            matches!(failed, Some(Told::Failed { what: "seal", .. })),
            "{failed:?}"
        );
        // While what was lost cannot be taken away, nobody may open it.
        ordered.order(release()).await;
        let failed = ordered.next().await;
        assert!(
            matches!(
                failed,
                Some(Told::Failed {
                    what: "release",
                    ..
                })
            ),
            "{failed:?}"
        );
        disk.fail_syncs(false);
        ordered.order(release()).await;
        let told = ordered.next().await;
        let Some(Told::Released {
            log_end,
            is_clean: false,
            ..
        }) = told
        else {
            panic!("{told:?}");
        };
        assert_eq!(log_end, end);
        ordered.order(Order::Mirror(led(end))).await;
        let told = ordered.next().await;
        assert!(
            matches!(told, Some(Told::Opened { log_end, .. }) if log_end == end),
            "{told:?}"
        );
        ordered.order(Order::Seal { id: id() }).await;
        let told = ordered.next().await;
        let Some(Told::Sealed { log_end, .. }) = told else {
            panic!("{told:?}");
        };
        let left = disk.after_power_loss(|| 0);
        assert_eq!(boundary(&left, log_end), log_end, "now it is durable");
    });
}

/// What a sync has lost, and could not be cut off then, is at the end.
#[test]
fn what_a_sync_has_lost_does_not_outlive_the_shard() {
    let (disk, end) = mirrored();
    let durable = content(&disk);
    let mut mirror = led(end);
    mirror.options.segment_bytes = 1 << 20;
    with_shard(&disk, async |ordered: &mut Ordered| {
        ordered.order(Order::Mirror(mirror)).await;
        ordered.next().await.expect("it is open");
        // Two syncs note that what follows is not the source's.
        disk.fail_sync_after(2);
        disk.fail_truncates(true);
        ordered.order(Order::Seal { id: id() }).await;
        let broken = ordered.next().await;
        assert!(matches!(broken, Some(Told::Broken { .. })), "{broken:?}");
        assert!(content(&disk) != durable, "it could be cut");
        ordered.order(Order::Cease { id: id() }).await;
        let mut ceased = ordered.next().await;
        while matches!(ceased, Some(Told::Failed { .. })) {
            ceased = ordered.next().await;
        }
        let Some(Told::Ceased { digest, .. }) = ceased else {
            panic!("{ceased:?}");
        };
        assert_eq!(digest, None, "nobody knows what its files hold");
        disk.fail_truncates(false);
        ordered.order(Order::Close).await;
        while ordered.next().await.is_some() {}
    });
    assert!(content(&disk) == durable, "the next start would take it in");
}

/// A seal comes while all of the log is being synced, segment by segment: whichever of the syncs
/// fails, what is said to be durable is.
#[test]
fn nothing_is_called_durable_after_a_sync_that_failed_beside_a_seal() {
    let mut sealed = 0;
    let mut broken = 0;
    for nth in 0.. {
        let (disk, _, _) = unsynced();
        disk.fail_sync_after(nth);
        let syncs_max = disk.syncs() + nth;
        with_shard(&disk, async |ordered: &mut Ordered| {
            ordered.order(Order::Mirror(led(Offset::ZERO))).await;
            if !matches!(ordered.next().await, Some(Told::Opened { .. })) {
                return;
            }
            let flush_interval_ms = Options::default().flush_interval_ms;
            ordered.pass_ms(flush_interval_ms.into()).await;
            ordered.order(Order::Seal { id: id() }).await;
            while let Some(told) = ordered.next().await {
                let is_sealed = matches!(told, Told::Sealed { .. });
                sealed += u32::from(is_sealed);
                broken += u32::from(matches!(told, Told::Broken { .. }));
                assert_durable(&disk, &told);
                if is_sealed || matches!(told, Told::Failed { .. }) {
                    break;
                }
            }
            ordered.order(Order::Release { id: id() }).await;
            ordered.order(Order::Close).await;
            while let Some(told) = ordered.next().await {
                assert_durable(&disk, &told);
            }
        });
        if disk.syncs() <= syncs_max {
            break;
        }
    }
    assert!(sealed > 3 && broken > 20, "{sealed} {broken} is no test");
}

/// What is said to be durable outlasts a loss of power.
fn assert_durable(disk: &MemoryDisk, told: &Told) {
    let durable = match told {
        Told::Sealed { log_end, .. } | Told::Released { log_end, .. } => *log_end,
        Told::Broken { durable, .. } => *durable,
        _ => return,
    };
    if durable > Offset::ZERO {
        let left = disk.after_power_loss(|| 0);
        assert_eq!(boundary(&left, durable), durable, "{told:?}");
    }
}

/// A sync may be under way when something else of the same files fails, and fail as well.
#[test]
fn a_partition_breaks_once() {
    let (disk, end) = mirrored();
    let mut shard = idle(&disk);
    shard.obey(Order::Mirror(led(end)));
    let cursor = shard.by_name[&id()];
    for _ in 0..2 {
        let fault = crate::log::LogFault::Unsynced {
            path: dir(),
            error: std::io::Error::other("the device has lost it"),
        };
        shard.break_off(cursor, &fault);
    }
    let is_broken = |told: &&Told| matches!(told, Told::Broken { .. });
    assert_eq!(shard.report.told.iter().filter(is_broken).count(), 1);
}

#[test]
fn a_sync_that_fails_while_a_partition_is_given_away_is_told() {
    let (disk, end) = mirrored();
    with_shard(&disk, async |ordered: &mut Ordered| {
        ordered.order(Order::Mirror(led(end))).await;
        ordered.next().await.expect("it is open");
        disk.fail_sync_after(0);
        ordered.order(Order::Release { id: id() }).await;
        let (broken, released) = (ordered.next().await, ordered.next().await);
        assert!(matches!(broken, Some(Told::Broken { .. })), "{broken:?}");
        let is_clean = match released {
            Some(Told::Released { is_clean, .. }) => is_clean,
            other => panic!("{other:?}"),
        };
        assert!(!is_clean);
    });
}

#[test]
fn moves_that_find_no_room_are_told_together_later() {
    let (disk, end) = mirrored();
    with_shard(&disk, async |ordered: &mut Ordered| {
        ordered.order(Order::Mirror(led(end))).await;
        ordered.next().await.expect("it is open");
        for order in seal() {
            ordered.order(order).await;
            ordered.next().await.expect("it is obeyed");
        }
        // The queue has room for one message, which tells of the opening.
        let first = ordered.moved().await;
        let [moved] = &first[..] else {
            panic!("{first:?}");
        };
        assert_eq!((moved.log_end, moved.stamp), (end, epoch(2)));
        assert!(moved.epochs.is_some());
        let epochs = moved.epochs.clone();
        let second = ordered.moved().await;
        let [moved] = &second[..] else {
            panic!("{second:?}");
        };
        assert!(moved.log_end > end && moved.epochs.is_none(), "{moved:?}");
        for number in [3, 4] {
            let order = Order::Stamp {
                id: id(),
                epoch: epoch(number),
            };
            ordered.order(order).await;
            ordered.next().await.expect("it is obeyed");
        }
        ordered.order(Order::Cut { id: id(), to: end }).await;
        ordered.next().await.expect("it is obeyed");
        let third = ordered.moved().await;
        assert_eq!(third[0].stamp, epoch(3));
        let fourth = ordered.moved().await;
        let [moved] = &fourth[..] else {
            panic!("{fourth:?}");
        };
        assert_eq!(
            (moved.stamp, moved.log_end),
            (epoch(4), end),
            "the latest of all"
        );
        assert_ne!(moved.epochs, epochs);
    });
}

#[test]
fn old_segments_of_a_led_log_go_when_no_replica_needs_them() {
    let (disk, end) = mirrored();
    let mut mirror = led(end);
    mirror.retention = Some(Retention {
        ms: None,
        bytes: Some(0),
    });
    let options = Options {
        retention_interval_ms: 1_000,
        ..Options::default()
    };
    with_shard_of(&disk, options, async |ordered: &mut Ordered| {
        ordered.order(Order::Mirror(mirror)).await;
        ordered.next().await.expect("it is open");
        let first = ordered.moved().await;
        assert_eq!(first[0].log_start, Offset::ZERO);
        ordered.pass_ms(10_000).await;
        let before = content(&disk).len();
        let half = Offset::new(end.value() / 2);
        ordered.order(Order::Replicated(vec![(id(), half)])).await;
        let moved = ordered.moved().await;
        let start = moved[0].log_start;
        assert!(start > Offset::ZERO && start <= half, "{start}");
        ordered.pass_ms(10_000).await;
        assert!(content(&disk).len() < before);
        ordered.order(Order::Replicated(vec![(id(), end)])).await;
        let moved = ordered.moved().await;
        assert!(moved[0].log_start > start);
    });
}
