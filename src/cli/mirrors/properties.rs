//! Files of properties, as Java reads them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::cli::Misuse;

/// What a file of properties says, by key. Of a key that stands there twice the later counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties(pub(super) BTreeMap<String, String>);

impl Properties {
    pub(super) fn of_file(path: &Path) -> Result<Properties, Misuse> {
        let text = std::fs::read_to_string(path).map_err(|error| Misuse::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        Properties::read(&text).map_err(|line| {
            let path = path.display();
            Misuse::Argument(format!(
                "{path}: line {line}: \\u wants four hexadecimal digits; a backslash that is meant \
                 is written twice"
            ))
        })
    }

    /// Reads a text; the line of an escape that is none otherwise.
    fn read(text: &str) -> Result<Properties, usize> {
        let mut properties = Properties::default();
        let mut lines = (1usize..).zip(text.lines());
        while let Some((nth, line)) = lines.next() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let mut logical = line.to_owned();
            while ends_open(&logical) {
                logical.pop();
                let Some((_, next)) = lines.next() else {
                    break;
                };
                logical.push_str(next.trim_start());
            }
            let (key, value) = divided(&logical);
            let plain = |text| unescaped(text).ok_or(nth);
            properties.0.insert(plain(key)?, plain(value)?);
        }
        Ok(properties)
    }

    /// How long a request may take, by a file for the conversation with the node.
    pub(super) fn patience(&self, path: &Path) -> Result<Option<Duration>, Misuse> {
        let mut patience = None;
        for (key, value) in &self.0 {
            let refuse = |why: &str| Misuse::Argument(format!("{}: {key}: {why}", path.display()));
            match key.as_str() {
                "request.timeout.ms" => {
                    let ms = value.trim().parse().ok().filter(|ms| *ms > 0);
                    let ms = ms.ok_or_else(|| refuse("a number of milliseconds belongs here"))?;
                    patience = Some(Duration::from_millis(ms));
                }
                "security.protocol" if value.trim() == "PLAINTEXT" => {}
                "security.protocol" => {
                    return Err(refuse("only PLAINTEXT is spoken to a node so far"));
                }
                _ => {
                    let known = "request.timeout.ms and security.protocol are the only keys here";
                    return Err(refuse(known));
                }
            }
        }
        Ok(patience)
    }
}

/// Whether a line goes on in the next: it ends with a backslash that is not itself escaped.
fn ends_open(line: &str) -> bool {
    let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
    backslashes % 2 == 1
}

/// Key and value: what parts them is the first `=`, `:` or white space that is not escaped.
fn divided(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let mut end = line.len();
    for (at, character) in line.char_indices() {
        let parts = matches!(character, '=' | ':' | ' ' | '\t' | '\u{c}');
        if parts && !is_escaped {
            end = at;
            break;
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    let (key, rest) = line.split_at(end);
    let blank = [' ', '\t', '\u{c}'];
    let rest = rest.trim_start_matches(blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(blank))
}

fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                plain.push(
                    code.filter(|_| digits.len() == 4)
                        .and_then(char::from_u32)?,
                );
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, usize> {
        Properties::read(text).map(|read| read.0.into_iter().collect())
    }

    #[test]
    fn lines_are_read_as_java_reads_them() {
        let text = "\
            # a comment = none\n\
            ! another\n\
            \n\
            \x20 bootstrap.servers = a:1,\\\n\
            \x20   b:2\n\
            topics.include=orders\\\\..*\n\
            source.cluster.id:x y \n\
            fetch.min.bytes 7\n\
            k\\=1=\\u00e4\\t.\n\
            empty\n\
            twice=1\n\
            twice=2";
        let expected = [
            ("bootstrap.servers", "a:1,b:2"),
            ("empty", ""),
            ("fetch.min.bytes", "7"),
            ("k=1", "ä\t."),
            ("source.cluster.id", "x y "),
            ("topics.include", "orders\\..*"),
            ("twice", "2"),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(read(text), Ok(expected.to_vec()));
        assert_eq!(read("a=1\nb=\\u12"), Err(2));
        assert_eq!(read("a=1\\"), Ok(vec![("a".to_owned(), "1".to_owned())]));
    }

    #[test]
    fn what_a_conversation_may_be_told_is_little() {
        let patience = |text: &str| {
            let read = Properties::read(text).expect("sound");
            let said = read.patience(Path::new("client.properties"));
            said.map_err(|misuse| misuse.to_string())
        };
        assert_eq!(patience(""), Ok(None));
        let sound = "request.timeout.ms=250\nsecurity.protocol=PLAINTEXT";
        assert_eq!(patience(sound), Ok(Some(Duration::from_millis(250))));
        for (text, word) in [
            ("request.timeout.ms=0", "a number of milliseconds"),
            ("security.protocol=SSL", "only PLAINTEXT"),
            ("sasl.mechanism=PLAIN", "the only keys here"),
        ] {
            let said = patience(text).expect_err(text);
            assert!(
                said.starts_with("client.properties: ") && said.contains(word),
                "{said}"
            );
        }
    }
}
