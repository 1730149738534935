//! A disk that fills up while the source has a log cut, at whichever change that is, and later has
//! room again: the partition waits, and nothing of it is lost or kept twice.

use super::alone::{Ordered, with_shard, with_shard_and};
use super::peer::Peer;
use super::*;
use crate::log::{Claims, verify};
use crate::model::{BrokerEpoch, PartitionIndex, TopicName, Watermarks};
use crate::protocol::fetch::{Endpoint, Replica};
use crate::server::Server;
use crate::shard::inbox::{Answer, EpochEnd, Question, Report};

const ASIDE: &str = "/logs.aside";
const FOR_EVER: usize = usize::MAX >> 1;

/// A log as it was copied, closed; and where it ends.
fn copied() -> (MemoryDisk, Offset) {
    let disk = MemoryDisk::default();
    let opened = open(disk.clone(), &dir(), OPTIONS, Beginning::anew(TOPIC), WALL);
    let Opened {
        mut log, mut store, ..
    } = opened.expect("the disk works");
    for (nth, mut bytes) in batches().into_iter().enumerate() {
        let due = Expect::after(log.watermarks().log_end, log.last_epoch());
        let (run, _) = check_mut(&mut bytes, due);
        let appended = store.append(&mut log, WALL, run.as_run());
        appended.unwrap_or_else(|fault| panic!("{nth}: {fault}"));
    }
    let end = store.close(&mut log, WALL).expect("works");
    (disk, end)
}

/// The partition, to be fetched, and cut where its source is.
fn fetched(recovery_point: Offset) -> Box<Mirror> {
    Box::new(Mirror {
        topic_id: TOPIC,
        held_topic_id: None,
        stamp: None,
        fetches: true,
        restarts: false,
        may_truncate: true,
        aside: Some(PathBuf::from(ASIDE)),
        ..*led(recovery_point)
    })
}

/// What a shard has said so far.
#[derive(Default)]
struct Heard {
    told: Vec<Told>,
    /// What it waited for.
    waits: Vec<String>,
    durable: Offset,
    is_closing: bool,
    is_closed_clean: Option<bool>,
}

impl Heard {
    fn take(&mut self, report: Report) -> Vec<Question> {
        self.told.extend(report.told);
        for status in report.statuses {
            match status.phase {
                Phase::Waiting(why) => self.waits.push(why),
                // A shard that is to end waits for nothing.
                Phase::Stopped(why) => assert!(self.is_closing, "it stops: {why}"),
                Phase::Mirroring | Phase::Done => {}
            }
            self.durable = status.durable;
        }
        if let Some(closed) = report.closed {
            self.is_closed_clean = Some(closed.is_clean);
        }
        let asked = report.questions.into_iter();
        asked.map(|asked| asked.question).collect()
    }

    /// The next question about the partition.
    async fn until_asked(&mut self, ordered: &mut Ordered) -> Question {
        loop {
            let report = ordered.report().await.expect("the shard goes on");
            let mut asked = self.take(report).into_iter();
            let about_it = asked.find(|asked| !matches!(asked, Question::Broker { .. }));
            if let Some(question) = about_it {
                return question;
            }
        }
    }

    async fn until_told(&mut self, ordered: &mut Ordered, is_it: impl Fn(&Told) -> bool) {
        while !self.told.iter().any(&is_it) {
            let report = ordered.report().await.expect("the shard goes on");
            self.take(report);
        }
    }

    async fn until_it_waits(&mut self, ordered: &mut Ordered) {
        while self.waits.is_empty() {
            let report = ordered.report().await.expect("the shard goes on");
            self.take(report);
        }
    }

    async fn until_closed(&mut self, ordered: &mut Ordered) {
        self.is_closing = true;
        ordered.order(Order::Close).await;
        while let Some(report) = ordered.report().await {
            self.take(report);
        }
    }

    fn was_cut(&self) -> bool {
        let mut told = self.told.iter();
        told.any(|told| matches!(told, Told::SourceTruncated { .. }))
    }
}

/// The answer after which the log ends at `to`.
fn ends_at(question: Question, to: Offset) -> Order {
    match question {
        Question::EpochEnd {
            cursor,
            leader_epoch: under,
            epoch,
            ..
        } => {
            let end = Some(EpochEnd { epoch, end: to });
            let answer = Answer::EpochEnd {
                of: epoch,
                under,
                end,
            };
            Order::Answer { cursor, answer }
        }
        Question::Bounds { cursor, .. } => {
            let answer = Answer::Bounds { start: to, end: to };
            Order::Answer { cursor, answer }
        }
        other => panic!("{other:?}"),
    }
}

