//! What a user types: demo, copy, verify, inspect, adopt.
