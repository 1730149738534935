//! Connections to source brokers: a reading and a writing task each, which only move bytes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;

use super::conversation::Taking;
use super::event::Event;
use super::silence::Vigil;
use super::{Shard, StreamOf};
use crate::io::{Buf, World};
use crate::model::Instant;
use crate::protocol::fetch::{AnswerReader, Endpoint, write_request};
use crate::session::{BrokerAddress, CLIENT_ID, Channel, Client, Opening, Security, SessionFault};
use crate::source::{LaneId, REPLICA_VERSION_MIN};

/// Requests of one link that may wait to be sent: two in flight at most.
const REQUESTS_QUEUED_MAX: usize = 2;
/// How long a connection may take to be opened.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);
/// A window is not received into with less room than this share of it: first it is compacted.
const ROOM_SHARE: usize = 4;

/// Tells a link from an earlier one of the same lane.
pub(super) type LinkNumber = u64;

/// One open connection.
pub(super) struct Link<W: World> {
    pub(super) number: LinkNumber,
    channel: Channel<StreamOf<W>>,
    next_correlation: i32,
    /// Correlation ids and versions of requests whose answers have not begun.
    pub(super) unanswered: VecDeque<(i32, i16)>,
    pub(super) reader: Option<AnswerReader>,
    pub(super) vigil: Vigil,
    /// When it was last said that its answers bring nothing.
    pub(super) said_at: Option<Instant>,
    /// The partition of the answer that is being taken in.
    pub(super) taking: Option<Taking>,
    windows: mpsc::Sender<Buf>,
    requests: mpsc::Sender<Buf>,
    scratch: Vec<u8>,
}

impl<W: World> Shard<W> {
    /// Opens the connections that the source wants.
    pub(super) fn connect(&mut self) {
        let now = self.now();
        while let Some((lane, endpoint)) = self.source.plan_connect(now) {
            let (world, events) = (self.world.clone(), self.events_in.clone());
            let is_replica = self.options.source.replica.is_some();
            let version_min = if is_replica { REPLICA_VERSION_MIN } else { 0 };
            self.world.spawn(async move {
                let outcome = open(&world, &endpoint, version_min).await;
                // Where the shard has ended, nobody wants it.
                drop(events.send(Event::Opened { lane, outcome }).await);
            });
        }
    }

    pub(super) fn opened(
        &mut self,
        lane: LaneId,
        outcome: Result<(Channel<StreamOf<W>>, i16), SessionFault>,
    ) {
        match outcome {
            Ok((channel, version)) => {
                self.next_link += 1;
                let link = self.link(lane, channel);
                let window = Buf::unpooled(self.options.window_bytes as usize);
                link.receive_into(window);
                self.links.insert(lane, link);
                self.source.lane_up(lane, version);
            }
            Err(fault) => {
                self.say_lost(lane, &fault);
                self.pause_lane(lane, &fault);
                self.source.lane_lost(self.now(), lane);
            }
        }
    }

    fn link(&self, lane: LaneId, channel: Channel<StreamOf<W>>) -> Link<W> {
        let number = self.next_link;
        let (windows, windows_out) = mpsc::channel(1);
        let (requests, requests_out) = mpsc::channel(REQUESTS_QUEUED_MAX);
        let events = self.events_in.clone();
        self.world
            .spawn(read(channel.clone(), windows_out, events, lane, number));
        let events = self.events_in.clone();
        self.world
            .spawn(write(channel.clone(), requests_out, events, lane, number));
        Link {
            number,
            channel,
            next_correlation: 0,
            unanswered: VecDeque::new(),
            reader: None,
            vigil: Vigil::default(),
            said_at: None,
            taking: None,
            windows,
            requests,
            scratch: Vec::new(),
        }
    }

    /// Sends every request that may leave now.
    pub(super) fn fetch(&mut self) {
        let now = self.now();
        for (lane, link) in &mut self.links {
            send_plans(&mut self.source, now, *lane, link);
        }
    }

