//! A source that lies, and a way to it that is bad: damage is refused by name, never stored, costs
//! no memory, and is nobody else's trouble. A proxy lies, here before a made-up source; before a
//! real broker it does so in `kafka/lied_to.rs`, and to a member in `kafka/misled.rs`.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real sockets, threads and programs"
)]

pub(crate) mod lies;
pub(crate) mod proxy;
pub(crate) mod source;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lies::{FRAMES, InFrame, InRecords, Lie, RARE, RECORDS, Rare};
use proxy::{Often, Plan, Proxy};
use source::{BATCHES, BATCHES_PER_ANSWER, TOPICS, content};

/// The batch that is lied about.
const DAMAGED: i64 = 17;
/// Up to here a copy was made that is to go on.
const HALF: i64 = 20;
/// The program, its windows, and room for what lies have no right to.
const PEAK_BYTES_MAX: u64 = 160 << 20;
/// Failures are got over quickly, and patience is short.
pub(crate) const IMPATIENT: &str = "[source]\nretry_backoff_ms = 20\nretry_backoff_max_ms = 200\n\
    answer_timeout_ms = 1000\npatience_ms = 3000\n";

/// A command that has ended.
struct Ended {
    code: Option<i32>,
    said: String,
    /// Its result, on standard output.
    told: String,
    peak_bytes: u64,
}

