//! The listener on loopback, before a node that answers by rote.
#![expect(
    clippy::disallowed_methods,
    reason = "the client is a stranger: a blocking one, on a thread of its own"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::*;
use crate::model::BrokerId;
use crate::protocol::ErrorCode;
use crate::protocol::mirror_rpc::{
    self, DeleteClusterMirrorRequest, ListClusterMirrorsRequest, MirrorRequest, Refusable,
    StopMirrorTopicsRequest,
};
use crate::uring;

const CONNECTIONS_MAX: usize = 3;

/// Listens, and has `client` talk to it on another thread. The node refuses everything by name,
/// but for deletions, whose answers it drops. Says how many requests came.
fn with_listener(client: impl FnOnce(SocketAddr) + Send + 'static) -> usize {
    uring::run(None, |world| async move {
        let any = crate::model::BrokerAddress {
            host: "127.0.0.1".to_owned(),
            port: 0,
        };
        let door = Door::open(&world, "admin.listen", &any, CONNECTIONS_MAX).await;
        let door = door.expect("loopback has ports");
        let at = door.at();
        let identity = Identity {
            broker: BrokerId(1),
            host: "127.0.0.1".to_owned(),
            port: at.port(),
            cluster: "c".to_owned(),
        };
        let (asked_in, mut asked) = mpsc::channel(1);
        world.spawn(async move { serve(world, door, identity, asked_in).await });
        let mut client = tokio::task::spawn_blocking(move || client(at));
        let mut requests = 0;
        loop {
            tokio::select! {
                Some((request, answer)) = asked.recv() => {
                    requests += 1;
                    let why = format!("no {}", request.name());
                    let is_dropped = matches!(request, AdminRequest::Delete(_));
                    if !is_dropped {
                        let said = request.refused(ErrorCode::INVALID_REQUEST, &why);
                        answer.send(said).expect("the connection waits");
                    }
                }
                ended = &mut client => {
                    ended.expect("the client is content");
                    return requests;
                }
            }
        }
    })
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).expect("it listens");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("it can wait");
    stream
}

fn frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("an answer");
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).expect("all of it");
    frame
}

#[track_caller]
fn assert_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A reset says the same as an end.
    let read = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{rest:?}");
    if let Err(error) = read {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
}

#[track_caller]
fn assert_refused<R: MirrorRequest>(answer: &[u8], correlation: i32) {
    let answer = mirror_rpc::answer::<R>(answer, correlation).expect("sound");
    let why = format!("no {}", R::NAME);
    assert_eq!(
        answer.refusal(),
        Some((ErrorCode::INVALID_REQUEST, Some(why.as_str())))
    );
}

#[test]
fn requests_are_answered_in_their_order_however_they_come_in() {
    let asked = with_listener(|at| {
        let mut stream = connect(at);
        let list = mirror_rpc::frame(&ListClusterMirrorsRequest::default(), 1, "me");
        let large = StopMirrorTopicsRequest {
            topics: (0..4_000).map(|nth| format!("{nth:0>200}")).collect(),
            ..StopMirrorTopicsRequest::default()
        };
        let large = mirror_rpc::frame(&large, 2, "me");
        let all = [list.clone(), large, list].concat();
        for piece in all.chunks(70_001) {
            stream.write_all(piece).expect("it reads");
        }
        assert_refused::<ListClusterMirrorsRequest>(&frame(&mut stream), 1);
        assert_refused::<StopMirrorTopicsRequest>(&frame(&mut stream), 2);
        assert_refused::<ListClusterMirrorsRequest>(&frame(&mut stream), 1);
    });
    assert_eq!(asked, 3);
}

#[test]
fn a_connection_that_talks_nonsense_is_closed_and_no_other() {
    let asked = with_listener(|at| {
        let mut good = connect(at);
        for nonsense in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            vec![0xff; 64],
            vec![0, 0, 0, 1, 0],
            [&100u32.to_be_bytes()[..], &[0xa5; 100]].concat(),
        ] {
            let mut stream = connect(at);
            stream.write_all(&nonsense).expect("it reads");
            assert_closed(stream);
        }
        let list = mirror_rpc::frame(&ListClusterMirrorsRequest::default(), 1, "me");
        good.write_all(&list).expect("it reads");
        assert_refused::<ListClusterMirrorsRequest>(&frame(&mut good), 1);
    });
    assert_eq!(asked, 1);
}

#[test]
fn what_the_node_does_not_answer_ends_the_connection() {
    let asked = with_listener(|at| {
        let mut stream = connect(at);
        let delete = DeleteClusterMirrorRequest::default();
        let delete = mirror_rpc::frame(&delete, 1, "me");
        stream.write_all(&delete).expect("it reads");
        assert_closed(stream);
    });
    assert_eq!(asked, 1);
}

#[test]
fn too_many_connections_are_closed_and_there_is_room_again() {
    let asked = with_listener(|at| {
        let list = mirror_rpc::frame(&ListClusterMirrorsRequest::default(), 1, "me");
        let talk = |stream: &mut TcpStream| {
            stream.write_all(&list).expect("it reads");
            assert_refused::<ListClusterMirrorsRequest>(&frame(stream), 1);
        };
        let mut open: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| connect(at)).collect();
        open.iter_mut().for_each(talk);
        assert_closed(connect(at));
        drop(open.pop());
        // It takes a moment until the listener has noticed.
        let again = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let mut stream = connect(at);
            stream.write_all(&list).expect("sent");
            let mut length = [0; 4];
            stream.read_exact(&mut length).is_ok()
        });
        assert!(again, "there is room again");
    });
    assert!(asked > CONNECTIONS_MAX);
}

#[test]
fn a_taken_address_is_told_with_its_key() {
    uring::run(None, |world| async move {
        let mut at = crate::model::BrokerAddress {
            host: "127.0.0.1".to_owned(),
            port: 0,
        };
        let first = Door::open(&world, "admin.listen", &at, 1).await;
        let first = first.expect("loopback has ports");
        at.port = first.at().port();
        let second = Door::open(&world, "admin.metrics", &at, 1).await;
        let said = second.err().expect("it is taken").to_string();
        let expected = format!(
            "admin.metrics: 127.0.0.1:{} cannot be listened on: ",
            at.port
        );
        assert!(said.starts_with(&expected), "{said}");
        assert!(
            said.ends_with("choose another port, or stop whoever has it"),
            "{said}"
        );
        // Somebody who is about to go is waited for.
        let clock = *world.clock();
        world.spawn(async move {
            let soon = clock.now().after(std::time::Duration::from_millis(50));
            clock.sleep_until(soon).await;
            drop(first);
        });
        let third = Door::open(&world, "admin.metrics", &at, 1).await;
        assert!(third.is_ok());
    });
}
