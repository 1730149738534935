//! What is said to a user: errors name the thing, the cause and the next step; tables can be read.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real files, sockets and programs"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use twinlog::model::TopicId;

use crate::lying::source;

const PROGRAM: &str = env!("CARGO_BIN_EXE_twinlog");
/// Columns of a terminal that is not wide.
const COLUMNS: usize = 100;

fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(args)
        .output()
        .expect("cargo has built it")
}

fn copy(from: &str, into: &Path) -> Output {
    let into = into.to_str().expect("our paths are text");
    run(&["copy", "--from", from, "--topics", ".*", "--into", into])
}

/// The command ended with this code, and its last words have all of these in them.
#[track_caller]
fn ends_with(code: i32, words: &[&str], ended: &Output) {
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "nothing of '{word}': {said}");
    }
}

/// Answers whatever comes with `answer`, and hangs up; says at which address.
pub(super) fn listener(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let at = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 1024];
            // A client that goes has heard enough.
            drop(stream.read(&mut request).and_then(|_| stream.write(answer)));
        }
    });
    at
}

/// Every command that asks a cluster says the same of it.
#[track_caller]
fn is_not_asked(from: &str, words: &[&str]) {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let words = [&["error: the source cannot be asked", from][..], words].concat();
    ends_with(1, &words, &copy(from, &dir.path().join("vault")));
    let checked = run(&["check", "--from", from]);
    let found = String::from_utf8_lossy(&checked.stdout);
    for word in &words[1..] {
        assert!(found.contains(word), "nothing of '{word}': {found}");
    }
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    let bound = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let at = bound.local_addr().expect("it is bound").to_string();
    drop(bound);
    is_not_asked(
        &at,
        &[
            "cannot be reached",
            "nobody listens there",
            "server.properties",
        ],
    );
}

#[test]
fn a_host_that_nobody_knows_is_named() {
    let words = [
        "cannot be reached",
        "typing error",
        "getent hosts no-such-host.invalid",
    ];
    is_not_asked("no-such-host.invalid:9092", &words);
}

#[test]
fn a_port_that_speaks_something_else_is_named() {
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    is_not_asked(&listener(http), &["speaks HTTP", "a Kafka listener"]);
    let alert = &[0x15, 3, 3, 0, 2, 2, 0x50];
    is_not_asked(&listener(alert), &["speaks TLS", "PLAINTEXT"]);
    let member = ["check", "--destination", &listener(alert), "--id", "9001"];
    let checked = run(&member);
    let found = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{found}");
    assert!(found.contains("speaks TLS"), "{found}");
    is_not_asked(&listener(b"SSH-2.0-any\r\n"), &["speaks SSH"]);
    is_not_asked(&listener(b"\xff\xff\xff\xff"), &["is a Kafka broker"]);
    is_not_asked(&listener(b""), &["closed the connection", "PLAINTEXT"]);
}

#[test]
fn an_address_that_is_none_shows_what_one_looks_like() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let vault = dir.path().join("vault");
    for from in ["broker", "http://broker", "broker:99999"] {
        ends_with(
            2,
            &["--from", from, "HOST:PORT, such as"],
            &copy(from, &vault),
        );
    }
}

#[test]
fn patterns_that_are_none_are_told_apart() {
    let copy = ["copy", "--from", "127.0.0.1:1", "--into", "nowhere"];
    let words = ["'a(' is not", "unclosed group", "as in \\."];
    ends_with(2, &words, &run(&[&copy[..], &["--topics", "a("]].concat()));
    let words = ["'*x' is not", "repetition operator", ".* matches any text"];
    let wrong = ["--topics", "a", "--exclude", "*x"];
    ends_with(2, &words, &run(&[&copy[..], &wrong].concat()));
}

/// Whoever may do anything is made one who may not, with a copy of the program within reach.
fn as_nobody(program: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(65_534).gid(65_534);
    }
    command.args(args).output().expect("it is there")
}

#[test]
fn a_directory_that_may_not_be_written_is_named() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let program = dir.path().join("twinlog");
    fs::copy(PROGRAM, &program).expect("there is room");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).expect("it is ours");
    let vault = dir.path().join("vault");
    let vault = vault.to_str().expect("our paths are text");
    let from = format!("127.0.0.1:{}", source::start());
    let args = ["copy", "--from", &from, "--topics", ".*", "--into", vault];
    let ended = as_nobody(&program, &args);
    let words = [
        vault,
        "Permission denied",
        "the user that runs twinlog",
        "another place",
    ];
    ends_with(1, &words, &ended);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
}

#[test]
fn a_vault_that_is_none_is_named() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let gone = run(&["verify", "--vault", &path("gone")]);
    ends_with(1, &[&path("gone"), "see whether the path is right"], &gone);
    fs::write(dir.path().join("file"), "").expect("there is room");
    let file = run(&["verify", "--vault", &path("file")]);
    ends_with(1, &[&path("file"), "a directory is wanted"], &file);
    let other = run(&["verify", "--vault", &path("")]);
    ends_with(1, &["is not a vault", "an earlier copy"], &other);
}

#[test]
fn long_names_leave_the_table_readable_and_are_whole_in_json() {
    let name: &'static str = format!("begin-{}-end", "x".repeat(239)).leak();
    let topics = [
        (name, TopicId::new([1; 16])),
        ("short", TopicId::new([2; 16])),
    ];
    let from = format!("127.0.0.1:{}", source::start_with(&topics));
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let vault = dir.path().join("vault");
    let ended = copy(&from, &vault);
    ends_with(0, &[], &ended);
    let told = String::from_utf8_lossy(&ended.stdout);
    let table: Vec<&str> = told.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(table.len(), 4, "{told}");
    assert!(
        table.iter().all(|line| line.chars().count() <= COLUMNS),
        "{told}"
    );
    assert!(
        table[1].starts_with("begin-x") && table[1].contains("x…x"),
        "{told}"
    );
    assert!(
        table[1].contains("x-end ") && table[2].starts_with("short "),
        "{told}"
    );

    let vault = dir.path().join("again");
    let vault = vault.to_str().expect("our paths are text");
    let args = [
        "copy", "--from", &from, "--topics", ".*", "--into", vault, "--json",
    ];
    let told = String::from_utf8_lossy(&run(&args).stdout).into_owned();
    let told: serde_json::Value = serde_json::from_str(&told).expect("one object");
    assert_eq!(told["by_topic"][0]["topic"], name);
    assert_eq!(told["by_topic"][0]["batches"], source::BATCHES);
    assert_eq!(told["by_topic"][1]["topic"], "short");
}