/// A directory with a vault in it and a configuration beside it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().expect("there is a temporary directory");
        fs::write(dir.path().join("config.toml"), IMPATIENT).expect("it is there");
        Place { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Ended {
        let said = self.path("said");
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinlog"));
        let told = self.path("told");
        command.args(args).stdin(Stdio::null());
        command.stdout(fs::File::create(&told).expect("it is there"));
        command.stderr(fs::File::create(&said).expect("it is there"));
        let mut child = command.spawn().expect("cargo has built it");
        let mut peak_bytes = 0;
        let code = loop {
            peak_bytes = peak_bytes.max(peak(&child));
            if let Some(status) = child.try_wait().expect("it is our child") {
                break status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let said = fs::read_to_string(&said).expect("it was written");
        let told = fs::read_to_string(&told).expect("it was written");
        assert!(!said.contains("panicked"), "{said}");
        Ended {
            code,
            said,
            told,
            peak_bytes,
        }
    }

    fn copy(&self, port: u16) -> Ended {
        self.copy_from(&format!("127.0.0.1:{port}"))
    }

    fn copy_from(&self, from: &str) -> Ended {
        let (vault, config) = (self.path("vault"), self.path("config.toml"));
        let (vault, config) = (text(&vault), text(&config));
        self.run(&[
            "copy", "--from", from, "--topics", ".*", "--into", vault, "--config", config, "--json",
        ])
    }

    fn verify(&self, port: Option<u16>) -> Ended {
        let vault = self.path("vault");
        let from = format!("127.0.0.1:{}", port.unwrap_or(0));
        match port {
            Some(_) => self.run(&["verify", "--vault", text(&vault), "--from", &from]),
            None => self.run(&["verify", "--vault", text(&vault)]),
        }
    }

    fn held(&self, topic: &str) -> Vec<u8> {
        let path = self.path("vault").join(format!("{topic}-0"));
        fs::read(path.join("00000000000000000000.log")).unwrap_or_default()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("our paths are text")
}

/// The most memory that a process has had so far. Before it has become the program it is a
/// likeness of this process, whose memory says nothing.
fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    if !status.starts_with("Name:\ttwinlog\n") {
        return 0;
    }
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.map_or(0, |kib| kib.parse::<u64>().expect("a number") << 10)
}

/// Copies through a proxy that lies, and checks everything that has to hold of any lie.
fn lied_to(lie: Lie, often: Often) -> (Place, Ended) {
    let source = source::start();
    let plan = Plan {
        lie,
        often,
        topic: "lies".to_owned(),
        offset: DAMAGED,
    };
    let proxy = Proxy::start(source, plan);
    let place = Place::new();
    let ended = place.copy(proxy.port);
    let what = format!("{lie:?} {often:?}: {}", ended.said);
    assert!(proxy.told() > 0, "nobody lied, {what}");
    assert!(
        ended.peak_bytes < PEAK_BYTES_MAX,
        "{} bytes, {what}",
        ended.peak_bytes
    );
    assert!(ended.peak_bytes > 0, "nothing was measured, {what}");
    let verified = place.verify(None);
    assert_eq!(verified.code, Some(0), "{}\n{what}", verified.said);
    for (name, id) in TOPICS {
        let whole = content(id, BATCHES);
        assert!(
            whole.starts_with(&place.held(name)),
            "{name} is no prefix, {what}"
        );
    }
    (place, ended)
}

/// A lie about all that is said of the one partition.
fn about(lie: Lie, often: Often) -> Plan {
    Plan {
        lie,
        often,
        topic: "lies".to_owned(),
        offset: DAMAGED,
    }
}

fn ends_identical(lie: Lie, often: Often) {
    let (place, ended) = lied_to(lie, often);
    assert_eq!(ended.code, Some(0), "{lie:?}: {}", ended.said);
    for (name, id) in TOPICS {
        assert!(place.held(name) == content(id, BATCHES), "{lie:?}: {name}");
    }
}

/// Every lie of a list at the same time: most of it is waiting.
fn each<L: Copy + Send + Sync>(lies: &[L], test: impl Fn(L) + Send + Sync) {
    std::thread::scope(|scope| {
        let tests: Vec<_> = lies.iter().map(|lie| scope.spawn(|| test(*lie))).collect();
        let failed = tests.into_iter().map(|test| test.join().is_err());
        let failed = failed.filter(|failed| *failed).count();
        assert!(failed == 0, "{failed} lies are believed, see above");
    });
}

#[test]
fn a_lie_about_records_costs_a_wait() {
    each(&RECORDS, |lie| {
        ends_identical(Lie::Records(lie), Often::Once)
    });
}

#[test]
fn a_lie_about_an_answer_costs_a_connection() {
    each(&FRAMES, |lie| ends_identical(Lie::Frame(lie), Often::Once));
}

#[test]
fn lasting_lies_about_records_end_their_partition_by_name() {
    each(&RECORDS, |lie| {
        let (place, ended) = lied_to(Lie::Records(lie), Often::Always);
        let said = &ended.said;
        assert_eq!(ended.code, Some(1), "{lie:?}: {said}");
        let kept = match lie.is_exchange() {
            true => DAMAGED / BATCHES_PER_ANSWER * BATCHES_PER_ANSWER,
            false => DAMAGED,
        };
        let is_kept = place.held("lies") == content(TOPICS[1].1, kept);
        assert!(is_kept, "{lie:?}: stored up to {kept}: {said}");
        let is_whole = place.held("sound") == content(TOPICS[0].1, BATCHES);
        assert!(is_whole, "{lie:?}: the other goes on: {said}");
        for word in ["broker 1", "lies-0 stop", &format!("offset {kept}")] {
            assert!(
                said.contains(word),
                "{lie:?} says nothing of {word}: {said}"
            );
        }
        assert!(!said.contains("sound-0"), "{lie:?}: {said}");
    });
}

#[test]
fn lasting_lies_about_answers_end_with_the_brokers_name() {
    each(&FRAMES, |lie| {
        // What comes before the end of half an answer counts: slow, but it arrives.
        let behind = [
            InFrame::ByteByByte,
            InFrame::Cut,
            InFrame::Reset,
            InFrame::HugeField,
        ];
        if behind.contains(&lie) {
            return ends_identical(Lie::Frame(lie), Often::Always);
        }
        let (_, ended) = lied_to(Lie::Frame(lie), Often::Always);
        let said = &ended.said;
        assert_eq!(ended.code, Some(1), "{lie:?}: {said}");
        let stops = said.lines().find(|line| line.contains("lies-0 stop"));
        let stops = stops.unwrap_or_else(|| panic!("{lie:?} stops nothing: {said}"));
        for word in ["broker 1", "offset 0 "] {
            assert!(
                stops.contains(word),
                "{lie:?} says nothing of {word}: {stops}"
            );
        }
        assert!(said.lines().count() < 12, "{lie:?}: {said}");
    });
}

#[test]
fn an_answer_that_is_none_is_told_with_the_offset_that_was_asked_for() {
    let source = source::start();
    let place = Place::new();
    let half = Proxy::start(source, about(Lie::Ending(HALF), Often::Always));
    assert_eq!(place.copy(half.port).code, Some(0));
    let lie = Lie::Frame(InFrame::Garbage);
    let proxy = Proxy::start(source, about(lie, Often::Always));
    let ended = place.copy(proxy.port);
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    let stops = ended.said.lines().find(|line| line.contains("lies-0 stop"));
    let stops = stops.unwrap_or_else(|| panic!("nothing stops: {}", ended.said));
    for word in ["broker 1", &format!("offset {HALF} ")] {
        assert!(stops.contains(word), "nothing of {word}: {stops}");
    }
}

/// Goes on with half a copy, which asks all that a copy asks, through a proxy that lies about the
/// answers to one kind of request.
fn lied_to_about(about: Rare, lie: InFrame, often: Often) -> Ended {
    let source = source::start();
    let place = Place::new();
    let half = Proxy::start(source, self::about(Lie::Ending(HALF), Often::Always));
    assert_eq!(place.copy(half.port).code, Some(0));
    assert!(place.held("lies") == content(TOPICS[1].1, HALF));
    let config = format!("{IMPATIENT}request_timeout_ms = 1000\n");
    fs::write(place.path("config.toml"), config).expect("it is there");
    let proxy = Proxy::start(source, self::about(Lie::Rare(about, lie), often));
    let at = format!("127.0.0.1:{}", proxy.port);
    let ended = place.copy_from(&format!("{at},{at}"));
    let what = format!("{about:?} {lie:?} {often:?}: {}", ended.said);
    assert!(proxy.told() > 0, "nobody lied, {what}");
    assert!(
        ended.peak_bytes < PEAK_BYTES_MAX,
        "{} bytes, {what}",
        ended.peak_bytes
    );
    let verified = place.verify(None);
    assert_eq!(verified.code, Some(0), "{}\n{what}", verified.said);
    for (name, id) in TOPICS {
        let (held, whole) = (place.held(name), content(id, BATCHES));
        assert!(whole.starts_with(&held), "{name} is no prefix, {what}");
        assert!(ended.code != Some(0) || held == whole, "{name}: {what}");
    }
    ended
}

/// Who asks once more gets the answer; where nobody ever tells the truth, it is said who does not,
/// or which partition cannot begin for it.
#[test]
fn a_lie_about_a_rare_answer_costs_a_connection() {
    for about in RARE {
        each(&FRAMES, |lie| {
            let ended = lied_to_about(about, lie, Often::Once);
            assert_eq!(ended.code, Some(0), "{about:?} {lie:?}: {}", ended.said);
            let ended = lied_to_about(about, lie, Often::Always);
            let is_slow = lie == InFrame::ByteByByte;
            let (code, said) = (ended.code, &ended.said);
            assert_eq!(code, Some(i32::from(!is_slow)), "{about:?} {lie:?}: {said}");
            let word = match about {
                Rare::OffsetForLeaderEpoch => "lies-0 stop",
                _ => "127.0.0.1:",
            };
            assert!(is_slow || said.contains(word), "{about:?} {lie:?}: {said}");
        });
    }
}

/// The first sixteen bytes of a batch have no checksum and no name in them: what fits the request
/// and its neighbours cannot be seen as it arrives. The source tells when it is asked again.
#[test]
fn what_cannot_be_seen_on_arrival_is_found_by_a_comparison() {
    let source = source::start();
    let plan = Plan {
        // The last batch of all: no neighbour speaks against it.
        lie: Lie::Records(InRecords::OffsetOfTheNeighbour),
        often: Often::Once,
        topic: "lies".to_owned(),
        offset: BATCHES - 1,
    };
    let proxy = Proxy::start(source, plan);
    let place = Place::new();
    let copied = place.copy(proxy.port);
    assert_eq!(copied.code, Some(0), "{}", copied.said);
    assert_eq!(proxy.told(), 1);
    let alone = place.verify(None);
    assert_eq!(alone.code, Some(0), "it is sound by itself: {}", alone.said);
    let compared = place.verify(Some(source));
    assert_eq!(compared.code, Some(1), "{}", compared.said);
    let at = format!("offset {}", BATCHES - 1);
    for word in ["lies-0", &at] {
        assert!(
            compared.said.contains(word),
            "nothing of {word}: {}",
            compared.said
        );
    }
    assert!(!compared.said.contains("sound-0"), "{}", compared.said);
}

/// What a leader says of where its log begins is believed where it can be true: the comparison
/// shows what was never copied for it.
#[test]
fn offsets_that_the_source_denied_once_are_named_by_a_comparison() {
    let lies = [
        (Lie::Beginning(12), "offsets 0 to 12"),
        (Lie::Lost(15), "offsets 0 to 15"),
    ];
    each(&lies, |(lie, range)| {
        let source = source::start();
        let proxy = Proxy::start(source, about(lie, Often::Once));
        let place = Place::new();
        let copied = place.copy(proxy.port);
        assert_eq!(copied.code, Some(0), "{lie:?}: {}", copied.said);
        assert!(proxy.told() > 0, "{lie:?}");
        let alone = place.verify(None);
        assert_eq!(alone.code, Some(0), "{lie:?}: {}", alone.said);
        let compared = place.verify(Some(source));
        assert_eq!(compared.code, Some(0), "{lie:?}: {}", compared.said);
        let named = format!("lies-0: the source has {range}, which are not here");
        assert!(compared.told.contains(&named), "{lie:?}: {}", compared.told);
        let ends = compared.told.trim_end();
        assert!(!ends.ends_with("\nidentical"), "{lie:?}: {ends}");
        assert!(!ends.contains("sound-0"), "{lie:?}: {ends}");
        let (vault, from) = (place.path("vault"), format!("127.0.0.1:{source}"));
        let vault = text(&vault);
        let strict = ["verify", "--vault", vault, "--from", &from, "--complete"];
        let strict = place.run(&strict);
        assert_eq!(strict.code, Some(1), "{lie:?}: {}", strict.said);
    });
}

/// Nothing shows that a log is where its leader once says: it is asked for where ours ends again.
#[test]
fn bounds_that_no_batch_proves_leave_no_gap() {
    let source = source::start();
    let lie = Lie::Elsewhere(1 << 40, 2 << 40);
    let proxy = Proxy::start(source, about(lie, Often::Once));
    let place = Place::new();
    let copied = place.copy(proxy.port);
    assert_eq!(copied.code, Some(0), "{}", copied.said);
    assert_eq!(proxy.told(), 3, "{}", copied.said);
    for (name, id) in TOPICS {
        assert!(place.held(name) == content(id, BATCHES), "{name}");
    }
    let (vault, from) = (place.path("vault"), format!("127.0.0.1:{source}"));
    let vault = text(&vault);
    let strict = ["verify", "--vault", vault, "--from", &from, "--complete"];
    let strict = place.run(&strict);
    assert_eq!(strict.code, Some(0), "{}", strict.said);
    let state = place.path("vault").join("twinlog.state");
    let state = fs::read_to_string(&state).expect("a copy leaves it");
    let gap = (1i64 << 40).to_string();
    assert!(!state.contains(&gap), "a gap stays recorded: {state}");
}

#[test]
fn a_log_that_begins_behind_its_end_is_none() {
    each(&[Often::Once, Often::Always], |often| {
        let source = source::start();
        let proxy = Proxy::start(source, about(Lie::Beginning(1 << 40), often));
        let place = Place::new();
        let ended = place.copy(proxy.port);
        let said = &ended.said;
        let is_once = often == Often::Once;
        assert_eq!(ended.code, Some(i32::from(!is_once)), "{said}");
        let start = (1i64 << 40).to_string();
        for word in ["broker 1", "lies-0", &start, "ends at 40"] {
            assert!(said.contains(word), "nothing of {word}: {said}");
        }
        assert!(!said.contains("sound-0"), "{said}");
        let held = if is_once { BATCHES } else { 0 };
        assert!(place.held("lies") == content(TOPICS[1].1, held), "{said}");
        assert!(place.held("sound") == content(TOPICS[0].1, BATCHES));
    });
}

#[test]
fn an_end_that_is_never_reached_is_said() {
    let source = source::start();
    let proxy = Proxy::start(source, about(Lie::Ending(60), Often::Always));
    let place = Place::new();
    let ended = place.copy(proxy.port);
    let said = &ended.said;
    for word in ["lies-0", "ends at offset 60", "nothing behind 40"] {
        assert!(said.contains(word), "nothing of {word}: {said}");
    }
    assert!(!said.contains("sound-0"), "{said}");
    assert!(
        place.held("lies") == content(TOPICS[1].1, BATCHES),
        "{said}"
    );
}

#[test]
fn whom_the_answers_leave_out_waits_by_name_and_no_longer_than_there_is_patience() {
    each(&[Lie::LeftOut, Lie::Renamed], |lie| {
        let source = source::start();
        let proxy = Proxy::start(source, about(lie, Often::Always));
        let place = Place::new();
        let ended = place.copy(proxy.port);
        let said = &ended.said;
        assert_eq!(ended.code, Some(1), "{lie:?}: {said}");
        for word in [
            "broker 1",
            "lies-0 stop",
            "leaves the partition out",
            "offset 0",
        ] {
            assert!(said.contains(word), "{lie:?}: nothing of {word}: {said}");
        }
        assert!(!said.contains("sound-0"), "{lie:?}: {said}");
        assert!(said.lines().count() < 8, "{lie:?}: {said}");
        assert!(place.held("sound") == content(TOPICS[0].1, BATCHES));
        let once = Proxy::start(source, about(lie, Often::Once));
        let place = Place::new();
        let ended = place.copy(once.port);
        assert_eq!(ended.code, Some(0), "{lie:?}: {}", ended.said);
        assert!(place.held("lies") == content(TOPICS[1].1, BATCHES));
    });
}

#[test]
fn answers_that_bring_nothing_are_told_and_end_when_patience_does() {
    let lies = [
        (Lie::Refused, "Fetch answered UNKNOWN_SERVER_ERROR"),
        (Lie::Throttled, "times in a row without records"),
    ];
    each(&lies, |(lie, word)| {
        let source = source::start();
        let proxy = Proxy::start(source, about(lie, Often::Always));
        let place = Place::new();
        let ended = place.copy(proxy.port);
        let said = &ended.said;
        assert_eq!(ended.code, Some(1), "{lie:?}: {said}");
        for word in ["broker 1", "lies-0 stop", "sound-0 stop", word] {
            assert!(said.contains(word), "{lie:?}: nothing of {word}: {said}");
        }
        assert!(said.lines().count() < 12, "{lie:?}: {said}");
        let once = Proxy::start(source, about(lie, Often::Once));
        let place = Place::new();
        let ended = place.copy(once.port);
        assert_eq!(ended.code, Some(0), "{lie:?}: {}", ended.said);
        assert!(place.held("lies") == content(TOPICS[1].1, BATCHES));
    });
}

/// The commonest mistake of a new set-up: the broker that answers sends its clients to an address
/// at which nobody is.
#[test]
fn a_leader_that_cannot_be_reached_is_named_and_not_asked_without_rest() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let port = gone.local_addr().expect("it is bound").port();
    drop(gone);
    let place = Place::new();
    let config = format!("{IMPATIENT}request_timeout_ms = 1500\n");
    fs::write(place.path("config.toml"), config).expect("it is there");
    let ended = place.copy(source::start_elsewhere(port));
    let said = &ended.said;
    assert_eq!(ended.code, Some(1), "{said}");
    let at = format!("127.0.0.1:{port} cannot be reached");
    for word in ["lies-0 stop", "sound-0 stop", &at, "advertised.listeners"] {
        assert!(said.contains(word), "nothing of {word}: {said}");
    }
    assert!(said.lines().count() < 12, "{said}");
}

#[test]
fn a_pattern_that_matches_nothing_leaves_no_trace() {
    let source = source::start();
    let place = Place::new();
    let from = format!("127.0.0.1:{source}");
    let vault = place.path("vault");
    let nothing = || {
        let vault = text(&vault);
        let ended = place.run(&[
            "copy", "--from", &from, "--topics", "other", "--into", vault,
        ]);
        assert_eq!(ended.code, Some(1), "{}", ended.said);
    };
    nothing();
    assert!(!vault.exists(), "a vault was made for nothing");
    assert_eq!(place.copy(source).code, Some(0));
    let marker = vault.join(".kafka_cleanshutdown");
    assert!(marker.exists());
    nothing();
    assert!(marker.exists(), "the vault was as clean before");
}

#[test]
fn a_result_that_nobody_can_take_is_said_to_be_lost() {
    let source = source::start();
    let place = Place::new();
    assert_eq!(place.copy(source).code, Some(0));
    let full = || {
        fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("Linux has it")
    };
    let from = format!("127.0.0.1:{source}");
    let vault = place.path("vault");
    let vault = text(&vault);
    let commands: [&[&str]; 2] = [
        &["verify", "--vault", vault, "--json"],
        &["copy", "--from", &from, "--topics", ".*", "--into", vault],
    ];
    for args in commands {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinlog"));
        let ended = command.args(args).stdout(full()).output();
        let ended = ended.expect("cargo has built it");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(
            said.contains("cannot be written to standard output"),
            "{said}"
        );
    }
}

/// The source may be lost for good: that is what a vault is for.
#[test]
fn a_vault_that_was_killed_is_closed_by_whoever_adopts_it() {
    let source = source::start();
    let place = Place::new();
    assert_eq!(place.copy(source).code, Some(0));
    let vault = place.path("vault");
    let marker = vault.join(".kafka_cleanshutdown");
    fs::remove_file(&marker).expect("the copy has ended cleanly");
    let log = vault.join("lies-0/00000000000000000000.log");
    let whole = fs::read(&log).expect("it was copied");
    let torn = [whole.as_slice(), &whole[..100]].concat();
    fs::write(&log, torn).expect("it is ours");
    let nowhere = place.path("nowhere");
    let adopt = [
        "adopt",
        "--vault",
        text(&vault),
        "--log-dir",
        text(&nowhere),
    ];
    let ended = place.run(&[adopt.as_slice(), &["--to", "127.0.0.1:1"]].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(ended.said.contains("127.0.0.1:1"), "{}", ended.said);
    assert!(marker.exists(), "it is not closed: {}", ended.said);
    assert!(
        fs::read(&log).expect("it is there") == whole,
        "a torn end stays"
    );
    let verified = place.verify(Some(source));
    assert_eq!(verified.code, Some(0), "{}", verified.said);
}

/// A topic that was compacted once and is no more: what is lost here is not at the source either.
#[test]
fn what_was_lost_is_not_fetched_again_where_the_source_has_lost_some_of_it() {
    let place = Place::new();
    let honest = source::start();
    assert_eq!(place.copy(honest).code, Some(0));
    let log = place.path("vault").join("lies-0/00000000000000000000.log");
    let sound = content(TOPICS[1].1, HALF);
    let file = fs::File::options().write(true).open(&log);
    let cut = file.and_then(|file| file.set_len(sound.len() as u64));
    cut.expect("it was copied");
    let compacted = source::start_without(23..26);
    for _ in 0..2 {
        let ended = place.copy(compacted);
        assert_eq!(ended.code, Some(1), "{}", ended.said);
        for word in ["lies-0 stop", "nothing of 23 to 26", "`mv "] {
            assert!(
                ended.said.contains(word),
                "nothing of {word}: {}",
                ended.said
            );
        }
        assert!(!ended.said.contains("sound-0 stop"), "{}", ended.said);
        assert!(place.held("lies") == sound, "{}", ended.said);
    }
    // It is the records that are refused, not the copy.
    let ended = place.copy(honest);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(place.held("lies") == content(TOPICS[1].1, BATCHES));
    let verified = place.verify(Some(honest));
    assert_eq!(verified.code, Some(0), "{}", verified.said);
}
