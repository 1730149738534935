//! Every address of a host has its turn, and no name, no address and no answer takes longer than
//! allowed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;

use super::*;
use crate::io::{Listener, Stream};
use crate::model::{LeaderEpoch, Offset, PartitionIndex};
use crate::uring::{RealClock, RealDisk, RealWorld, run};

/// How long all of it may take.
const ALLOWED: Duration = Duration::from_millis(300);

/// What an address does, by its port.
const SILENT: u16 = 1;
const REFUSING: u16 = 2;
const OPEN: u16 = 3;
/// It takes a connection, and answers a byte at a time.
const TRICKLING: u16 = 4;

/// It takes a connection, answers as [`FRONT`] says, and ends it.
const LARGE: u16 = 5;
/// The length of an answer that has a batch of 256 MiB in it.
const FRONT: [u8; 4] = ((256 << 20) + 100i32).to_be_bytes();

/// Between two bytes of a trickle.
const TRICKLE: Duration = Duration::from_millis(100);
/// So many bytes trickle before the connection ends.
const TRICKLES: u8 = 12;

/// A network of addresses that behave; it notes which were tried.
#[derive(Clone)]
struct Scripted {
    real: RealWorld,
    /// What each name is looked up as; `None`: the resolver is silent.
    ports: Option<Vec<u16>>,
    tried: Rc<RefCell<Vec<u16>>>,
}

#[derive(Clone)]
struct Reached {
    port: u16,
    trickled: Cell<u8>,
}

struct Nowhere;

impl Stream for Reached {
    async fn recv(&self, mut buf: Buf) -> (Buf, io::Result<usize>) {
        let trickled = self.trickled.get();
        if self.port == LARGE && trickled == 0 {
            self.trickled.set(1);
            buf.push(&FRONT);
            return (buf, Ok(FRONT.len()));
        }
        if self.port != TRICKLING || trickled == TRICKLES {
            return (buf, Ok(0));
        }
        self.trickled.set(trickled + 1);
        RealClock.sleep_until(RealClock.now().after(TRICKLE)).await;
        // The first four are a length that may be.
        buf.push(&[1]);
        (buf, Ok(1))
    }

    async fn send(&self, buf: Buf) -> (Buf, io::Result<()>) {
        (buf, Ok(()))
    }

    fn shutdown(&self) {}
}

impl Listener for Nowhere {
    type Stream = Reached;

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::new([127, 0, 0, 1].into(), 0)
    }

    async fn accept(&self) -> io::Result<Reached> {
        std::future::pending().await
    }
}

impl Net for Scripted {
    type Stream = Reached;
    type Listener = Nowhere;

    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        let Some(ports) = &self.ports else {
            return std::future::pending().await;
        };
        let at = |port: &u16| SocketAddr::new([127, 0, 0, 1].into(), *port);
        Ok(ports.iter().map(at).collect())
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<Reached> {
        self.tried.borrow_mut().push(to.port());
        match to.port() {
            SILENT => std::future::pending().await,
            REFUSING => Err(io::ErrorKind::ConnectionRefused.into()),
            port => Ok(Reached {
                port,
                trickled: Cell::default(),
            }),
        }
    }

    fn listen(&self, _at: SocketAddr) -> io::Result<Nowhere> {
        Ok(Nowhere)
    }
}

impl World for Scripted {
    type Disk = RealDisk;
    type Net = Scripted;
    type Clock = RealClock;

    fn disk(&self) -> &RealDisk {
        self.real.disk()
    }

    fn net(&self) -> &Scripted {
        self
    }

    fn clock(&self) -> &RealClock {
        self.real.clock()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.real.spawn(task);
    }
}

/// What connecting came to, and which addresses were tried.
fn reach(ports: Option<&[u16]>) -> (Result<u16, io::ErrorKind>, Vec<u16>) {
    let ports = ports.map(<[u16]>::to_vec);
    run(None, |real| async move {
        let tried = Rc::default();
        let world = Scripted { real, ports, tried };
        let begun = world.clock().now();
        let at = "a-broker:9092".parse().expect("an address");
        let reached = connect(&world, &at, begun.after(ALLOWED)).await;
        let took = world.clock().now().since(begun);
        assert!(took < ALLOWED * 3, "{took:?} of {ALLOWED:?}");
        let reached = reached.map(|reached| reached.port);
        (reached.map_err(|error| error.kind()), world.tried.take())
    })
}

