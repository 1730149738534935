//! Which topics are meant: patterns that match whole names.

use regex::{Regex, RegexBuilder};

use crate::model::TopicName;

/// Bytes that a pattern may take when it is made ready for use, and those of its cache, beside
/// those for each byte of its text: a few letters can stand for a thousand times as many.
const PATTERN_BYTES_MAX: usize = 256 << 10;
const BYTES_PER_BYTE: usize = 64;

/// Internal topics.
pub(super) const EXCLUDED: &str = "__.*";

/// A pattern that matches whole names. Two are equal that are written alike.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    text: String,
}

/// Topics that match one pattern and not the other.
#[derive(Clone, Debug)]
pub struct Selection {
    include: Pattern,
    exclude: Pattern,
    text: String,
}

/// A pattern that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{pattern}' is not a regular expression: {why}; .* matches any text, a|b is a list, and \\ \
     before a character takes its meaning away, as in \\."
)]
pub struct SelectionFault {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

impl Selection {
    /// Whole names that match `include` and do not match `exclude` (by default: `__.*`).
    ///
    /// # Errors
    /// A pattern is not a regular expression.
    pub fn new(include: &str, exclude: Option<&str>) -> Result<Selection, SelectionFault> {
        Ok(Selection {
            include: Pattern::new(include)?,
            exclude: Pattern::new(exclude.unwrap_or(EXCLUDED))?,
            text: match exclude {
                Some(exclude) => format!("'{include}' and not '{exclude}'"),
                None => format!("'{include}'"),
            },
        })
    }

    /// Whether a topic is meant.
    #[must_use]
    pub fn takes(&self, topic: &TopicName) -> bool {
        self.include.matches(topic) && !self.exclude.matches(topic)
    }

    /// The patterns, for people.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Pattern {
    /// The names that `pattern` matches from their first letter to their last.
    ///
    /// # Errors
    /// It is not a regular expression.
    pub fn new(pattern: &str) -> Result<Pattern, SelectionFault> {
        // The pattern by itself first, so that its faults are told in its own places.
        let whole = compiled(pattern).and_then(|_| compiled(&format!("^(?:{pattern})$")));
        let regex = whole.map_err(|error| SelectionFault {
            pattern: pattern.to_owned(),
            why: error
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error:")
                .trim()
                .to_owned(),
        })?;
        let text = pattern.to_owned();
        Ok(Pattern { regex, text })
    }

    /// Whether it matches a topic's name.
    #[must_use]
    pub fn matches(&self, topic: &TopicName) -> bool {
        self.regex.is_match(topic.as_str())
    }

    /// Whether it matches the name of anything else.
    #[must_use]
    pub fn matches_text(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    let most = PATTERN_BYTES_MAX + BYTES_PER_BYTE * pattern.len();
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(most).dfa_size_limit(most);
    builder.build()
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(selection: &Selection, topic: &str) -> bool {
        selection.takes(&TopicName::new(topic).expect(topic))
    }

    #[test]
    fn whole_names_match_and_internal_topics_stay_out() {
        let orders = Selection::new("orders|pay.*", None).expect("sound");
        assert!(takes(&orders, "orders") && takes(&orders, "payments"));
        assert!(!takes(&orders, "orders-2") && !takes(&orders, "my-orders"));
        let all = Selection::new(".*", None).expect("sound");
        assert!(takes(&all, "a") && !takes(&all, "__consumer_offsets"));
        let internal = Selection::new(".*", Some("a|b")).expect("sound");
        assert!(takes(&internal, "__consumer_offsets") && !takes(&internal, "b"));
        assert!(Selection::new("a(", None).is_err() && Selection::new("a", Some("[")).is_err());
        assert!(Selection::new("a)|(b", None).is_err());
    }

    #[test]
    fn a_pattern_does_not_take_more_than_its_share_of_memory() {
        let names: Vec<String> = (0..100)
            .map(|nth| format!("topic-with-a-name-{nth}"))
            .collect();
        for sound in [
            names.join("|").as_str(),
            "[a-z]{1,60}-.*",
            r"\w+\.(prod|test)\..{3,20}",
        ] {
            assert!(Pattern::new(sound).is_ok(), "{}", sound.len());
        }
        let fault = Pattern::new("(a{100}){1000}").expect_err("it takes megabytes");
        assert!(fault.why.contains("exceeds size limit"), "{fault}");
    }
}
