//! Paths as words of a command that a person pastes into a shell.

use std::path::{Path, PathBuf};

/// What needs no quotes beside letters and digits.
const PLAIN: &str = "/._-+:@%=,";

/// The path as one word.
#[must_use]
pub fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || PLAIN.contains(letter);
    let text = match text.starts_with('-') {
        // It would be an option.
        true => format!("./{text}"),
        false => text,
    };
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// What lies beside `dir` and has its name with `end` behind it.
#[must_use]
pub fn beside(dir: &Path, end: &str) -> PathBuf {
    match dir.file_name() {
        Some(name) => {
            let mut name = name.to_owned();
            name.push(end);
            dir.with_file_name(name)
        }
        // "." and its like.
        None => dir.join("..").join(format!("vault{end}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        for (path, expected) in [
            ("/v/t-0", "/v/t-0"),
            ("my vault", "'my vault'"),
            ("it's", r"'it'\''s'"),
            ("$HOME/`x`", "'$HOME/`x`'"),
            ("-rf", "./-rf"),
            ("", "''"),
        ] {
            assert_eq!(word(Path::new(path)), expected);
        }
    }

    #[test]
    fn beside_a_directory_is_never_within_it() {
        for (dir, expected) in [
            ("/v", "/v.end"),
            ("v/", "v.end"),
            ("./v", "./v.end"),
            (".", "./../vault.end"),
            ("..", "../../vault.end"),
            ("a/..", "a/../../vault.end"),
        ] {
            assert_eq!(beside(Path::new(dir), ".end"), Path::new(expected));
        }
    }
}