/// Everything that lies there but the notes of a cut, which say what was tried.
fn files(disk: &MemoryDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths = disk.paths();
    paths.retain(|path| !path.ends_with("cut-checkpoint"));
    let file = |path: PathBuf| {
        let bytes = disk.bytes(&path).expect("listed");
        (path, bytes)
    };
    paths.into_iter().map(file).collect()
}

/// Has the source lose what lies from `to` on, on a disk that is full `times` times after so many
/// changes. Says what was heard, and how many changes needed room.
fn cut_on(disk: &MemoryDisk, end: Offset, to: Offset, full: (usize, usize)) -> (Heard, usize) {
    with_shard(disk, async |ordered: &mut Ordered| {
        let mut heard = Heard::default();
        ordered.order(Order::Mirror(fetched(end))).await;
        let question = heard.until_asked(ordered).await;
        let before = disk.grows();
        disk.fill_after(full.0, full.1);
        ordered.order(ends_at(question, to)).await;
        let question = heard.until_asked(ordered).await;
        let grows = disk.grows() - before;
        ordered.order(ends_at(question, to)).await;
        heard.until_closed(ordered).await;
        (heard, grows)
    })
}

fn assert_cut_once(heard: &Heard, what: &str) {
    let cut = |told: &&Told| matches!(told, Told::SourceTruncated { .. });
    assert_eq!(heard.told.iter().filter(cut).count(), 1, "{what}");
    assert_eq!(heard.is_closed_clean, Some(true), "{what}");
}

#[test]
fn a_cut_waits_for_room_at_every_step() {
    let (whole, end) = copied();
    let to = boundary(&whole, Offset::new(end.value() * 4 / 5));
    let well = whole.after_kill();
    let (heard, grows) = cut_on(&well, end, to, (0, 0));
    assert_cut_once(&heard, "with room");
    assert!(grows > 5 && to < end, "{grows} changes are no test");
    for after in 0..grows {
        for times in [1, 4] {
            let what = format!("full {times} times after {after}");
            let disk = whole.after_kill();
            let (heard, _) = cut_on(&disk, end, to, (after, times));
            assert_cut_once(&heard, &what);
            let said = heard.waits.first().expect("it has waited");
            assert!(
                said.contains("/logs"),
                "{what}: it does not say where: {said}"
            );
            assert!(files(&disk) == files(&well), "{what}");
            let claims = Claims {
                topic_id: TOPIC,
                log_start: Some(Offset::ZERO),
                durable: to,
                is_clean: true,
            };
            let verified = verify(&disk, &dir(), claims).expect("the disk works");
            assert_eq!(verified.findings, [], "{what}");
        }
    }
}

#[test]
fn a_cut_that_waits_may_be_killed_or_closed() {
    let (whole, end) = copied();
    let to = boundary(&whole, Offset::new(end.value() * 4 / 5));
    let well = whole.after_kill();
    let (_, grows) = cut_on(&well, end, to, (0, 0));
    for after in 0..grows {
        let disk = whole.after_kill();
        let what = format!("full for ever after {after}");
        let (killed, heard) = with_shard(&disk, async |ordered: &mut Ordered| {
            let mut heard = Heard::default();
            ordered.order(Order::Mirror(fetched(end))).await;
            let question = heard.until_asked(ordered).await;
            disk.fill_after(after, FOR_EVER);
            ordered.order(ends_at(question, to)).await;
            heard.until_it_waits(ordered).await;
            ordered.pass_ms(20_000).await;
            let killed = left(&disk, after);
            heard.until_closed(ordered).await;
            (killed, heard)
        });
        assert!(!heard.was_cut(), "{what}");
        let is_clean = heard.is_closed_clean.expect("it has ended");
        let closed = disk.after_kill();
        let killed = killed.into_iter().map(|disk| (disk, end, false));
        let all = killed.chain([(closed, heard.durable, is_clean)]);
        for (left, recovery_point, is_clean) in all {
            with_shard(&left, async |ordered: &mut Ordered| {
                let mut heard = Heard::default();
                let mut mirror = fetched(recovery_point);
                mirror.is_clean = is_clean;
                ordered.order(Order::Mirror(mirror)).await;
                let question = heard.until_asked(ordered).await;
                ordered.order(ends_at(question, to)).await;
                // What was half cut may be cut to its end already.
                ordered.pass_ms(1_000).await;
                heard.until_closed(ordered).await;
                assert_eq!(heard.is_closed_clean, Some(true), "{what}");
            });
            assert_eq!(content(&left), content(&well), "{what}");
        }
    }
}

