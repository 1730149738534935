//! What a destination says: whether a node can be a broker of it, and its stock brokers succeed it.

use std::time::Duration;

use super::{Lines, Status};
use crate::control::destination::fitness::{Joining, Level, survey};
use crate::session::{Opening, Security};
use crate::uring;

const TIMEOUT: Duration = Duration::from_secs(15);

/// Looks at the cluster that a node is to join.
pub(super) fn check(joining: &Joining, lines: &mut Lines) {
    let opening = Opening {
        security: Security::Plaintext,
        timeout: TIMEOUT,
    };
    let findings = uring::run(None, |world| async move {
        survey(&world, opening, joining).await
    });
    for finding in findings {
        let status = match finding.level {
            Level::Ok => Status::Ok,
            Level::Warn => Status::Warn,
            Level::Refuse => Status::Fail,
        };
        lines.add(status, finding.about, finding.found, finding.next);
    }
}
