//! The listener on loopback, before a snapshot.
#![expect(
    clippy::disallowed_methods,
    reason = "the client is a stranger: a blocking one, on a thread of its own"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::*;
use crate::model::BrokerAddress;
use crate::uring;

/// Listens, and has `client` talk to it on another thread.
fn with_listener(client: impl FnOnce(SocketAddr) + Send + 'static) {
    uring::run(None, |world| async move {
        let any = BrokerAddress {
            host: "127.0.0.1".to_owned(),
            port: 0,
        };
        let door = Door::open(&world, "admin.metrics", &any, 2).await;
        let door = door.expect("loopback has ports");
        let at = door.at();
        let (hand_out, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        world.spawn(async move { serve(world, door, snapshots).await });
        let mirrors = vec![MirrorSample {
            name: MirrorName::new("dr").expect("a name"),
            topics: 7,
            metadata_errors: 0,
            failures: 0,
        }];
        let snapshot = Snapshot {
            mirrors,
            ..Snapshot::default()
        };
        hand_out.send(Arc::new(snapshot)).expect("it listens");
        let client = tokio::task::spawn_blocking(move || client(at)).await;
        client.expect("the client is content");
    });
}

fn asked(at: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).expect("it listens");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("it can wait");
    for piece in request.chunks(7) {
        stream.write_all(piece).expect("it reads");
    }
    let mut said = String::new();
    stream
        .read_to_string(&mut said)
        .expect("an answer, and its end");
    said
}

#[test]
fn a_scrape_gets_the_last_snapshot() {
    with_listener(|at| {
        for _ in 0..3 {
            let said = asked(at, b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
            let (head, body) = said.split_once("\r\n\r\n").expect("head and body");
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(
                head.contains("Content-Type: application/openmetrics-text"),
                "{head}"
            );
            assert!(
                head.contains(&format!("Content-Length: {}", body.len())),
                "{head}"
            );
            assert!(
                body.contains("twinlog_mirror_topic_count{mirror=\"dr\"} 7"),
                "{body}"
            );
            assert!(body.ends_with("# EOF\n"), "{body}");
        }
        let head = asked(at, b"HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    });
}

#[test]
fn everything_else_is_refused_in_the_words_of_http() {
    with_listener(|at| {
        let health = asked(at, b"GET /healthz HTTP/1.1\r\n\r\n");
        assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("OK\n"));
        let long = [
            b"GET /metrics HTTP/1.1\r\nX: ".as_slice(),
            &[b'x'; HEAD_BYTES_MAX - 26],
        ];
        for (request, code) in [
            (&b"GET /secrets HTTP/1.1\r\n\r\n"[..], 404),
            (b"DELETE /metrics HTTP/1.1\r\n\r\n", 405),
            (b"SSH-2", 400),
            (&long.concat(), 431),
        ] {
            let said = asked(at, request);
            assert!(said.starts_with(&format!("HTTP/1.1 {code} ")), "{said}");
        }
    });
}
