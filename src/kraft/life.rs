//! Our life as a broker: registered, heard of, trusted, leaving.

use crate::model::{BrokerEpoch, Instant};

/// How we stand with the controller.
///
/// ```text
///                registered               unfenced
///   ┌─▶ Absent ─────────────▶ Fenced ◀──────────────▶ Serving
///   │     │  ▲                 │  ▲ │     fenced        │  │
///   │     │  │ another life    │  │ │ no answer within   │  │
///   │     │  │ has our id, or  │  │ │ the session        │  │
///   │     │  │ none is known   │  │ └──────▶ Lapsed ◀────┘  │
///   │     │  └─────────────────┴──┴────────────┘│           │
///   │     │                      heard again    │           │
///   │     │ told to leave     │ told to leave   │           │
///   │     │                   ▼                 ▼           ▼
///   │     │                 Leaving ◀──────────────────────────
///   │     ▼                   │ may go
///   └──  Gone ◀───────────────┘
/// ```
///
/// Only in `Serving` may we act as anybody's leader. `Lapsed` is our own word for what the
/// controller has done, or is about to do: it has not heard of us for so long that it fences us,
/// and its word of that may not reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Not registered.
    Absent,
    /// Registered, and not to lead or be in sync.
    Fenced {
        /// This life's epoch.
        epoch: BrokerEpoch,
        /// Until when the controller takes us for alive, unless it hears of us again.
        lease: Instant,
    },
    /// Registered, and trusted.
    Serving {
        /// This life's epoch.
        epoch: BrokerEpoch,
        /// Until when the controller takes us for alive, unless it hears of us again.
        lease: Instant,
    },
    /// Registered, and not heard of for longer than a session.
    Lapsed {
        /// This life's epoch.
        epoch: BrokerEpoch,
    },
    /// On our way out: leaderships move away.
    Leaving {
        /// This life's epoch.
        epoch: BrokerEpoch,
    },
    /// Out. The registration remains until it is taken back.
    Gone,
}

impl Life {
    /// The epoch, while there is one.
    #[must_use]
    pub fn epoch(self) -> Option<BrokerEpoch> {
        match self {
            Life::Absent | Life::Gone => None,
            Life::Fenced { epoch, .. }
            | Life::Serving { epoch, .. }
            | Life::Lapsed { epoch }
            | Life::Leaving { epoch } => Some(epoch),
        }
    }

    /// Until when the controller takes us for alive.
    #[must_use]
    pub fn lease(self) -> Option<Instant> {
        match self {
            Life::Fenced { lease, .. } | Life::Serving { lease, .. } => Some(lease),
            _ => None,
        }
    }

    /// Whether we may act as a leader at `now`, which may be later than anybody has looked: after
    /// a pause of the whole process, say.
    #[must_use]
    pub fn serves(self, now: Instant) -> bool {
        matches!(self, Life::Serving { lease, .. } if now < lease)
    }

    /// Whether `next` may follow. The drawing above, as a table.
    #[must_use]
    pub fn allows(self, next: Life) -> bool {
        use Life::{Absent, Fenced, Gone, Lapsed, Leaving, Serving};
        let same_life = self.epoch().is_none() || self.epoch() == next.epoch();
        match (self, next) {
            (Absent, Fenced { .. } | Gone) => true,
            (Fenced { .. } | Serving { .. } | Lapsed { .. }, Fenced { .. } | Serving { .. }) => {
                same_life
            }
            (Fenced { .. } | Serving { .. }, Lapsed { .. }) => same_life,
            (Fenced { .. } | Serving { .. } | Lapsed { .. }, Leaving { .. }) => same_life,
            (Fenced { .. } | Serving { .. } | Lapsed { .. }, Absent) => true,
            (Leaving { .. }, Gone) | (Gone, Absent) => true,
            _ => false,
        }
    }

    /// Moves on.
    ///
    /// # Panics
    /// The drawing has no such arrow.
    pub(super) fn become_(&mut self, next: Life) {
        assert!(self.allows(next), "{self:?} does not become {next:?}");
        *self = next;
    }
}

/// What we are told to want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To look only: not to be registered. Once registered, the same as to be fenced.
    Watch,
    /// To lead and follow.
    Serve,
    /// To stay registered and fenced: leaderships move away at once.
    Fence,
    /// To leave in order: leaderships move away, then we go.
    Leave,
    /// The same, and that the registration is taken back.
    Unregister,
}

impl Wish {
    pub(super) fn is_to_go(self) -> bool {
        matches!(self, Wish::Leave | Wish::Unregister)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_is_the_table() {
        let epoch = BrokerEpoch::new(5);
        let lease = Instant::from_nanos(9);
        let all = [
            Life::Absent,
            Life::Fenced { epoch, lease },
            Life::Serving { epoch, lease },
            Life::Lapsed { epoch },
            Life::Leaving { epoch },
            Life::Gone,
        ];
        let allowed = all.map(|from| all.map(|to| u8::from(from.allows(to))));
        let expected = [
            [0, 1, 0, 0, 0, 1],
            [1, 1, 1, 1, 1, 0],
            [1, 1, 1, 1, 1, 0],
            [1, 1, 1, 0, 1, 0],
            [0, 0, 0, 0, 0, 1],
            [1, 0, 0, 0, 0, 0],
        ];
        assert_eq!(allowed, expected);
        let other = Life::Serving {
            epoch: BrokerEpoch::new(6),
            lease,
        };
        assert!(!all[1].allows(other), "another epoch is another life");
    }

    #[test]
    fn nobody_serves_beyond_the_lease() {
        let life = Life::Serving {
            epoch: BrokerEpoch::new(5),
            lease: Instant::from_nanos(9),
        };
        assert!(life.serves(Instant::from_nanos(8)));
        assert!(!life.serves(Instant::from_nanos(9)));
    }
}
