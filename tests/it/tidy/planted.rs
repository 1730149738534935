//! Each rule against a file that breaks it, and against one that looks as if it did.

use super::code::{self, Function};
use super::tree::SourceFile;
use super::{COLUMNS_MAX, FILE_LINES_MAX, FUNCTION_LINES_MAX, house, rules};

type Rule = fn(&[SourceFile]) -> Vec<String>;

/// What the rule says of one file.
fn said(rule: Rule, path: &str, text: &str) -> Vec<String> {
    rule(&[SourceFile::new(path, text)])
}

#[track_caller]
fn assert_said(rule: Rule, path: &str, text: &str, expected: &[&str]) {
    assert_eq!(said(rule, path, text), expected, "{path}:\n{text}");
}

#[test]
fn comments_and_literals_are_blanks() {
    for (text, expected) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("async \" x") y"#, "f(            ) y"),
        (r###"r#"a " b"# c"###, "           c"),
        ("br\"a\\\" b", "       b"),
        ("'a' 'x '\\'' '\"' y", "    'x          y"),
        ("for r in bar", "for r in bar"),
        ("r#type x", "r#type x"),
        ("\"a\nb\" c", "  \n   c"),
    ] {
        assert_eq!(code::blanked(text), expected, "{text}");
    }
}

#[test]
fn inline_test_modules_are_blanks() {
    let code = "a #[cfg(test)]\nmod tests { use b::{c}; } d #[cfg(test)] mod e; #[cfg(test)] fn f";
    let left: Vec<&str> = code.split_whitespace().collect();
    assert!(left.contains(&"b::{c};"));
    let code = code::without_tests(code);
    let left: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(left, ["a", "d", "mod", "e;", "fn", "f"]);
}

#[test]
fn functions_are_measured_from_fn_to_brace() {
    let code = "fn a(b: [u8; 2]) -> fn(u8) -> u8\nwhere\n{\n  {}\n}\n\
                trait T { fn c(); fn d() {} }";
    let function = |name, line, lines| Function { name, line, lines };
    assert_eq!(
        code::functions(code),
        [function("a", 1, 5), function("d", 6, 1)]
    );
}

#[test]
fn paths_are_resolved_to_their_second_step() {
    let code = "use crate::{a::{b, c::d}, e,\n f::*,\n};\n\
                let x = crate::g::h(crate :: i::<u8>());\n\
                pub(crate) fn y() { mycrate::z() }";
    let expected = [
        (1, vec!["a", "b"]),
        (1, vec!["a", "c"]),
        (1, vec!["e"]),
        (2, vec!["f"]),
        (4, vec!["g", "h"]),
        (4, vec!["i"]),
    ];
    assert_eq!(code::crate_paths(code), expected);
}

#[test]
fn a_long_file_is_refused() {
    let allowed = "x\n".repeat(FILE_LINES_MAX);
    assert_said(rules::long_files, "src/log/mod.rs", &allowed, &[]);
    let long = allowed + "x\n";
    assert_said(
        rules::long_files,
        "src/log/mod.rs",
        &long,
        &["src/log/mod.rs:801: the last of its lines"],
    );
    assert_said(rules::long_files, "src/log/append/tests.rs", &long, &[]);
}

#[test]
fn a_long_function_is_refused() {
    let of = |lines: usize| format!("\nfn a() {{\n{}}}\n", "x;\n".repeat(lines - 2));
    let allowed = of(FUNCTION_LINES_MAX);
    assert_said(rules::long_functions, "tests/it/a.rs", &allowed, &[]);
    let long = of(FUNCTION_LINES_MAX + 1);
    let expected = ["tests/it/a.rs:2: a has 71 lines"];
    assert_said(rules::long_functions, "tests/it/a.rs", &long, &expected);
}

#[test]
fn a_wide_line_is_refused() {
    // Columns are characters: these take two bytes each.
    let allowed = "é".repeat(COLUMNS_MAX);
    let text = format!("{allowed}\né{allowed}\n");
    let expected = ["src/a.rs:2: 101 columns"];
    assert_said(rules::wide_lines, "src/a.rs", &text, &expected);
}

#[test]
fn excuses_hold_for_a_number_and_shrink() {
    let broken = ["src/a.rs:1: x", "src/a.rs:2: x", "src/b.rs:3: x"].map(str::to_owned);
    let left = |excused| rules::unexcused(&broken, excused);
    assert_eq!(left(&[]), broken);
    assert_eq!(left(&[("src/a.rs", 2)]), ["src/b.rs:3: x"]);
    assert_eq!(left(&[("src/a.rs", 1), ("src/b.rs", 1)]), broken[..2]);
    let too_many = [("src/a.rs", 2), ("src/b.rs", 2), ("src/gone.rs", 1)];
    let expected = [
        "src/b.rs: write 1 into EXCUSED, not 2",
        "src/gone.rs: write 0 into EXCUSED, not 1",
    ];
    assert_eq!(left(&too_many), expected);
}

#[test]
fn an_arrow_up_is_refused() {
    let text = "use crate::{model::Offset, log::Log};\n// crate::cli\n";
    let expected = ["src/source/a.rs:1: source imports log::Log"];
    assert_said(rules::arrows, "src/source/a.rs", text, &expected);
    assert_said(rules::arrows, "src/source/tests.rs", text, &[]);
    assert_said(rules::arrows, "src/cli/a.rs", text, &[]);
    assert_said(rules::arrows, "src/main.rs", text, &[]);
    let inline = "fn a() { crate::cli::run() }\n#[cfg(test)]\nmod tests { use crate::shard; }";
    let expected = ["src/log/a.rs:1: log imports cli::run"];
    assert_said(rules::arrows, "src/log/a.rs", inline, &expected);
    let own = "use crate::log::Log;\nuse crate::record::Batch;\n";
    assert_said(rules::arrows, "src/log/a/b.rs", own, &[]);
}

