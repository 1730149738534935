//! A proxy before one broker: passes requests and answers on, and lies about fetched records.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::FetchableTopicResponse;
use kafka_protocol::messages::{
    FetchResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataResponse, RequestHeader,
    ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::lies::{InFrame, InRecords, Lie, batches};

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
/// The timestamp that asks where a log begins.
const EARLIEST: i64 = -2;
/// The one that asks where it ends.
const LATEST: i64 = -1;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_SERVER_ERROR: i16 = -1;
const THROTTLE_MS: i32 = 50;
/// A trickle's pause between two bytes.
const TRICKLE: Duration = Duration::from_millis(50);

/// Less than a frame may have, more than may be kept of it.
const HUGE_FIELD_BYTES: usize = 80 << 21;

/// How often the lie is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Often {
    Never,
    Once,
    Always,
}

/// What is lied about, how often, and in whose records.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) lie: Lie,
    pub(crate) often: Often,
    /// The topic that is lied about; its partition 0.
    pub(crate) topic: String,
    /// The offset in whose batch the lie is.
    pub(crate) offset: i64,
}

/// A running proxy; it serves until the test's process ends.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Begins to stand before the broker at `upstream`.
    pub(crate) fn start(upstream: u16, plan: Plan) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            often: Mutex::new(plan.often),
            plan,
            port,
            told: AtomicU32::new(0),
            seen: Mutex::new(Seen::default()),
        });
        let proxy = Proxy {
            port,
            shared: Arc::clone(&shared),
        };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // Either side may go; then the other goes as well.
                std::thread::spawn(move || drop(shared.pass_on(client, upstream)));
            }
        });
        proxy
    }

    /// How often it has lied.
    pub(crate) fn told(&self) -> u32 {
        self.shared.told()
    }

    /// From now on it lies so often, whatever its plan said.
    pub(crate) fn lies(&self, often: Often) {
        *self.shared.often.lock().expect("nobody panics with it") = often;
    }
}

struct Shared {
    plan: Plan,
    /// At first what the plan says.
    often: Mutex<Often>,
    port: u16,
    told: AtomicU32,
    seen: Mutex<Seen>,
}

/// What went by.
#[derive(Default)]
struct Seen {
    /// The id of the topic that is lied about.
    topic_id: Option<uuid::Uuid>,
    /// The first records of that topic, and of any other.
    ours: Option<Bytes>,
    others: Option<Bytes>,
}

/// A request's head.
struct Asked {
    api: i16,
    version: i16,
}

impl Shared {
    fn pass_on(&self, mut client: TcpStream, upstream: u16) -> std::io::Result<()> {
        let mut broker = TcpStream::connect(("127.0.0.1", upstream))?;
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        loop {
            let request = frame(&mut client)?;
            let two = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
            let asked = Asked {
                api: two(4),
                version: two(6),
            };
            broker.write_all(&request)?;
            let answer = frame(&mut broker)?;
            let answer = match asked.api {
                FETCH => {
                    self.fetched(&mut client, &asked, &answer)?;
                    continue;
                }
                METADATA => self.metadata(&asked, &answer),
                LIST_OFFSETS => self.bounds(&asked, &request, &answer),
                _ => answer,
            };
            match self.plan.lie {
                Lie::Rare(about, lie) if about as i16 == asked.api && self.is_due() => {
                    self.told.fetch_add(1, Ordering::SeqCst);
                    lie.send(&mut client, answer)?;
                }
                _ => client.write_all(&answer)?,
            }
        }
    }

    /// Whether it is time for a lie.
    fn is_due(&self) -> bool {
        match self.often() {
            Often::Never => false,
            Often::Once => self.told() == 0,
            Often::Always => true,
        }
    }

    fn often(&self) -> Often {
        *self.often.lock().expect("nobody panics with it")
    }

    /// Every broker is where the proxy is.
    fn metadata(&self, asked: &Asked, answer: &[u8]) -> Vec<u8> {
        let (header, mut body): (_, MetadataResponse) = decoded(asked.version, answer);
        for broker in &mut body.brokers {
            broker.host = StrBytes::from_static_str("127.0.0.1");
            broker.port = i32::from(self.port);
        }
        let named =
            |topic: &&kafka_protocol::messages::metadata_response::MetadataResponseTopic| {
                let name = topic.name.as_ref();
                name.is_some_and(|name| name.as_str() == self.plan.topic)
            };
        if let Some(topic) = body.topics.iter().find(named) {
            let mut seen = self.seen.lock().expect("nobody panics with it");
            seen.topic_id = Some(topic.topic_id);
        }
        encoded(asked.version, &header, &body)
    }

