//! The house rules as tests: size, direction of imports, names, and who may do what.
//!
//! The tables come first; to change one is to change the architecture. Every rule names all that
//! breaks it, with file and line. `planted` shows that each rule can fail.
#![expect(
    clippy::disallowed_methods,
    reason = "the rules are about files, so their tests read files"
)]

mod code;
mod house;
mod planted;
mod rules;
mod tree;

use tree::files;

/// Lines that a file may have, tests aside.
const FILE_LINES_MAX: usize = 800;
/// Lines that a function may have, from its `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Columns of a line, counted in characters.
const COLUMNS_MAX: usize = 100;

/// What still breaks a rule: the rule's test, the file, and how often. Only ever shrinks: a number
/// that has become too large is refused as well.
const EXCUSED: [(&str, &str, usize); 0] = [];

/// Which folder of `src` may import which; `folder::module` allows that module alone. What stands
/// beside the folders (`lib.rs`, `main.rs`) may import anything.
const ARROWS: [(&str, &[&str]); 21] = [
    ("model", &[]),
    ("stdx", &[]),
    ("record", &["model", "stdx"]),
    ("protocol", &["model", "stdx"]),
    ("generator", &["model", "stdx", "record"]),
    ("io", &["model", "stdx"]),
    ("session", &["model", "stdx", "protocol", "io"]),
    ("log", &["model", "stdx", "record", "io"]),
    ("replica", &["model", "stdx"]),
    ("vault", &["model", "stdx", "io"]),
    ("source", &["model", "stdx", "protocol"]),
    ("server", &["model", "stdx", "protocol", "session"]),
    ("mirror", &["model", "stdx", "protocol"]),
    ("kraft", &["model", "stdx", "record", "protocol", "session"]),
    (
        "shard",
        &[
            "model",
            "stdx",
            "record",
            "protocol",
            "session",
            "io",
            "log",
            "replica",
            "source",
            "server",
            "vault",
            "leading::inbox",
        ],
    ),
    (
        "leading",
        &[
            "model", "stdx", "record", "protocol", "session", "io", "log", "replica", "server",
        ],
    ),
    (
        "control",
        &[
            "model",
            "stdx",
            "protocol",
            "session",
            "io",
            "vault",
            "mirror",
            "kraft",
            "server::admin",
            "shard::inbox",
            "leading::inbox",
        ],
    ),
    (
        "audit",
        &[
            "model", "stdx", "record", "protocol", "session", "io", "log", "vault",
        ],
    ),
    ("uring", &["model", "stdx", "io"]),
    (
        "config",
        &[
            "source", "shard", "control", "kraft", "mirror", "log", "model", "stdx",
        ],
    ),
    ("cli", &[ANYTHING]),
];
const ANYTHING: &str = "*";

/// What no file and no type may be called, as the end of its name: such names say nothing.
const EMPTY_NAMES: [&str; 9] = [
    "manager",
    "handler",
    "helper",
    "util",
    "common",
    "misc",
    "impl",
    "processor",
    "info",
];

/// Files of `src` that may hold `async`: the seam to the world, and the sequences off the path
/// of the data. What decides is a plain function.
const ASYNC_FILES: [&str; 18] = [
    "io/",
    "uring/",
    "session/client.rs",
    "session/calls.rs",
    "session/admin.rs",
    "session/topics.rs",
    "session/acls.rs",
    "session/producers.rs",
    "session/mirrors.rs",
    "session/survey.rs",
    "shard/",
    "leading/",
    "control/",
    "cli/",
    "log/recovery.rs",
    "log/store.rs",
    "session/channel.rs",
    "audit/",
];

/// Files of `src` that may share between threads.
const SHARING_FILES: [&str; 7] = [
    "model/ids.rs",
    // Images of one cluster, which nobody changes: what is the same in two of them is there once.
    "kraft/image/",
    "shard/",
    "leading/lease.rs",
    "control/",
    "cli/",
    "uring/",
];
const SHARING_WORDS: [&str; 5] = ["Arc", "Mutex", "RwLock", "Condvar", "atomic"];
/// How the types of `std::sync::atomic` begin.
const ATOMIC_TYPES: &str = "Atomic";

/// What may not stand in `src`, comments included, and the files that are free of it.
const BANNED: [(&str, &[&str]); 7] = [
    ("fail_point", &[]),
    ("for_test", &[]),
    ("dbg!", &[]),
    ("todo!", &[]),
    ("FIXME", &[]),
    // This finds eprintln! as well.
    ("println!", &["cli/"]),
    ("cfg(feature", &[]),
];

/// What we depend on, and why.
const DEPENDENCIES: [(&str, &str); 25] = [
    (
        "bytes",
        "the frames that kafka-protocol encodes to and decodes from",
    ),
    ("clap", "the command line and its help"),
    ("crc-fast", "CRC-32C of every batch at the speed of memory"),
    ("crc32fast", "CRC-32 of our own state file"),
    ("hdrhistogram", "lag and latency in the summary of a run"),
    ("indicatif", "progress on a terminal"),
    (
        "io-uring",
        "the raw ring entries that tokio-uring has no call for",
    ),
    (
        "kafka-protocol",
        "Kafka's public RPCs off the path of the data",
    ),
    (
        "libc",
        "file locks, cores, limits and flags that std does not offer",
    ),
    ("mimalloc", "an allocator whose cost per thread stays even"),
    ("prometheus-client", "metrics in the text of OpenMetrics"),
    ("regex", "which topics to copy"),
    ("serde", "what --json prints, as types"),
    ("serde_json", "what --json prints, as text"),
    ("socket2", "socket options that std does not offer"),
    ("thiserror", "errors as types without ceremony"),
    ("tokio", "the control thread and its timers"),
    ("tokio-uring", "one ring per core, behind the traits of io"),
    ("toml", "config.toml, with the place of every key"),
    ("tracing", "what happened, with fields"),
    ("tracing-subscriber", "what happened, on standard error"),
    ("twox-hash", "XXH3 of every batch's header, for the digest"),
    ("uuid", "the directory ids of a vault"),
    (
        "zerocopy",
        "headers viewed where they lie, in network order",
    ),
    ("zstd", "compressed batches of the demonstration's load"),
];

