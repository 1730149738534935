//! Kafka RPCs as values: frames, headers, versions, errors, and Fetch by hand.