    /// Where logs begin and end may be a lie.
    fn bounds(&self, asked: &Asked, request: &[u8], answer: &[u8]) -> Vec<u8> {
        let (told, often) = (self.told(), self.often());
        if often == Often::Never {
            return answer.to_vec();
        }
        let is_once = often == Often::Once;
        let (which, offset) = match self.plan.lie {
            Lie::Beginning(start) if told == 0 || !is_once => (EARLIEST, start),
            Lie::Ending(end) if told == 0 || !is_once => (LATEST, end),
            Lie::Lost(start) if told == 1 || told > 0 && !is_once => (EARLIEST, start),
            Lie::Elsewhere(start, _) if told == 1 => (EARLIEST, start),
            Lie::Elsewhere(_, end) if told == 2 => (LATEST, end),
            _ => return answer.to_vec(),
        };
        let mut bytes = Bytes::copy_from_slice(&request[4..]);
        let version = ListOffsetsRequest::header_version(asked.version);
        RequestHeader::decode(&mut bytes, version).expect("an honest client");
        let request = ListOffsetsRequest::decode(&mut bytes, asked.version);
        let request = request.expect("an honest client");
        let mut parts = request.topics.iter().flat_map(|topic| &topic.partitions);
        if !parts.all(|part| part.timestamp == which) {
            return answer.to_vec();
        }
        let (header, mut body): (_, ListOffsetsResponse) = decoded(asked.version, answer);
        for topic in &mut body.topics {
            if topic.name.as_str() == self.plan.topic {
                for part in &mut topic.partitions {
                    part.offset = offset;
                }
                self.told.fetch_add(1, Ordering::SeqCst);
            }
        }
        encoded(asked.version, &header, &body)
    }

    fn told(&self) -> u32 {
        self.told.load(Ordering::SeqCst)
    }

    fn fetched(&self, client: &mut TcpStream, asked: &Asked, answer: &[u8]) -> std::io::Result<()> {
        let (header, mut body): (_, FetchResponse) = decoded(asked.version, answer);
        self.await_others();
        let has_lied = match self.plan.lie {
            Lie::Records(_) | Lie::Frame(_) => self.lies(&mut body),
            _ => self.lies_about_all(&mut body),
        };
        let bytes = encoded(asked.version, &header, &body);
        match (has_lied, self.plan.lie) {
            (true, Lie::Frame(lie)) => lie.send(client, bytes),
            _ => client.write_all(&bytes),
        }
    }

    /// The other partition's records may come on another connection, and a little later.
    fn await_others(&self) {
        let is_known = || {
            self.seen
                .lock()
                .expect("nobody panics with it")
                .others
                .is_some()
        };
        let mut pauses = 0;
        while self.plan.lie == Lie::Records(InRecords::OtherPartition) && !is_known() && pauses < 40
        {
            std::thread::sleep(TRICKLE);
            pauses += 1;
        }
    }

