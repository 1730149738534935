//! One request at a time, each with its deadline.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader};
use kafka_protocol::protocol::{Encodable, Request, StrBytes};

use super::answers::{AnswerFault, Answered, read};
use super::versions::{Negotiated, name};
use super::{BrokerAddress, Channel, Security, SessionFault};
use crate::io::{Buf, Clock, Net, World};
use crate::model::{Instant, TopicId, TopicName};
use crate::protocol::controller::{self, ControllerCall};
use crate::protocol::fetch::{
    AnswerReader, Ask, AskedPartition, PartitionHead, Request as FetchRequest, Step,
    TOPIC_IDS_FROM, Topics, write_request,
};
use crate::protocol::frame::{LENGTH_BYTES, front};
use crate::protocol::{ErrorCode, Malformed};

/// How we call ourselves; a broker's logs and quotas go by it.
pub const CLIENT_ID: &str = "twinlog";
/// No answer to a rare request is larger; Metadata of 100,000 partitions has some 10 MiB. One to
/// Fetch has no more beside its records.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const WINDOW_BYTES: usize = 64 << 10;
/// So many answers in a row may bring nothing because a quota is used up.
const THROTTLES_MAX: u32 = 100;

type StreamOf<W> = <<W as World>::Net as Net>::Stream;

/// How a connection is opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// How it is secured.
    pub security: Security,
    /// How long connecting, and then each answer, may take.
    pub timeout: Duration,
}

/// A connection to one broker that answers one request at a time.
pub struct Client<W: World> {
    world: W,
    channel: Channel<StreamOf<W>>,
    at: BrokerAddress,
    timeout: Duration,
    versions: Negotiated,
    next_correlation: i32,
    window: Option<Buf>,
}

impl<W: World> Client<W> {
    /// Connects and agrees upon versions.
    ///
    /// # Errors
    /// The broker cannot be reached, or is none.
    pub async fn connect(
        world: &W,
        at: &BrokerAddress,
        opening: Opening,
    ) -> Result<Client<W>, SessionFault> {
        let unreachable = |error| SessionFault::Unreachable {
            at: at.clone(),
            error,
        };
        let deadline = world.clock().now().after(opening.timeout);
        let stream = connect(world, at, deadline).await.map_err(unreachable)?;
        let channel = Channel::establish(stream, opening.security).await;
        let mut client = Client {
            world: world.clone(),
            channel: channel.map_err(unreachable)?,
            at: at.clone(),
            timeout: opening.timeout,
            versions: Negotiated::default(),
            next_correlation: 0,
            window: Some(Buf::unpooled(WINDOW_BYTES)),
        };
        client.agree().await?;
        Ok(client)
    }

    async fn agree(&mut self) -> Result<(), SessionFault> {
        let mut request = ApiVersionsRequest::default();
        request.client_software_name = StrBytes::from_static_str(CLIENT_ID);
        request.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
        // Version 3 leaves out features whose levels begin with 0.
        let mut answer = self.call_as(&request, 4).await?;
        if ErrorCode(answer.error_code) == ErrorCode::UNSUPPORTED_VERSION {
            answer = self.call_as(&request, 0).await?;
        }
        self.refused::<ApiVersionsRequest>(answer.error_code)?;
        self.versions = Negotiated::of(&answer);
        Ok(())
    }

    /// Whom it is connected to.
    #[must_use]
    pub fn at(&self) -> &BrokerAddress {
        &self.at
    }

    /// What the broker speaks.
    #[must_use]
    pub fn versions(&self) -> &Negotiated {
        &self.versions
    }

    /// Gives up the connection to whoever speaks over it by itself.
    #[must_use]
    pub fn into_channel(self) -> Channel<StreamOf<W>> {
        self.channel
    }

    /// Asks in the newest version that both sides speak.
    ///
    /// # Errors
    /// No version, no answer, or none that can be read; the connection is of no use then.
    pub async fn call<R: Answered>(&mut self, request: &R) -> Result<R::Response, SessionFault> {
        let version = self.versions.best::<R>();
        let version = version.ok_or_else(|| SessionFault::Unsupported {
            at: self.at.clone(),
            what: name::<R>(),
        })?;
        self.call_as(request, version).await
    }

    /// How long the other side may take for what it does before it answers, in milliseconds.
    pub(super) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// An error code of a whole answer as a fault.
    pub(super) fn refused<R: Request>(&self, code: i16) -> Result<(), SessionFault> {
        match ErrorCode(code) {
            ErrorCode::NONE => Ok(()),
            code => Err(SessionFault::Refused {
                at: self.at.clone(),
                what: name::<R>(),
                code,
            }),
        }
    }

    async fn call_as<R: Answered>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, SessionFault> {
        let correlation = self.take_correlation();
        let frame = frame(request, version, correlation);
        self.send(name::<R>(), &frame).await?;
        let answer = self.answer(name::<R>()).await?;
        read::<R>(answer, version, correlation).map_err(|fault| match fault {
            AnswerFault::Malformed(fault) => self.malformed(name::<R>(), fault),
            AnswerFault::Unreadable(why) => self.unreadable::<R>(why),
        })
    }