#[test]
fn an_arrow_to_one_module_allows_that_module_alone() {
    let text = "use crate::shard::inbox::Order;\nuse crate::shard::{inbox, Shard};\n";
    let expected = ["src/control/mod.rs:2: control imports shard::Shard"];
    assert_said(rules::arrows, "src/control/mod.rs", text, &expected);
    let whole = "use crate::shard;\n";
    let expected = ["src/control/mod.rs:1: control imports shard"];
    assert_said(rules::arrows, "src/control/mod.rs", whole, &expected);
}

#[test]
fn the_root_by_another_name_is_refused() {
    let text = "use super::super::cli;\nuse super::b;\n";
    let expected = ["src/log/a.rs:1: super::super is the root: write crate"];
    assert_said(rules::arrows, "src/log/a.rs", text, &expected);
    assert_said(rules::arrows, "src/log/a/b.rs", text, &[]);
    let expected = ["src/log/mod.rs:1: super is the root: write crate"];
    assert_said(
        rules::arrows,
        "src/log/mod.rs",
        "use super::cli;",
        &expected,
    );
}

#[test]
fn a_silent_module_is_refused() {
    let expected = ["src/a.rs:1: no sentence at its head"];
    for silent in [
        "use b;\n",
        "\n//! What it is.\n",
        "//!\n",
        "//! no sentence\n\n",
    ] {
        assert_said(rules::silent_modules, "src/a.rs", silent, &expected);
    }
    let speaking = "//! What it is,\n//! on two lines.\n//!\n//! - a list\n";
    assert_said(rules::silent_modules, "src/a.rs", speaking, &[]);
}

#[test]
fn an_empty_name_is_refused() {
    let text = "struct TopicManager;\nenum Kind {}\ntype NodeInfo = u8;\nfn handler() {}\n";
    let expected = [
        "src/a/io_utils.rs:1: io_utils",
        "src/a/io_utils.rs:1: TopicManager",
        "src/a/io_utils.rs:3: NodeInfo",
    ];
    assert_said(rules::empty_names, "src/a/io_utils.rs", text, &expected);
    assert_said(
        rules::empty_names,
        "tests/it/common/mod.rs",
        "",
        &["tests/it/common/mod.rs:1: common"],
    );
}

#[test]
fn stray_async_is_refused() {
    let text = "\nasync fn a() {}\n#[cfg(test)]\nmod tests { async fn b() {} }\n";
    let expected = ["src/log/append.rs:2: async"];
    assert_said(rules::stray_async, "src/log/append.rs", text, &expected);
    assert_said(rules::stray_async, "src/log/recovery.rs", text, &[]);
    assert_said(rules::stray_async, "src/log/append/tests.rs", text, &[]);
}

#[test]
fn stray_sharing_is_refused() {
    let text = "use std::sync::Arc;\nfn a(b: &AtomicU64, c: Archive) {} // Mutex\n";
    let expected = ["src/log/a.rs:1: Arc", "src/log/a.rs:2: AtomicU64"];
    assert_said(rules::stray_sharing, "src/log/a.rs", text, &expected);
    assert_said(rules::stray_sharing, "src/shard/inbox.rs", text, &[]);
}

#[test]
fn banned_words_are_refused() {
    let text = "fn open_for_test() {\n    dbg!(1);\n    eprintln!();\n} // FIXME\n";
    let expected = [
        "src/log/a.rs:1: for_test",
        "src/log/a.rs:2: dbg!",
        "src/log/a.rs:4: FIXME",
        "src/log/a.rs:3: println!",
    ];
    assert_said(rules::banned_words, "src/log/a.rs", text, &expected);
    assert_said(rules::banned_words, "src/cli/a.rs", "println!();", &[]);
    assert_said(rules::banned_words, "tests/it/a.rs", text, &[]);
}

#[test]
fn lists_are_compared_both_ways() {
    let named = house::listed_folders("# A\n- `log/`: a log.\n- `ring/`: a ring.\n- log/: no\n");
    let there = house::public_modules("//! pub mod no;\npub mod log;\npub mod model;\nmod own;\n");
    let expected = ["model: there, but not named", "ring: named, but not there"];
    assert_eq!(rules::differences(&named, &there), expected);
    assert!(rules::differences(&named, &named).is_empty());
}

#[test]
fn manifests_are_understood() {
    let manifest = "[features]\nfast = []\n[dependencies]\na = \"1\"\nb.version = \"2\"\n\
                    [dev-dependencies]\nc = \"3\"\n";
    assert_eq!(house::features(manifest), ["fast"]);
    assert_eq!(house::dependencies(manifest), ["a", "b"]);
}

#[test]
fn a_promise_without_a_test_is_refused() {
    let readme = "# A\n## What is promised\n\n| Promise | Kept by | Shown by |\n|---|---|---|\n\
                  | a | b | `kafka::copying`, `src/log/tests/cut.rs` |\n\
                  | c | `d` | nothing |\n| e | f | `gone` |\n\n## B\n| g | h | `i` |\n";
    let rows = house::promised_tests(readme);
    let files = ["tests/it/kafka/copying.rs", "src/log/tests/cut.rs"];
    let files = files.map(|path| SourceFile::new(path, ""));
    let expected = ["row 2: no test", "row 3: tests/it/gone.rs is not there"];
    assert_eq!(rules::untested(&rows, &files), expected);
}