    /// Lies about all that an answer tells of the partition, where it is time for it.
    fn lies_about_all(&self, answer: &mut FetchResponse) -> bool {
        if !self.is_due() {
            return false;
        }
        let topic_id = self.seen.lock().expect("nobody panics with it").topic_id;
        let is_ours = |topic: &FetchableTopicResponse| {
            topic_id == Some(topic.topic_id) || topic.topic.as_str() == self.plan.topic
        };
        let is_whole = matches!(self.plan.lie, Lie::Refused | Lie::Throttled);
        if !is_whole && !answer.responses.iter().any(is_ours) {
            return false;
        }
        match self.plan.lie {
            Lie::Refused => {
                answer.responses.clear();
                answer.session_id = 0;
                answer.error_code = UNKNOWN_SERVER_ERROR;
            }
            Lie::Throttled => {
                answer.responses.clear();
                answer.throttle_time_ms = THROTTLE_MS;
            }
            Lie::LeftOut => answer.responses.retain(|topic| !is_ours(topic)),
            Lie::Renamed => {
                for topic in answer.responses.iter_mut().filter(|topic| is_ours(topic)) {
                    topic.topic_id = uuid::Uuid::from_bytes([9; 16]);
                    topic.topic = StrBytes::from_static_str("another").into();
                }
            }
            Lie::Lost(_) | Lie::Elsewhere(..) => {
                let ours = answer.responses.iter_mut().filter(|topic| is_ours(topic));
                for part in ours.flat_map(|topic| &mut topic.partitions) {
                    part.error_code = OFFSET_OUT_OF_RANGE;
                    part.records = Some(Bytes::new());
                }
            }
            _ => return false,
        }
        self.told.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// Lies about the records of an answer, where it is time for it. Says whether.
    fn lies(&self, answer: &mut FetchResponse) -> bool {
        let mut seen = self.seen.lock().expect("nobody panics with it");
        let mut victim = None;
        for topic in &mut answer.responses {
            let is_ours =
                seen.topic_id == Some(topic.topic_id) || topic.topic.as_str() == self.plan.topic;
            for part in &mut topic.partitions {
                let Some(records) = part.records.as_ref().filter(|records| !records.is_empty())
                else {
                    continue;
                };
                match is_ours && part.partition_index == 0 {
                    true => {
                        seen.ours.get_or_insert(records.clone());
                        victim = Some(&mut part.records);
                    }
                    false => _ = seen.others.get_or_insert(records.clone()),
                }
            }
        }
        let Some(records) = victim else {
            return false;
        };
        if !self.is_due() {
            return false;
        }
        let held = records.take().expect("looked at above");
        let spoiled = self.spoiled(&held, &seen);
        *records = Some(spoiled.clone().unwrap_or(held));
        if spoiled.is_some() {
            self.told.fetch_add(1, Ordering::SeqCst);
        }
        spoiled.is_some()
    }

    /// The records with the lie in them; `None` where there is no place for it.
    fn spoiled(&self, records: &Bytes, seen: &Seen) -> Option<Bytes> {
        let found = batches(records);
        let lie = match self.plan.lie {
            Lie::Records(lie) => lie,
            _ => return Some(records.clone()),
        };
        let (at, _) = *found.iter().find(|(_, last)| *last >= self.plan.offset)?;
        let next = found.iter().map(|(at, _)| *at).find(|next| *next > at);
        // The batch itself has to be there as a whole.
        let length = i32::from_be_bytes(records[at + 8..at + 12].try_into().expect("four"));
        if next.is_none() && records.len() < at + 12 + usize::try_from(length).expect("honest") {
            return None;
        }
        if lie.is_exchange() {
            let other = match lie {
                InRecords::OldAnswer => seen.ours.clone(),
                _ => seen.others.clone(),
            };
            return other.filter(|other| other != records);
        }
        let mut bytes = records.to_vec();
        lie.spoil(&mut bytes, at);
        Some(bytes.into())
    }
}

impl InFrame {
    /// Sends an answer, not as it should be.
    fn send(self, client: &mut TcpStream, mut bytes: Vec<u8>) -> std::io::Result<()> {
        let gone = || Err(std::io::ErrorKind::ConnectionAborted.into());
        match self {
            InFrame::NegativeLength => bytes[..4].copy_from_slice(&(-5i32).to_be_bytes()),
            InFrame::HugeLength => bytes[..4].copy_from_slice(&i32::MAX.to_be_bytes()),
            InFrame::WrongCorrelation => bytes[4] ^= 0x40,
            InFrame::Garbage => bytes[8..].fill(0xa5),
            InFrame::HugeField => append_field(&mut bytes),
            InFrame::Cut => {
                client.write_all(&bytes[..bytes.len() / 2])?;
                client.shutdown(Shutdown::Both)?;
                return gone();
            }
            InFrame::Reset => {
                client.write_all(&bytes[..bytes.len() / 2])?;
                socket2::SockRef::from(&*client).set_linger(Some(Duration::ZERO))?;
                return gone();
            }
            InFrame::Silence => {
                // Until the client has had enough of it.
                _ = client.read_to_end(&mut Vec::new())?;
                return gone();
            }
            InFrame::Trickle => {
                for byte in bytes.chunks(1) {
                    client.write_all(byte)?;
                    std::thread::sleep(TRICKLE);
                }
                return Ok(());
            }
            InFrame::ByteByByte => {
                for byte in bytes.chunks(1) {
                    client.write_all(byte)?;
                }
                return Ok(());
            }
        }
        client.write_all(&bytes)
    }
}

/// Puts a tagged field of [`HUGE_FIELD_BYTES`] at the end of an answer that has none there.
fn append_field(bytes: &mut Vec<u8>) {
    let no_fields = bytes.pop();
    assert_eq!(
        no_fields,
        Some(0),
        "an answer of a version with tagged fields"
    );
    // One field, its number, and its size: seven bits a byte, the lowest first.
    bytes.extend([1, 99, 0x80, 0x80, 0x80, 0x50]);
    bytes.resize(bytes.len() + HUGE_FIELD_BYTES, 0);
    let length = i32::try_from(bytes.len() - 4).expect("below 2 GiB");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
}

/// One frame with its length.
fn frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let size = usize::try_from(i32::from_be_bytes(length)).expect("both ends are honest");
    let mut bytes = length.to_vec();
    bytes.resize(4 + size, 0);
    stream.read_exact(&mut bytes[4..])?;
    Ok(bytes)
}

fn decoded<M: Decodable + HeaderVersion>(version: i16, answer: &[u8]) -> (ResponseHeader, M) {
    let mut bytes = Bytes::copy_from_slice(&answer[4..]);
    let header = ResponseHeader::decode(&mut bytes, M::header_version(version));
    let body = M::decode(&mut bytes, version);
    (
        header.expect("an honest answer"),
        body.expect("an honest answer"),
    )
}

fn encoded<M: Encodable + HeaderVersion>(
    version: i16,
    header: &ResponseHeader,
    body: &M,
) -> Vec<u8> {
    let mut bytes = BytesMut::from(&[0u8; 4][..]);
    header
        .encode(&mut bytes, M::header_version(version))
        .expect("it was decoded from this version");
    body.encode(&mut bytes, version)
        .expect("it was decoded from this version");
    let length = i32::try_from(bytes.len() - 4).expect("answers are small");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.to_vec()
}
