//! What stands in `--topics`: names of topics, and patterns of names.

use crate::cli::Misuse;
use crate::mirror::Pattern;
use crate::model::TopicName;

/// Topics as they were asked for. What could be a topic's name is one, and no pattern: a dot in it
/// is a dot.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    pub(super) names: Vec<String>,
    pub(super) patterns: Vec<Pattern>,
}

impl Words {
    /// Sorts the elements of a list.
    pub(super) fn new(elements: &[String]) -> Result<Words, Misuse> {
        let mut words = Words::default();
        let elements = elements.iter().map(|element| element.trim());
        for element in elements.filter(|element| !element.is_empty()) {
            match TopicName::new(element) {
                Some(name) => words.names.push(name.as_str().to_owned()),
                None => words.patterns.push(pattern(element)?),
            }
        }
        if words.names.is_empty() && words.patterns.is_empty() {
            let nothing = "--topics names nothing: '.*' stands for all topics";
            return Err(Misuse::Argument(nothing.to_owned()));
        }
        Ok(words)
    }

    /// The patterns as they were written.
    pub(super) fn pattern_texts(&self) -> Vec<String> {
        let texts = self.patterns.iter();
        texts.map(|pattern| pattern.text().to_owned()).collect()
    }

    /// Whether a pattern matches a topic.
    pub(super) fn matches(&self, topic: &str) -> bool {
        let name = TopicName::new(topic);
        name.is_some_and(|name| self.patterns.iter().any(|pattern| pattern.matches(&name)))
    }
}

/// A pattern of the command line.
pub(super) fn pattern(text: &str) -> Result<Pattern, Misuse> {
    Pattern::new(text).map_err(|fault| Misuse::Argument(fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Result<Words, String> {
        let list: Vec<String> = list.iter().map(|text| (*text).to_owned()).collect();
        Words::new(&list).map_err(|misuse| misuse.to_string())
    }

    #[test]
    fn names_are_names_and_the_rest_are_patterns() {
        let both = words(&["orders", " pay.v1 ", "a.*", "", "(x|y)"]).expect("sound");
        assert_eq!(both.names, ["orders", "pay.v1"]);
        assert_eq!(both.pattern_texts(), ["a.*", "(x|y)"]);
        assert!(both.matches("ab") && both.matches("x") && !both.matches("xy"));
        assert!(!both.matches("orders"));
    }

    #[test]
    fn nothing_and_nonsense_are_refused() {
        assert!(words(&["", " "]).is_err_and(|said| said.contains("'.*' stands for all topics")));
        assert!(
            words(&["a("]).is_err_and(|said| said.contains("'a(' is not a regular expression"))
        );
    }
}
