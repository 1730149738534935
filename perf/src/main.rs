//! Measurements of the engine against its floor.

fn main() {}
