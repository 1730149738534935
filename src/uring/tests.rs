//! What the probe says, and a stream and a file through a real ring.

use std::io;
use std::rc::Rc;

use super::*;
use crate::io::{Buf, Clock, Disk, File, Listener, Net, Open, Stream, World, conformance};
use crate::model::Position;

#[test]
fn the_probe_names_what_to_change() {
    let facts = |disabled, refused| Facts {
        release: "5.4.0".into(),
        disabled,
        refused,
    };
    let cases = [
        (facts(Some(0), None), None),
        (
            facts(Some(2), Some(libc::EPERM)),
            Some("kernel.io_uring_disabled=0"),
        ),
        (facts(Some(0), Some(libc::EPERM)), Some("seccomp")),
        (facts(None, Some(libc::ENOSYS)), Some("Linux 5.4.0")),
        (facts(Some(0), Some(libc::ENOMEM)), Some("ulimit -l")),
    ];
    for (facts, said) in cases {
        match (judge(facts), said) {
            (Ok(_), None) => {}
            (Err(fault), Some(said)) => assert!(fault.to_string().contains(said), "{fault}"),
            (judged, said) => panic!("{judged:?} is not {said:?}"),
        }
    }
    assert!(
        probe().is_ok(),
        "the machine that runs the tests has io_uring"
    );
}

#[test]
fn bytes_cross_a_stream_in_order_and_its_end_is_seen() {
    run(None, |world| async move {
        let listener = world.net().listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr();
        let pattern: Rc<Vec<u8>> = Rc::new((0..1_000_000u32).map(|at| (at % 251) as u8).collect());
        let sent = pattern.clone();
        world.spawn(async move {
            let stream = listener.accept().await.unwrap();
            let mut buf = Buf::unpooled(sent.len());
            buf.push(&sent);
            let (_, outcome) = stream.send(buf).await;
            outcome.unwrap();
            stream.shutdown();
        });
        let stream = world.net().connect(address).await.unwrap();
        let mut got = Vec::new();
        loop {
            let (buf, outcome) = stream.recv(Buf::unpooled(100_000)).await;
            got.extend_from_slice(buf.bytes());
            if outcome.unwrap() == 0 {
                break;
            }
        }
        assert!(got == *pattern);
    });
}

#[test]
fn a_call_aside_leaves_the_thread_to_other_tasks() {
    run(None, |_| async move {
        let (released, waiting) = std::sync::mpsc::sync_channel(1);
        let patience = std::time::Duration::from_secs(10);
        let call = aside::aside(move || waiting.recv_timeout(patience).map_err(io::Error::other));
        // The call ends only because this thread gets to its other task.
        let (outcome, ()) = tokio::join!(call, async {
            tokio::task::yield_now().await;
            released.send(7).unwrap();
        });
        assert_eq!(outcome.unwrap(), 7);
    });
}

#[test]
fn a_call_aside_that_nobody_awaits_ends_by_itself() {
    run(None, |_| async move {
        let (done, told) = tokio::sync::oneshot::channel();
        let (released, waiting) = std::sync::mpsc::sync_channel::<()>(1);
        let mut call = Box::pin(aside::aside(move || {
            let released = waiting.recv();
            done.send(released.is_ok()).unwrap();
            Ok(())
        }));
        tokio::select! {
            biased;
            _ = &mut call => panic!("it has not been released"),
            () = std::future::ready(()) => {}
        }
        drop(call);
        released.send(()).unwrap();
        assert!(told.await.unwrap());
    });
}

#[test]
fn names_and_literals_are_looked_up() {
    run(None, |world| async move {
        let loopback = world.net().resolve("localhost", 9092).await.unwrap();
        assert!(!loopback.is_empty());
        assert!(
            loopback
                .iter()
                .all(|at| at.ip().is_loopback() && at.port() == 9092)
        );
        let literal = world.net().resolve("127.0.0.1", 1).await.unwrap();
        assert_eq!(literal, ["127.0.0.1:1".parse().unwrap()]);
        assert!(world.net().resolve("no such host", 1).await.is_err());
    });
}

#[test]
fn shutting_a_stream_down_ends_a_waiting_receive() {
    run(None, |world| async move {
        let listener = world.net().listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = world.net().connect(listener.local_addr()).await.unwrap();
        let (other, clock) = (stream.clone(), *world.clock());
        world.spawn(async move {
            clock
                .sleep_until(clock.now().after(std::time::Duration::from_millis(20)))
                .await;
            other.shutdown();
        });
        let (_, outcome) = stream.recv(Buf::unpooled(1)).await;
        assert!(matches!(outcome, Ok(0) | Err(_)));
    });
}

#[test]
fn a_file_is_written_synced_and_locked_against_others() {
    run(None, |world| async move {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = world.disk().open(&path, Open::CreateEmpty).unwrap();
        file.write_at(b"twice", Position::new(3)).unwrap();
        file.sync().await.unwrap();
        let mut read = [0xff; 10];
        assert_eq!(file.read_at(&mut read, Position::ZERO).unwrap(), 8);
        assert_eq!(&read[..8], b"\0\0\0twice");
        let lock = dir.path().join(".lock");
        let held = world.disk().lock(&lock).unwrap();
        assert!(held.is_some());
        assert!(
            world.disk().lock(&lock).unwrap().is_none(),
            "an open file description owns it"
        );
        drop(held);
        assert!(world.disk().lock(&lock).unwrap().is_some());
        let names: Vec<_> = world
            .disk()
            .list(dir.path())
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, [".lock", "file"]);
    });
}

#[test]
fn the_real_disk_conforms() {
    run(None, |world| async move {
        let dir = tempfile::tempdir().unwrap();
        conformance::conforms(world.disk(), dir.path());
        conformance::syncs(world.disk(), dir.path()).await;
    });
}
