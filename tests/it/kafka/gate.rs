//! A gate before a broker: it makes a new broker speak like an old one, and counts what passes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::protocol::{Decodable, Encodable};
use socket2::{Domain, Socket, Type};

pub(super) const FETCH: i16 = 1;
pub(super) const LIST_OFFSETS: i16 = 2;
pub(super) const METADATA: i16 = 3;
pub(super) const API_VERSIONS: i16 = 18;
pub(super) const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
pub(super) const DESCRIBE_CONFIGS: i16 = 32;
const UNSUPPORTED_VERSION: i16 = 35;

/// The newest version of each request that passes; a request without one passes in all.
pub(super) type Caps = BTreeMap<i16, i16>;

/// What has passed, by request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Requests.
    pub(super) requests: u64,
    /// Their bytes, lengths included.
    pub(super) bytes: u64,
    /// Bytes of their answers.
    pub(super) answer_bytes: u64,
    /// The newest version that was used.
    pub(super) version: i16,
}

/// Everything that was seen.
#[derive(Debug, Default)]
struct Seen {
    passed: BTreeMap<i16, Passed>,
    /// Sessions that Fetch answers named, and the errors of whole Fetch answers.
    sessions: Vec<i32>,
    errors: Vec<i16>,
}

/// One listening gate; it stands until the test's process ends.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) port: u16,
    to: u16,
    /// The address under which the broker sees those who come through.
    from: SocketAddr,
    caps: Arc<Mutex<Caps>>,
    seen: Arc<Mutex<Seen>>,
}

/// A request that waits for its answer.
#[derive(Clone, Copy)]
struct Waiting {
    key: i16,
    version: i16,
}

type Pending = Arc<Mutex<BTreeMap<i32, Waiting>>>;

impl Gate {
    /// A gate on a port of its own that leads to `to`, which sees the address `from`.
    pub(super) fn open(to: u16, from: &str) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let gate = Gate {
            port: listener.local_addr().expect("it is bound").port(),
            to,
            from: SocketAddr::new(from.parse().expect("an address of loopback"), 0),
            caps: Arc::default(),
            seen: Arc::default(),
        };
        let opened = gate.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                opened.clone().lead(stream);
            }
        });
        gate
    }

    /// From now on no newer version passes.
    pub(super) fn narrow(&self, caps: &[(i16, i16)]) {
        *lock(&self.caps) = caps.iter().copied().collect();
    }

    /// Where clients find it.
    pub(super) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What has passed since this was asked last.
    pub(super) fn take(&self, key: i16) -> Passed {
        lock(&self.seen).passed.remove(&key).unwrap_or_default()
    }

    /// The sessions that were begun since this was asked last, in their order.
    pub(super) fn take_sessions(&self) -> Vec<i32> {
        std::mem::take(&mut lock(&self.seen).sessions)
    }

    /// Errors of whole Fetch answers since this was asked last.
    pub(super) fn take_errors(&self) -> Vec<i16> {
        std::mem::take(&mut lock(&self.seen).errors)
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&self.from.into())?;
        let to = SocketAddr::from(([127, 0, 0, 1], self.to));
        socket.connect(&to.into())?;
        Ok(socket.into())
    }

    fn lead(self, client: TcpStream) {
        // While the broker is down nobody is let through.
        let Ok(broker) = self.connect() else {
            return;
        };
        for stream in [&client, &broker] {
            stream.set_nodelay(true).expect("a socket");
        }
        let both = |stream: &TcpStream| stream.try_clone().expect("descriptors are left");
        let pending = Pending::default();
        let asking = Passage {
            gate: self,
            from: both(&client),
            to: both(&broker),
            pending: Arc::clone(&pending),
        };
        let answering = Passage {
            gate: asking.gate.clone(),
            from: broker,
            to: client,
            pending,
        };
        std::thread::spawn(move || {
            drop(asking.pass_requests());
            asking.close();
        });
        std::thread::spawn(move || {
            drop(answering.pass_answers());
            answering.close();
        });
    }
}

