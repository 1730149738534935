//! What a start would do, as the JSON in our own tagged fields.

use serde::{Deserialize, Serialize};

use super::stops::LostRange;

/// What a start would do with a partition. Of a topic's plan there is a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StartPlan {
    /// Its number.
    pub partition: i32,
    /// The name of its state now; none where it is not mirrored.
    pub state: Option<String>,
    /// Below it both sides have the same; none where it is not mirrored back.
    pub parts_at: Option<i64>,
    /// What the destination has from there on: set aside, and cut off.
    pub cut: Option<LostRange>,
    /// What would be copied of what the source has now.
    pub copy: Option<LostRange>,
    /// What is in the way, in words.
    pub hindrances: Vec<String>,
}

impl StartPlan {
    /// The plans of a topic's partitions.
    ///
    /// # Errors
    /// The text is something else, in the parser's words.
    pub fn read_all(json: &str) -> Result<Vec<StartPlan>, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    /// The same as text.
    ///
    /// # Panics
    /// Never: numbers and texts are JSON.
    #[must_use]
    pub fn write_all(plans: &[StartPlan]) -> String {
        serde_json::to_string(plans).expect("numbers and texts are JSON")
    }
}