    /// The connection is of no use any more.
    pub(super) fn lose(&mut self, lane: LaneId, why: &dyn std::fmt::Display) {
        if let Some(link) = self.links.remove(&lane) {
            link.channel.shutdown();
            self.say_lost(lane, why);
            self.pause_lane(lane, why);
            self.source.lane_lost(self.now(), lane);
        }
    }

    /// Closes the connections that no partition needs.
    pub(super) fn hang_up(&mut self) {
        let unused = self
            .links
            .keys()
            .filter(|lane| self.source.is_unused(**lane));
        let unused: Vec<LaneId> = unused.copied().collect();
        for lane in unused {
            self.hang_up_on(lane);
        }
    }

    pub(super) fn hang_up_on(&mut self, lane: LaneId) {
        if let Some(link) = self.links.remove(&lane) {
            link.channel.shutdown();
            self.losses.remove(&lane);
            self.source.lane_closed(lane);
        }
    }

    /// Whether `link` is the lane's present one.
    pub(super) fn is_present(&self, lane: LaneId, link: LinkNumber) -> bool {
        self.links
            .get(&lane)
            .is_some_and(|known| known.number == link)
    }
}

/// Sends the lane's next requests, as many as the source plans now.
pub(super) fn send_plans<W: World>(
    source: &mut crate::source::Source,
    now: Instant,
    lane: LaneId,
    link: &mut Link<W>,
) {
    while let Some(plan) = source.plan_fetch(now, lane) {
        let correlation = link.next_correlation;
        link.next_correlation = correlation.wrapping_add(1);
        link.unanswered.push_back((correlation, plan.version));
        link.scratch.clear();
        let out = &mut link.scratch;
        write_request(
            plan.version,
            correlation,
            CLIENT_ID,
            &plan.request,
            plan.topics,
            out,
        );
        let mut request = Buf::unpooled(out.len());
        request.push(out);
        // A writer that has ended has said why: the link is about to be lost. One that has no
        // room speaks with a broker that answers and does not read: no answer will come to this.
        drop(link.requests.try_send(request));
    }
}

impl<W: World> Link<W> {
    /// Lets the window be filled further, once it has room.
    pub(super) fn receive_into(&self, mut window: Buf) {
        if window.room().len() < window.capacity() / ROOM_SHARE {
            window.compact();
        }
        // A reader that has ended has said why: the link is about to be lost.
        drop(self.windows.try_send(window));
    }
}

async fn open<W: World>(
    world: &W,
    endpoint: &Endpoint,
    version_min: i16,
) -> Result<(Channel<StreamOf<W>>, i16), SessionFault> {
    let opening = Opening {
        security: Security::Plaintext,
        timeout: OPENING_TIMEOUT,
    };
    let client = Client::connect(world, &BrokerAddress::from(endpoint), opening).await?;
    let version = client.versions().best_fetch();
    let version = version.filter(|version| *version >= version_min);
    let version = version.ok_or_else(|| SessionFault::Unsupported {
        at: client.at().clone(),
        what: "Fetch",
    })?;
    Ok((client.into_channel(), version))
}

async fn read<W: World>(
    channel: Channel<StreamOf<W>>,
    mut windows: mpsc::Receiver<Buf>,
    events: mpsc::Sender<Event<W>>,
    lane: LaneId,
    link: LinkNumber,
) {
    while let Some(window) = windows.recv().await {
        let (window, outcome) = channel.recv(window).await;
        let is_end = !matches!(outcome, Ok(1..));
        let event = Event::Received {
            lane,
            link,
            window,
            outcome,
        };
        if events.send(event).await.is_err() || is_end {
            return;
        }
    }
}

async fn write<W: World>(
    channel: Channel<StreamOf<W>>,
    mut requests: mpsc::Receiver<Buf>,
    events: mpsc::Sender<Event<W>>,
    lane: LaneId,
    link: LinkNumber,
) {
    while let Some(request) = requests.recv().await {
        let (_, outcome) = channel.send(request).await;
        if let Err(error) = outcome {
            drop(events.send(Event::Unsent { lane, link, error }).await);
            return;
        }
    }
}