#[test]
fn a_partition_whose_cut_waits_can_be_given_away() {
    let (whole, end) = copied();
    let to = boundary(&whole, Offset::new(end.value() * 4 / 5));
    let (_, grows) = cut_on(&whole.after_kill(), end, to, (0, 0));
    let (mut ceased, mut unclean) = (0, 0);
    for after in 0..grows {
        let disk = whole.after_kill();
        let what = format!("full for ever after {after}");
        let heard = with_shard(&disk, async |ordered: &mut Ordered| {
            let mut heard = Heard::default();
            ordered.order(Order::Mirror(fetched(end))).await;
            let question = heard.until_asked(ordered).await;
            disk.fill_after(after, FOR_EVER);
            ordered.order(ends_at(question, to)).await;
            heard.until_it_waits(ordered).await;
            ordered.order(Order::Cease { id: id() }).await;
            ordered.pass_ms(5_000).await;
            disk.fill_after(0, 0);
            ordered.order(Order::Release { id: id() }).await;
            heard
                .until_told(ordered, |told| matches!(told, Told::Released { .. }))
                .await;
            heard
        });
        let Some(Told::Released {
            log_end, is_clean, ..
        }) = heard.told.last()
        else {
            panic!("{what}: {:?}", heard.told);
        };
        let is_ceased =
            |told: &Told| matches!(told, Told::Ceased { log_end, .. } if *log_end == end);
        ceased += usize::from(heard.told.iter().any(is_ceased));
        unclean += usize::from(!is_clean);
        let mut again = led(*log_end);
        (again.stamp, again.is_clean) = (None, *is_clean);
        (again.topic_id, again.held_topic_id) = (TOPIC, None);
        let told = obeyed(&disk, orders(again, vec![]));
        let [Told::Opened { log_end: found, .. }] = &told[..] else {
            panic!("{what}: {told:?}");
        };
        assert!((to..=end).contains(found), "{what}: {found}");
        assert!(!is_clean || found == log_end, "{what}");
        assert!(content(&whole).starts_with(&content(&disk)), "{what}");
    }
    assert!(ceased > 1 && unclean > 1, "{ceased} {unclean} are no test");
}

/// A leader that has nothing of what we hold, and begins later.
fn leader(begins: Offset) -> Peer {
    let mut server = Server::for_followers();
    server.trust(true);
    let watermarks = Watermarks {
        log_start: begins,
        last_stable: begins,
        high_watermark: begins,
        log_end: begins,
    };
    let partition = crate::server::Partition {
        leader_epoch: epoch(5),
        watermarks,
        followers: vec![BrokerId(9)],
        holds_others: false,
        held_from: begins,
    };
    let (name, index) = (TopicName::new("t"), PartitionIndex::new(0));
    server.lead(
        &name.expect("legal"),
        TOPIC,
        index.expect("not negative"),
        partition,
    );
    Peer::new(server, Box::new(|answer| (answer, true)))
}

/// The leader of a replica begins at `at`, behind all that the replica has.
fn restart_on(disk: &MemoryDisk, end: Offset, at: Offset, full: (usize, usize)) -> (Heard, usize) {
    let mut options = Options::default();
    options.source.replica = Some(Replica {
        broker: BrokerId(9),
        epoch: BrokerEpoch::new(1),
    });
    with_shard_and(disk, &leader(at), options, async |ordered: &mut Ordered| {
        let mut heard = Heard::default();
        let broker = Endpoint {
            broker: BrokerId(1),
            host: "leader".to_owned(),
            port: 9092,
        };
        ordered.order(Order::Brokers(vec![broker])).await;
        ordered.order(Order::Mirror(fetched(end))).await;
        let question = heard.until_asked(ordered).await;
        let before = disk.grows();
        disk.fill_after(full.0, full.1);
        ordered.order(ends_at(question, at)).await;
        let is_cut = |told: &Told| matches!(told, Told::SourceTruncated { .. });
        heard.until_told(ordered, is_cut).await;
        let grows = disk.grows() - before;
        heard.until_closed(ordered).await;
        (heard, grows)
    })
}

#[test]
fn a_log_that_begins_anew_waits_for_room_at_every_step() {
    let (whole, end) = copied();
    let at = Offset::new(end.value() + 100);
    let well = whole.after_kill();
    let (heard, grows) = restart_on(&well, end, at, (0, 0));
    assert_cut_once(&heard, "with room");
    assert!(grows > 5, "{grows} changes are no test");
    for after in 0..grows {
        for times in [1, 4] {
            let what = format!("full {times} times after {after}");
            let disk = whole.after_kill();
            let (heard, _) = restart_on(&disk, end, at, (after, times));
            assert_cut_once(&heard, &what);
            assert!(!heard.waits.is_empty(), "{what}: it has not waited");
            assert!(files(&disk) == files(&well), "{what}");
        }
    }
}
