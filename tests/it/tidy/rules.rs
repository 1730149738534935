//! The rules: files in, everything that breaks the rule out, as `file:line: what`.

use super::code::{self, line_at, words};
use super::tree::SourceFile;
use super::{
    ANYTHING, ARROWS, ASYNC_FILES, ATOMIC_TYPES, BANNED, COLUMNS_MAX, EMPTY_NAMES, FILE_LINES_MAX,
    FUNCTION_LINES_MAX, SHARING_FILES, SHARING_WORDS,
};

/// Words before the name of a type.
const TYPE_WORDS: [&str; 5] = ["struct", "enum", "union", "trait", "type"];

pub(super) fn long_files(files: &[SourceFile]) -> Vec<String> {
    let counted = files.iter().filter(|file| !file.is_test());
    counted
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(file, lines)| format!("{}:{lines}: the last of its lines", file.path))
        .collect()
}

pub(super) fn long_functions(files: &[SourceFile]) -> Vec<String> {
    each(files.iter(), |file| {
        let long = code::functions(&file.code)
            .into_iter()
            .filter(|function| function.lines > FUNCTION_LINES_MAX);
        long.map(|found| {
            let what = format!("{} has {} lines", found.name, found.lines);
            (found.line, what)
        })
        .collect()
    })
}

pub(super) fn wide_lines(files: &[SourceFile]) -> Vec<String> {
    each(files.iter(), |file| {
        (1..)
            .zip(file.text.lines())
            .map(|(line, text)| (line, text.chars().count()))
            .filter(|(_, columns)| *columns > COLUMNS_MAX)
            .map(|(line, columns)| (line, format!("{columns} columns")))
            .collect()
    })
}

/// What is left of `broken` where each file may break the rule as often as `excused` says. Less
/// often is a mistake in that list.
pub(super) fn unexcused(broken: &[String], excused: &[(&str, usize)]) -> Vec<String> {
    let is_of = |line: &str, path: &str| line.split(':').next() == Some(path);
    let mut left = broken.to_vec();
    for &(path, allowed) in excused {
        let times = broken.iter().filter(|line| is_of(line, path)).count();
        if times <= allowed {
            left.retain(|line| !is_of(line, path));
        }
        if times < allowed {
            left.push(format!("{path}: write {times} into EXCUSED, not {allowed}"));
        }
    }
    left
}

pub(super) fn arrows(files: &[SourceFile]) -> Vec<String> {
    each(production(files), |file| {
        let Some(folder) = file.folder() else {
            return Vec::new();
        };
        let row = ARROWS.iter().find(|(name, _)| *name == folder);
        let allowed = row.map_or(&[][..], |(_, allowed)| *allowed);
        let code = code::without_tests(&file.code);
        let mut broken: Vec<_> = code::crate_paths(&code)
            .into_iter()
            .filter(|(_, steps)| steps.first() != Some(&folder) && !permits(allowed, steps))
            .map(|(line, steps)| (line, format!("{folder} imports {}", steps.join("::"))))
            .collect();
        broken.extend(climbs(&file.path, &code));
        broken
    })
}

fn permits(allowed: &[&str], steps: &[&str]) -> bool {
    allowed.iter().any(|entry| match entry.split_once("::") {
        Some((folder, module)) => steps.first() == Some(&folder) && steps.get(1) == Some(&module),
        None => *entry == ANYTHING || steps.first() == Some(entry),
    })
}

/// Chains of `super` that reach the library's root, past the sight of the table.
fn climbs(path: &str, code: &str) -> Vec<(usize, String)> {
    let below_root = path.split('/').count() - 1;
    let depth = below_root - usize::from(path.ends_with("/mod.rs"));
    let chain = vec!["super"; depth].join("::");
    let found = code.match_indices(&chain);
    found
        .filter(|(at, _)| !code[..*at].ends_with("super::"))
        .filter(|(at, _)| code[at + chain.len()..].starts_with("::"))
        .map(|(at, _)| {
            (
                line_at(code, at),
                format!("{chain} is the root: write crate"),
            )
        })
        .collect()
}

pub(super) fn silent_modules(files: &[SourceFile]) -> Vec<String> {
    each(files.iter(), |file| {
        let head = file.text.lines().map_while(|line| line.strip_prefix("//!"));
        let paragraph: Vec<&str> = head
            .map(str::trim)
            .take_while(|line| !line.is_empty())
            .collect();
        let says_something = paragraph.last().is_some_and(|line| line.ends_with('.'));
        let what = (1, "no sentence at its head".to_owned());
        if says_something {
            Vec::new()
        } else {
            vec![what]
        }
    })
}

