//! What the files beside the code say of the house: the library's map, README.md, Cargo.toml.

use toml::Table;

use super::code;

/// The `pub mod` lines of the library's root.
pub(super) fn public_modules(lib: &str) -> Vec<String> {
    let blanked = code::blanked(lib);
    let lines = blanked.lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

/// The folders of README.md's list: lines such as "- `record/`: the bytes of batches".
pub(super) fn listed_folders(readme: &str) -> Vec<String> {
    let named = readme
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once("/`:"));
    named.map(|(folder, _)| folder.to_owned()).collect()
}

/// The files of the tests that README.md's table of promises names, a row's in one go.
pub(super) fn promised_tests(readme: &str) -> Vec<Vec<String>> {
    let (_, rest) = readme.split_once("## What is promised").unwrap_or_default();
    let section = rest.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    // The first one is the head.
    let cells = rows
        .skip(1)
        .filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let names = cells.map(|cell| cell.split('`').skip(1).step_by(2).map(test_file).collect());
    names.collect()
}

fn test_file(name: &str) -> String {
    match name.strip_prefix("src/") {
        Some(_) => name.to_owned(),
        None => format!("tests/it/{}.rs", name.replace("::", "/")),
    }
}

/// The features that a manifest declares.
pub(super) fn features(manifest: &str) -> Vec<String> {
    keys(manifest, "features")
}

/// The crates that a manifest depends on, those of tests and benches aside.
pub(super) fn dependencies(manifest: &str) -> Vec<String> {
    keys(manifest, "dependencies")
}

fn keys(manifest: &str, table: &str) -> Vec<String> {
    let manifest: Table = manifest.parse().expect("a manifest is TOML");
    let table = manifest.get(table).and_then(|value| value.as_table());
    table.map_or_else(Vec::new, |table| table.keys().cloned().collect())
}
