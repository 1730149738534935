//! The Rust files of this repository, read once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::code;

/// Where Rust files stand.
const ROOTS: [&str; 4] = ["src", "tests", "perf", "benches"];

static FILES: LazyLock<Vec<SourceFile>> = LazyLock::new(|| {
    let mut files = Vec::new();
    for name in ROOTS.into_iter().filter(|name| root().join(name).exists()) {
        collect(&root().join(name), &mut files);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
});

/// A file and what the rules ask of it.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// From the repository's root, with slashes.
    pub(super) path: String,
    /// As written.
    pub(super) text: String,
    /// Without comments and literals.
    pub(super) code: String,
}

impl SourceFile {
    pub(super) fn new(path: &str, text: &str) -> SourceFile {
        SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
            code: code::blanked(text),
        }
    }

    /// It is one of the library's or the program's.
    pub(super) fn is_src(&self) -> bool {
        self.path.starts_with("src/")
    }

    /// It holds tests and nothing else.
    pub(super) fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|step| step == "tests" || step == "tests.rs")
    }

    /// The folder of `src` that it belongs to; `None` outside and for `lib.rs` and `main.rs`.
    pub(super) fn folder(&self) -> Option<&str> {
        let (folder, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        Some(folder)
    }

    /// Its path inside `src`, where the file is one that production runs.
    pub(super) fn in_production(&self) -> Option<&str> {
        self.path.strip_prefix("src/").filter(|_| !self.is_test())
    }
}

/// The repository's root.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file, by path.
pub(super) fn files() -> &'static [SourceFile] {
    &FILES
}

/// A file at the root, as text.
pub(super) fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The folders in `src`, by name.
pub(super) fn folders() -> Vec<String> {
    let dirs = entries(&root().join("src"))
        .into_iter()
        .filter(|path| path.is_dir());
    dirs.map(|path| name_of(&path)).collect()
}

fn collect(dir: &Path, files: &mut Vec<SourceFile>) {
    for path in entries(dir) {
        if path.is_dir() && name_of(&path) != "target" {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let inside = path.strip_prefix(root()).expect("it was found there");
            let text = fs::read_to_string(&path).expect("a source file is readable text");
            files.push(SourceFile::new(&inside.display().to_string(), &text));
        }
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir).expect("a folder of this repository");
    let mut paths: Vec<PathBuf> = listed
        .map(|entry| entry.expect("a folder of this repository").path())
        .collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().expect("it was listed");
    name.to_string_lossy().into_owned()
}
