//! Rust text as far as the rules need to understand it: words, blocks, functions, paths.

/// `text` with every comment, string and character literal turned to blanks. Lines stay where
/// they are.
pub(super) fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end > at {
            out.extend(chars[at..end].iter().map(|c| blank(*c)));
            at = end;
        } else if is_word(chars[at]) {
            let end = end_where(&chars, at, |c| !is_word(c));
            out.extend(&chars[at..end]);
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn end_where(chars: &[char], at: usize, ends: impl Fn(char) -> bool) -> usize {
    let past = chars[at..].iter().position(|c| ends(*c));
    past.map_or(chars.len(), |past| at + past)
}

/// Where the comment or literal that begins at `at` ends; `at` where none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    match (chars[at], chars.get(at + 1)) {
        ('/', Some('/')) => end_where(chars, at, |c| c == '\n'),
        ('/', Some('*')) => block_comment_end(chars, at),
        ('"', _) => quoted_end(chars, at, '"'),
        ('\'', Some('\\')) => quoted_end(chars, at, '\''),
        ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
        ('r', Some('"' | '#')) => raw_string_end(chars, at, 1),
        ('b' | 'c', Some('r')) => raw_string_end(chars, at, 2),
        _ => at,
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// `prefix` letters stand before the hashes, if it is a raw string.
fn raw_string_end(chars: &[char], start: usize, prefix: usize) -> usize {
    let quote = end_where(chars, start + prefix, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return start;
    }
    let hashes = quote - start - prefix;
    let mut at = quote + 1;
    while at < chars.len() {
        let closes = chars[at] == '"'
            && chars.len() > at + hashes
            && chars[at + 1..=at + hashes].iter().all(|c| *c == '#');
        if closes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}

/// Blanked code whose inline `#[cfg(test)] mod name { … }` blocks are blanks as well.
pub(super) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let (before, marked) = rest.split_at(at);
        out.push_str(before);
        let opens = marked.find(['{', ';']).unwrap_or(marked.len());
        let is_module = marked[MARK.len()..opens].split_whitespace().next() == Some("mod");
        let end = if is_module && marked[opens..].starts_with('{') {
            closing(marked, opens)
        } else {
            MARK.len()
        };
        out.extend(marked[..end].chars().map(blank));
        rest = &marked[end..];
    }
    out + rest
}

/// Just past the bracket that closes the one at `open`; the end of the code where none does.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// The line, from 1, on which the byte `at` stands.
pub(super) fn line_at(code: &str, at: usize) -> usize {
    1 + code[..at].bytes().filter(|byte| *byte == b'\n').count()
}

/// Every word of blanked code with the place where it begins.
pub(super) fn words(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut begin = None;
    for (at, c) in code.char_indices().chain([(code.len(), ' ')]) {
        match (begin, is_word(c)) {
            (None, true) => begin = Some(at),
            (Some(start), false) => {
                found.push((start, &code[start..at]));
                begin = None;
            }
            _ => {}
        }
    }
    found
}

/// A function that has a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    /// The line of its `fn`.
    pub(super) line: usize,
    /// From that line to the one of its closing brace.
    pub(super) lines: usize,
}

/// The functions of blanked code.
pub(super) fn functions(code: &str) -> Vec<Function<'_>> {
    let words = words(code);
    let named = words.windows(2).filter(|pair| pair[0].1 == "fn");
    let bodied = named.filter_map(|pair| {
        let [(at, _), (name_at, name)] = [pair[0], pair[1]];
        // `fn(u8)` is a type and has no name.
        let is_named = code[at + 2..name_at].trim().is_empty();
        let body = body_of(code, name_at).filter(|_| is_named)?;
        let line = line_at(code, at);
        let last = line_at(code, closing(code, body) - 1);
        Some(Function {
            name,
            line,
            lines: last + 1 - line,
        })
    });
    bodied.collect()
}

/// The brace that opens the body of the function whose name stands at `at`.
fn body_of(code: &str, mut at: usize) -> Option<usize> {
    loop {
        at += code[at..].find(['(', '[', '{', ';'])?;
        match code.as_bytes()[at] {
            b'{' => return Some(at),
            b';' => return None,
            _ => at = closing(code, at),
        }
    }
}

/// Every path of blanked code that begins with `crate::`, as far as its second step, with its
/// line. The braces of a `use` are resolved.
pub(super) fn crate_paths(code: &str) -> Vec<(usize, Vec<&str>)> {
    let mut found = Vec::new();
    for (at, word) in words(code) {
        let past = at + word.len();
        if word == "crate" && code[past..].trim_start().starts_with("::") {
            let steps = past + code[past..].find("::").expect("just seen") + 2;
            follow(code, steps, &[], &mut found);
        }
    }
    found
}

fn follow<'a>(code: &'a str, at: usize, taken: &[&'a str], found: &mut Vec<(usize, Vec<&'a str>)>) {
    let at = at + (code[at..].len() - code[at..].trim_start().len());
    if code[at..].starts_with('{') {
        for branch in branches(code, at) {
            follow(code, branch, taken, found);
        }
        return;
    }
    let past = at + code[at..].find(|c| !is_word(c)).unwrap_or(0);
    let mut steps = taken.to_vec();
    steps.extend((past > at).then(|| &code[at..past]));
    match code[past..].trim_start().strip_prefix("::") {
        Some(rest) if past > at && steps.len() < 2 => {
            follow(code, code.len() - rest.len(), &steps, found);
        }
        _ => found.push((line_at(code, at), steps)),
    }
}

/// Where the entries of the group that opens at `open` begin.
fn branches(code: &str, open: usize) -> Vec<usize> {
    let end = closing(code, open) - 1;
    let mut begins = vec![open + 1];
    let mut at = open + 1;
    while at < end {
        match code.as_bytes()[at] {
            b'{' => at = closing(code, at),
            b',' => {
                at += 1;
                begins.push(at);
            }
            _ => at += 1,
        }
    }
    // What follows the last comma may be nothing.
    begins.retain(|begin| !code[*begin..end].trim_start().is_empty());
    begins
}