pub(super) fn empty_names(files: &[SourceFile]) -> Vec<String> {
    each(files.iter(), |file| {
        let steps = file.path.trim_end_matches(".rs").split('/');
        let files = steps.map(|step| (1, step));
        let words = words(&file.code);
        let types = words
            .windows(2)
            .filter(|pair| TYPE_WORDS.contains(&pair[0].1))
            .map(|pair| (line_at(&file.code, pair[1].0), pair[1].1));
        let named = files.chain(types);
        named
            .filter(|(_, name)| is_empty_name(name))
            .map(|(line, name)| (line, name.to_owned()))
            .collect()
    })
}

fn is_empty_name(name: &str) -> bool {
    let name = name.to_lowercase();
    EMPTY_NAMES
        .iter()
        .any(|end| name.ends_with(end) || name.ends_with(&format!("{end}s")))
}

pub(super) fn stray_async(files: &[SourceFile]) -> Vec<String> {
    stray_words(files, &ASYNC_FILES, |word| word == "async")
}

pub(super) fn stray_sharing(files: &[SourceFile]) -> Vec<String> {
    stray_words(files, &SHARING_FILES, |word| {
        SHARING_WORDS.contains(&word) || word.starts_with(ATOMIC_TYPES)
    })
}

/// The words, outside tests, that stand in a file which none of `homes` begins.
fn stray_words(
    files: &[SourceFile],
    homes: &[&str],
    is_meant: impl Fn(&str) -> bool,
) -> Vec<String> {
    each(production(files), |file| {
        if is_in(file, homes) {
            return Vec::new();
        }
        let code = code::without_tests(&file.code);
        let strays = words(&code).into_iter().filter(|(_, word)| is_meant(word));
        strays
            .map(|(at, word)| (line_at(&code, at), word.to_owned()))
            .collect()
    })
}

pub(super) fn banned_words(files: &[SourceFile]) -> Vec<String> {
    each(files.iter().filter(|file| file.is_src()), |file| {
        let banned = BANNED.iter().filter(|(_, homes)| !is_in(file, homes));
        banned
            .flat_map(|(word, _)| file.text.match_indices(word))
            .map(|(at, word)| (line_at(&file.text, at), word.to_owned()))
            .collect()
    })
}

/// What is in one list only.
pub(super) fn differences(named: &[String], there: &[String]) -> Vec<String> {
    let missing = there.iter().filter(|name| !named.contains(name));
    let stale = named.iter().filter(|name| !there.contains(name));
    missing
        .map(|name| format!("{name}: there, but not named"))
        .chain(stale.map(|name| format!("{name}: named, but not there")))
        .collect()
}

/// Promises of README.md, by their row, that no test holds.
pub(super) fn untested(rows: &[Vec<String>], files: &[SourceFile]) -> Vec<String> {
    let is_there = |name: &String| files.iter().any(|file| file.path == *name);
    let each = rows.iter().enumerate().flat_map(|(nth, named)| {
        let nth = nth + 1;
        let none = named.is_empty().then(|| format!("row {nth}: no test"));
        let stale = named.iter().filter(|name| !is_there(name));
        let stale = stale.map(move |name| format!("row {nth}: {name} is not there"));
        none.into_iter().chain(stale)
    });
    each.collect()
}

fn production(files: &[SourceFile]) -> impl Iterator<Item = &SourceFile> {
    files.iter().filter(|file| file.in_production().is_some())
}

fn is_in(file: &SourceFile, homes: &[&str]) -> bool {
    let inside = file.path.strip_prefix("src/");
    inside.is_some_and(|path| homes.iter().any(|home| path.starts_with(home)))
}

/// What `look` finds in each file, as lines of a report.
fn each<'a>(
    files: impl Iterator<Item = &'a SourceFile>,
    look: impl Fn(&'a SourceFile) -> Vec<(usize, String)>,
) -> Vec<String> {
    let found = files.flat_map(|file| {
        let lines = look(file);
        lines
            .into_iter()
            .map(|(line, what)| format!("{}:{line}: {what}", file.path))
    });
    found.collect()
}
