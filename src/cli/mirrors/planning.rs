//! What a request would do, as the node tells it topic by topic: the same for a start and a stop.

use serde::Serialize;

use super::Failure;
use super::showing::as_json;
use crate::cli::screen;

/// A partition of a plan.
#[derive(Serialize)]
pub(super) struct Planned<P> {
    pub(super) mirror: String,
    pub(super) topic: String,
    #[serde(flatten)]
    pub(super) plan: P,
}

/// Reads the plans of a mirror's topics, each with its name.
pub(super) fn rows<'a, P>(
    mirror: &str,
    topics: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    read: impl Fn(&str) -> Result<Vec<P>, String>,
) -> Result<Vec<Planned<P>>, Failure> {
    let mut rows = Vec::new();
    for (topic, plan) in topics {
        let plans = read(plan.unwrap_or("[]"));
        let plans = plans
            .map_err(|why| Failure::Said(format!("the plan of {topic} cannot be read: {why}")))?;
        rows.extend(plans.into_iter().map(|plan| Planned {
            mirror: mirror.to_owned(),
            topic: topic.to_owned(),
            plan,
        }));
    }
    Ok(rows)
}

/// Shows plans, as JSON or as people read them.
pub(super) fn show<P: Serialize>(
    rows: &[Planned<P>],
    json: bool,
    for_people: impl Fn(&[Planned<P>]) -> String,
) -> bool {
    screen::tell(&match json {
        true => as_json(rows),
        false => for_people(rows),
    })
}

/// What is in the way of a partition, a line each.
pub(super) fn in_the_way(topic: &str, partition: i32, hindrances: &[String]) -> String {
    let lines = hindrances.iter();
    let lines = lines.map(|why| format!("\nin the way of {topic}-{partition}: {why}"));
    lines.collect()
}