    /// Asks a controller, as a broker does.
    ///
    /// # Errors
    /// No version, no answer, or none that can be read; the connection is of no use then.
    pub async fn ask<C: ControllerCall>(&mut self, call: &C) -> Result<C::Answer, SessionFault> {
        let version = self.versions.best_call::<C>();
        let version = version.ok_or_else(|| SessionFault::Unsupported {
            at: self.at.clone(),
            what: C::NAME,
        })?;
        let correlation = self.take_correlation();
        let frame = controller::frame(call, version, correlation, CLIENT_ID);
        self.send(C::NAME, &frame).await?;
        let answer = self.answer(C::NAME).await?;
        let content = answer.get(LENGTH_BYTES..).unwrap_or_default();
        controller::answer::<C>(content, version, correlation)
            .map_err(|fault| self.malformed(C::NAME, fault))
    }

    /// Fetches from one partition that the broker leads: the rare way, for comparisons. A shard
    /// does it without a copy. A first batch of up to `batch_bytes_max` comes whole, whatever
    /// `ask` allows (KIP-74).
    ///
    /// # Errors
    /// No answer, or none that can be read; the connection is of no use then.
    pub async fn fetch(
        &mut self,
        ask: Ask,
        topic: &TopicName,
        asked: AskedPartition,
        batch_bytes_max: u32,
    ) -> Result<Fetched, SessionFault> {
        const WHAT: &str = "Fetch";
        let version = self.versions.best_fetch();
        let version = version.ok_or_else(|| SessionFault::Unsupported {
            at: self.at.clone(),
            what: WHAT,
        })?;
        let version = match asked.topic == TopicId::of_name(topic) {
            true => version.min(TOPIC_IDS_FROM - 1),
            false => version,
        };
        let mut topics = Topics::default();
        topics.insert(asked.topic, topic);
        let records = ask.max_bytes.unsigned_abs().max(batch_bytes_max) as usize;
        let partitions = [asked];
        let request = FetchRequest::alone(ask, &partitions);
        let mut throttles = 0;
        loop {
            let correlation = self.take_correlation();
            let mut frame = Vec::new();
            write_request(
                version,
                correlation,
                CLIENT_ID,
                &request,
                &topics,
                &mut frame,
            );
            self.send(WHAT, &frame).await?;
            let answer = self.answer_of(WHAT, ANSWER_BYTES_MAX + records).await?;
            let fetched = fetched(version, correlation, &answer, &topics);
            match fetched.map_err(|fault| self.malformed(WHAT, fault))? {
                Brought::Partition(fetched) => return Ok(fetched),
                // A quota is used up: what is left comes later.
                Brought::Nothing { throttle }
                    if !throttle.is_zero() && throttles < THROTTLES_MAX =>
                {
                    throttles += 1;
                    let clock = self.world.clock();
                    let wait = throttle.min(self.timeout);
                    clock.sleep_until(clock.now().after(wait)).await;
                }
                Brought::Nothing { .. } => {
                    let (field, value) = ("the count of partitions", 0);
                    return Err(self.malformed(WHAT, Malformed::Impossible { field, value }));
                }
            }
        }
    }

    /// The number of the next request.
    pub(super) fn take_correlation(&mut self) -> i32 {
        let correlation = self.next_correlation;
        self.next_correlation = correlation.wrapping_add(1);
        correlation
    }

    pub(super) async fn send(&self, what: &'static str, frame: &[u8]) -> Result<(), SessionFault> {
        let mut out = Buf::unpooled(frame.len());
        out.push(frame);
        let sending = self.channel.send(out);
        let (_, sent) = self.timely(what, self.deadline(), sending).await?;
        sent.map_err(|error| self.lost(error))
    }

    /// One whole answer to a rare request, its length included.
    pub(super) async fn answer(&mut self, what: &'static str) -> Result<Bytes, SessionFault> {
        self.answer_of(what, ANSWER_BYTES_MAX).await
    }

    /// One whole answer of at most so many bytes.
    async fn answer_of(
        &mut self,
        what: &'static str,
        bytes_max: usize,
    ) -> Result<Bytes, SessionFault> {
        let mut answer = BytesMut::new();
        // For all of it: whoever sends a byte now and then would else never be done.
        let deadline = self.deadline();
        loop {
            let front = front(&answer, bytes_max);
            if let Some(content) = front.map_err(|fault| self.malformed(what, fault))? {
                return match answer.len() - LENGTH_BYTES - content.len() {
                    0 => Ok(answer.freeze()),
                    left => Err(self.malformed(what, Malformed::LeftOver { left })),
                };
            }
            let mut window = self.window.take().expect("one receive at a time");
            window.clear();
            let receiving = self.channel.recv(window);
            let (mut window, received) = self.timely(what, deadline, receiving).await?;
            let count = received.map_err(|error| self.lost(error))?;
            if count == 0 {
                return Err(self.lost(io::ErrorKind::UnexpectedEof.into()));
            }
            answer.extend_from_slice(window.bytes());
            window.clear();
            self.window = Some(window);
        }
    }