/// Fails with all that broke the rule which `test` stands for, what is excused aside.
#[track_caller]
fn assert_none(test: &str, rule: &str, broken: &[String]) {
    let excused = EXCUSED.into_iter().filter(|(name, _, _)| *name == test);
    let excused: Vec<_> = excused.map(|(_, path, times)| (path, times)).collect();
    let broken = rules::unexcused(broken, &excused);
    assert!(broken.is_empty(), "{rule}\n  {}\n", broken.join("\n  "));
}

#[test]
fn excuses_are_for_tests_of_this_file() {
    let text = tree::read("tests/it/tidy.rs");
    for (test, _, _) in EXCUSED {
        assert!(text.contains(&format!("\nfn {test}() {{")), "{test}");
    }
}

#[test]
fn files_are_short() {
    let rule = format!("a file has at most {FILE_LINES_MAX} lines: find the missing noun");
    assert_none("files_are_short", &rule, &rules::long_files(files()));
}

#[test]
fn functions_are_short() {
    let rule = format!("a function has at most {FUNCTION_LINES_MAX} lines");
    assert_none(
        "functions_are_short",
        &rule,
        &rules::long_functions(files()),
    );
}

#[test]
fn lines_are_narrow() {
    let rule = format!("a line has at most {COLUMNS_MAX} columns");
    assert_none("lines_are_narrow", &rule, &rules::wide_lines(files()));
}

#[test]
fn arrows_go_down() {
    let rule = "an import that the table ARROWS does not allow";
    assert_none("arrows_go_down", rule, &rules::arrows(files()));
}

#[test]
fn arrows_name_every_folder() {
    let named = ARROWS.map(|(folder, _)| folder.to_owned());
    let rule = "the table ARROWS and the folders in src differ";
    assert_none(
        "arrows_name_every_folder",
        rule,
        &rules::differences(&named, &tree::folders()),
    );
}

#[test]
fn modules_say_what_they_are() {
    let rule = "a module begins with `//! ` and one sentence";
    assert_none(
        "modules_say_what_they_are",
        rule,
        &rules::silent_modules(files()),
    );
}

#[test]
fn the_library_names_every_folder() {
    let named = house::public_modules(&tree::read("src/lib.rs"));
    let rule = "the `pub mod` lines of src/lib.rs and the folders in src differ";
    assert_none(
        "the_library_names_every_folder",
        rule,
        &rules::differences(&named, &tree::folders()),
    );
}

#[test]
fn the_readme_names_every_folder() {
    let named = house::listed_folders(&tree::read("README.md"));
    let rule = "the \"- `folder/`: …\" lines of README.md and the folders in src differ";
    assert_none(
        "the_readme_names_every_folder",
        rule,
        &rules::differences(&named, &tree::folders()),
    );
}

#[test]
fn the_readme_promises_what_is_tested() {
    let rows = house::promised_tests(&tree::read("README.md"));
    assert!(rows.len() > 9, "the table of promises is gone");
    let rule = "a row of README.md's table of promises that names no test, or none that exists";
    assert_none(
        "the_readme_promises_what_is_tested",
        rule,
        &rules::untested(&rows, files()),
    );
}

#[test]
fn names_say_something() {
    let rule = format!("a file or type whose name ends in one of {EMPTY_NAMES:?}");
    assert_none("names_say_something", &rule, &rules::empty_names(files()));
}

#[test]
fn async_stays_where_it_may() {
    let rule = "`async` outside the files of ASYNC_FILES";
    assert_none(
        "async_stays_where_it_may",
        rule,
        &rules::stray_async(files()),
    );
}

#[test]
fn sharing_stays_where_it_may() {
    let rule = "shared ownership outside the files of SHARING_FILES";
    assert_none(
        "sharing_stays_where_it_may",
        rule,
        &rules::stray_sharing(files()),
    );
}

#[test]
fn banned_words_are_absent() {
    let rule = "words that src does without";
    assert_none(
        "banned_words_are_absent",
        rule,
        &rules::banned_words(files()),
    );
}

#[test]
fn there_are_no_features() {
    let rule = "cargo features: none, so that what is tested is what runs";
    assert_none(
        "there_are_no_features",
        rule,
        &house::features(&tree::read("Cargo.toml")),
    );
}

#[test]
fn dependencies_have_reasons() {
    let named = DEPENDENCIES.map(|(name, reason)| {
        assert!(reason.contains(' '), "{name} without a reason");
        name.to_owned()
    });
    let rule = "DEPENDENCIES in tests/it/tidy.rs and Cargo.toml differ";
    let used = house::dependencies(&tree::read("Cargo.toml"));
    assert_none(
        "dependencies_have_reasons",
        rule,
        &rules::differences(&named, &used),
    );
}
