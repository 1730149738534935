//! The source as a machine: scenes played by hand, theme by theme, and a small world at random.

mod ahead;
mod ceasing;
mod divergence;
mod fairness;
mod haste;
mod lanes;
mod model;
mod older;
mod refusals;
mod replica;
mod scene;
mod sessions;
mod sizes;