#[test]
fn the_next_address_has_its_turn() {
    for (ports, tried) in [
        (&[OPEN, REFUSING][..], &[OPEN][..]),
        (&[REFUSING, OPEN], &[REFUSING, OPEN]),
        (&[SILENT, OPEN], &[SILENT, OPEN]),
        (
            &[SILENT, REFUSING, SILENT, OPEN],
            &[SILENT, REFUSING, SILENT, OPEN],
        ),
    ] {
        let (reached, was) = reach(Some(ports));
        assert_eq!((reached, &was[..]), (Ok(OPEN), tried));
    }
}

#[test]
fn the_last_address_says_why_there_is_none() {
    let refused = Err(io::ErrorKind::ConnectionRefused);
    let late = Err(io::ErrorKind::TimedOut);
    assert_eq!(reach(Some(&[SILENT, REFUSING])).0, refused);
    assert_eq!(reach(Some(&[REFUSING, SILENT])).0, late);
    assert_eq!(reach(Some(&[])).0, Err(io::ErrorKind::NotFound));
}

#[test]
fn a_silent_resolver_costs_no_more_than_the_deadline() {
    let late = Err(io::ErrorKind::TimedOut);
    assert_eq!(reach(None), (late, Vec::new()));
}

#[test]
fn an_answer_that_trickles_has_no_more_time_than_any_other() {
    let fault = run(None, |real| async move {
        let ports = Some(vec![TRICKLING]);
        let tried = Rc::default();
        let world = Scripted { real, ports, tried };
        let at = "a-broker:9092".parse().expect("an address");
        let opening = Opening {
            security: Security::default(),
            timeout: ALLOWED,
        };
        let client = Client::connect(&world, &at, opening).await;
        client.err().expect("it never answers")
    });
    assert!(
        matches!(
            fault,
            SessionFault::Silent {
                waited: ALLOWED,
                ..
            }
        ),
        "{fault}"
    );
}

/// Whatever a copy takes can be fetched again for a comparison.
#[test]
fn a_batch_as_large_as_allowed_may_be_fetched() {
    const MIB: u32 = 1 << 20;
    for (batch_bytes_max, is_awaited) in [(256 * MIB, true), (100 * MIB, false)] {
        let fault = run(None, |world| fetch_of(world, batch_bytes_max));
        let awaits_more = matches!(fault, SessionFault::Lost { .. });
        assert_eq!(awaits_more, is_awaited, "{fault}");
    }
}

/// What becomes of a fetch from [`LARGE`].
async fn fetch_of(real: RealWorld, batch_bytes_max: u32) -> SessionFault {
    let ports = Some(vec![LARGE]);
    let tried = Rc::default();
    let world = Scripted { real, ports, tried };
    let fetch = ApiVersion::default().with_api_key(1).with_max_version(12);
    let stream = Reached {
        port: LARGE,
        trickled: Cell::default(),
    };
    let channel = Channel::establish(stream, Security::default()).await;
    let mut client = Client {
        world,
        channel: channel.expect("it does nothing"),
        at: "a-broker:9092".parse().expect("an address"),
        timeout: ALLOWED,
        versions: Negotiated::of(&ApiVersionsResponse::default().with_api_keys(vec![fetch])),
        next_correlation: 0,
        window: Some(Buf::unpooled(WINDOW_BYTES)),
    };
    let ask = Ask {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 8 << 20,
    };
    let topic = TopicName::new("t").expect("legal");
    let asked = AskedPartition {
        topic: TopicId::of_name(&topic),
        partition: PartitionIndex::default(),
        leader_epoch: LeaderEpoch::NONE,
        fetch_offset: Offset::ZERO,
        last_fetched_epoch: LeaderEpoch::NONE,
        log_start: None,
        max_bytes: 8 << 20,
    };
    let fetched = client.fetch(ask, &topic, asked, batch_bytes_max).await;
    fetched.expect_err("the connection ends")
}