    /// When what begins now has taken too long.
    fn deadline(&self) -> Instant {
        self.world.clock().now().after(self.timeout)
    }

    /// Awaits an operation on the socket to its end, which the deadline brings about by closing
    /// the connection: an operation that is dropped would go on without us.
    async fn timely<T>(
        &self,
        what: &'static str,
        deadline: Instant,
        operation: impl Future<Output = T>,
    ) -> Result<T, SessionFault> {
        let mut operation = pin!(operation);
        tokio::select! {
            done = &mut operation => return Ok(done),
            () = self.world.clock().sleep_until(deadline) => self.channel.shutdown(),
        }
        drop(operation.await);
        Err(SessionFault::Silent {
            at: self.at.clone(),
            what,
            waited: self.timeout,
        })
    }

    fn lost(&self, error: io::Error) -> SessionFault {
        SessionFault::Lost {
            at: self.at.clone(),
            error,
        }
    }

    /// An answer whose shape is right, and that says what cannot be.
    pub(super) fn unreadable<R: Request>(&self, why: String) -> SessionFault {
        SessionFault::Unreadable {
            at: self.at.clone(),
            what: name::<R>(),
            why,
        }
    }

    pub(super) fn malformed(&self, what: &'static str, fault: Malformed) -> SessionFault {
        SessionFault::Malformed {
            at: self.at.clone(),
            what,
            fault,
        }
    }
}

/// A stream to the first of the host's addresses that takes one. Of the time that is left, each
/// address has an equal share: one that is silent must not cost the others their turn.
async fn connect<W: World>(
    world: &W,
    at: &BrokerAddress,
    deadline: Instant,
) -> io::Result<StreamOf<W>> {
    let addresses = match at.host.parse::<IpAddr>() {
        Ok(literal) => vec![SocketAddr::new(literal, at.port)],
        Err(_) => within(world, deadline, world.net().resolve(&at.host, at.port))
            .await
            .map_err(unresolved)?,
    };
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let now = world.clock().now();
        let share = deadline.since(now) / u32::try_from(left).unwrap_or(u32::MAX);
        match within(world, now.after(share), world.net().connect(*address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// What a resolver says of a name has no kind of its own.
fn unresolved(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => error,
        _ => io::Error::new(io::ErrorKind::NotFound, error),
    }
}

async fn within<W: World, T>(
    world: &W,
    deadline: Instant,
    operation: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        done = operation => done,
        () = world.clock().sleep_until(deadline) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// What one partition's fetch brought.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// What is said of the partition.
    pub head: PartitionHead,
    /// Its records: whole batches, and perhaps the beginning of another.
    pub records: Bytes,
}

/// What a whole answer to Fetch brings.
enum Brought {
    /// A partition.
    Partition(Fetched),
    /// None; the broker wants this much time before the next request.
    Nothing { throttle: Duration },
}

/// The first partition of a whole answer, whose first error is the partition's where the answer
/// as a whole has one.
fn fetched(
    version: i16,
    correlation: i32,
    answer: &Bytes,
    topics: &Topics,
) -> Result<Brought, Malformed> {
    let mut reader = AnswerReader::new(version, correlation);
    let mut at = 0;
    let mut refused = ErrorCode::NONE;
    let mut throttle = Duration::ZERO;
    let mut found: Option<Fetched> = None;
    loop {
        let rest = answer.get(at..).unwrap_or_default();
        let (step, used) = reader.next(rest, topics)?;
        at += used;
        match step {
            Step::More(_) => return Err(Malformed::BeyondFrame { field: "an answer" }),
            Step::Head(head) => {
                refused = head.error;
                let ms = u64::try_from(head.throttle_ms).unwrap_or_default();
                throttle = Duration::from_millis(ms);
            }
            Step::Partition(head) => {
                let records = Bytes::new();
                found.get_or_insert(Fetched { head, records });
            }
            Step::Records { available, .. } => {
                if let Some(found) = found.as_mut().filter(|found| found.records.is_empty()) {
                    found.records = answer.slice(at..at + available);
                }
                reader.take_records(available);
                at += available;
            }
            Step::PartitionEnd(_) => {}
            Step::End(_) => break,
        }
    }
    let Some(mut found) = found else {
        return Ok(Brought::Nothing { throttle });
    };
    if refused.is_error() {
        found.head.error = refused;
    }
    Ok(Brought::Partition(found))
}

/// A request as it goes over the wire, length included.
fn frame<R: Request>(request: &R, version: i16, correlation: i32) -> BytesMut {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let mut frame = BytesMut::from(&[0u8; 4][..]);
    header
        .encode(&mut frame, R::header_version(version))
        .and_then(|()| request.encode(&mut frame, version))
        .expect("our own requests fit the versions that we speak");
    let length = i32::try_from(frame.len() - 4).expect("our own requests are small");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests;