/// One direction of one connection.
struct Passage {
    gate: Gate,
    from: TcpStream,
    to: TcpStream,
    pending: Pending,
}

impl Passage {
    fn close(&self) {
        for stream in [&self.from, &self.to] {
            // The other side may have closed it before.
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }

    fn pass_requests(&self) -> std::io::Result<()> {
        loop {
            let frame = receive(&self.from)?;
            let key = i16::from_be_bytes([frame[4], frame[5]]);
            let version = i16::from_be_bytes([frame[6], frame[7]]);
            let correlation = [frame[8], frame[9], frame[10], frame[11]];
            let cap = lock(&self.gate.caps).get(&key).copied().unwrap_or(i16::MAX);
            if key == API_VERSIONS && version > cap {
                send(&self.from, &unsupported(correlation, cap))?;
                continue;
            }
            assert!(
                version <= cap,
                "request {key} in version {version}, not {cap}"
            );
            {
                let mut seen = lock(&self.gate.seen);
                let passed = seen.passed.entry(key).or_default();
                passed.requests += 1;
                passed.bytes += frame.len() as u64;
                passed.version = passed.version.max(version);
            }
            let waiting = Waiting { key, version };
            lock(&self.pending).insert(i32::from_be_bytes(correlation), waiting);
            send(&self.to, &frame)?;
        }
    }

    fn pass_answers(&self) -> std::io::Result<()> {
        loop {
            let mut frame = receive(&self.from)?;
            let correlation = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
            let waiting = lock(&self.pending).remove(&correlation);
            let Waiting { key, version } = waiting.expect("an answer has its request");
            let mut seen = lock(&self.gate.seen);
            seen.passed.entry(key).or_default().answer_bytes += frame.len() as u64;
            if key == FETCH && version >= 7 {
                // Correlation id, perhaps no tags, throttle; then error and session.
                let at = 12 + usize::from(version >= 12);
                let error = i16::from_be_bytes([frame[at], frame[at + 1]]);
                let session = frame[at + 2..at + 6].try_into().expect("four bytes");
                let session = i32::from_be_bytes(session);
                if error != 0 {
                    seen.errors.push(error);
                }
                if session != 0 && !seen.sessions.contains(&session) {
                    seen.sessions.push(session);
                }
            }
            drop(seen);
            if key == API_VERSIONS {
                frame = narrowed(&frame, version, &lock(&self.gate.caps));
            }
            send(&self.to, &frame)?;
        }
    }
}

/// A frame with its length.
fn receive(mut from: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame)?;
    let length = i32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
    frame.resize(
        4 + usize::try_from(length).expect("both sides are sound"),
        0,
    );
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}

fn send(mut to: &TcpStream, frame: &[u8]) -> std::io::Result<()> {
    to.write_all(frame)
}

/// What a broker says of a version of ApiVersions that it does not know: which ones it does.
fn unsupported(correlation: [u8; 4], cap: i16) -> Vec<u8> {
    let content = [
        &correlation[..],
        &UNSUPPORTED_VERSION.to_be_bytes(),
        &1i32.to_be_bytes(),
        &API_VERSIONS.to_be_bytes(),
        &0i16.to_be_bytes(),
        &cap.to_be_bytes(),
    ];
    framed(&content.concat())
}

/// The answer to ApiVersions with the caps put on.
fn narrowed(frame: &[u8], version: i16, caps: &Caps) -> Vec<u8> {
    let mut body = Bytes::copy_from_slice(&frame[8..]);
    let mut answer = ApiVersionsResponse::decode(&mut body, version).expect("a broker wrote it");
    for api in &mut answer.api_keys {
        let cap = caps.get(&api.api_key).copied().unwrap_or(i16::MAX);
        api.max_version = api.max_version.min(cap);
    }
    let mut content = BytesMut::from(&frame[4..8]);
    answer
        .encode(&mut content, version)
        .expect("it was decoded");
    framed(&content)
}

fn framed(content: &[u8]) -> Vec<u8> {
    let length = i32::try_from(content.len()).expect("short");
    [&length.to_be_bytes()[..], content].concat()
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
