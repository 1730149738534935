//! From where a partition is to where its state wants it: the next thing to do, and nothing else.
//!
//! A pure function of what is known. Whoever calls it carries out what it says, takes note of what
//! comes of that in the [`Place`], and asks again; so a step that was lost or cut off is simply
//! said again, and a restart begins from whatever is found.
//!
//! ```text
//!             another leads                  we lead
//!  Absent ───────────────▶ follow ─▶ elect ─▶ open, stamp ─▶ fetch ─▶ cease ─▶ position
//!    │ there is no such topic                   ▲                              │
//!    └──▶ create ───────────────────────────────┘     hand over ◀─ drained ◀─ seal
//! ```

use crate::mirror::Action;
use crate::model::{LeaderEpoch, Offset};

/// Whose shards have a partition's log open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// Those of its mirror: they fetch from the source.
    Mirror,
    /// The one that follows leaders of the destination.
    Follower,
}

/// Where a partition's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogAt {
    /// No shard has it.
    Closed,
    /// A shard has it open.
    Open {
        home: Home,
        /// The epoch that its batches are stamped with; none where the source's stay.
        stamp: Option<LeaderEpoch>,
        is_fetching: bool,
    },
}

/// Our part in the partition at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The destination was not heard of yet.
    Unknown,
    /// We lead it, in this epoch; there is none where the destination is a vault.
    Lead(LeaderEpoch),
    /// Another broker leads it, and we have a replica.
    Follow {
        /// All that the leader has is here, and the controller knows.
        is_in_sync: bool,
    },
    /// We have a replica of what nobody leads.
    Wait,
    /// There is no such partition.
    Missing,
    /// It is there, and we have no replica of it.
    Foreign {
        /// Somebody leads it.
        is_led: bool,
    },
    /// Somebody else's topic has the name.
    Taken,
}

impl Part {
    /// The same, of a topic that is none of ours.
    pub(super) fn of_others(self) -> Part {
        match self {
            Part::Unknown | Part::Missing => self,
            _ => Part::Taken,
        }
    }
}

/// Whether the partition is mirrored back onto a cluster that it had come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WayBack {
    /// It is not.
    None,
    /// It may be: a counterpart is named that knows where both sides part.
    Asked,
    /// Both sides are the same up to here. What the destination has behind it is to go.
    Begun { from: Offset },
    /// The destination ends where both sides part, or ended there before records followed.
    Aligned,
}

/// All that the next step depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) part: Part,
    pub(super) log: LogAt,
    /// The destination is a vault: nobody follows, nothing is handed over.
    pub(super) is_vault: bool,
    /// The source has told where the log begins and who leads it, or a log is there already.
    pub(super) can_open: bool,
    /// There is no log of it here, and there never was one.
    pub(super) is_new: bool,
    /// There was a log of it here, and it is gone.
    pub(super) is_lost: bool,
    /// Logs are here of a topic of the name that the destination does not have any more.
    pub(super) has_old_logs: bool,
    /// The source has told enough of the topic to make it at the destination.
    pub(super) can_create: bool,
    /// Where the stop that is under way, or done, has left off.
    pub(super) position: Option<Offset>,
    /// Up to where the log is the source's, as the shard said when it ceased to fetch.
    pub(super) ceased: Option<Offset>,
    /// All transactions have been ended behind the position.
    pub(super) is_sealed: bool,
    /// What its new leader is to be compared with is on record.
    pub(super) is_noted: bool,
    /// Every replica in sync has all that we have.
    pub(super) is_drained: bool,
    /// No producer id of the log can be given out by the destination.
    pub(super) is_apart: bool,
    /// What producers of the destination write after the stop may be lost, and nobody has said
    /// that it is to be stopped all the same.
    pub(super) may_harm: bool,
    /// Nobody but the mirror may write, as far as the destination can see to that.
    pub(super) is_fenced: bool,
    /// Nobody is kept from writing any more.
    pub(super) is_unfenced: bool,
    /// It was handed over, and the new leader has all of it.
    pub(super) is_verified: bool,
    /// Some that had a replica have none since, because they were late.
    pub(super) lacks_replicas: bool,
    /// From where to where the log that we lead holds what is not the source's: written by another
    /// leader while we were away, or markers of a stop that was not finished.
    pub(super) others: Option<(Offset, Offset)>,
    /// Such records are set aside and cut off. Never where all of the log is such: then nobody
    /// knows what of it is the source's.
    pub(super) cuts_others: bool,
    /// The source is heard of, and could give what follows.
    pub(super) can_fetch: bool,
    /// It is, or may be, mirrored back.
    pub(super) way_back: WayBack,
    /// The counterpart was asked since this action began.
    pub(super) is_asked: bool,
    /// All that are in sync at the destination end where both sides part, and so do we.
    pub(super) is_at_parting: bool,
    /// The log that we lead has something from where both sides part.
    pub(super) exceeds: bool,
    /// From where on the source has taken back what the log has, where the topic allows it.
    pub(super) taken_back: Option<Offset>,
    /// Since then a leader epoch of ours has begun, or nobody else has a replica.
    pub(super) is_led_anew: bool,
}

impl Place {
    /// A fence of ours may stand about the name: not where we never had a log of it, nor were
    /// about to.
    fn may_be_fenced(&self) -> bool {
        !self.is_unfenced && (!self.is_new || self.is_on_its_way_back())
    }

    /// What is on record of the way back is of use to this action.
    fn is_on_its_way_back(&self) -> bool {
        matches!(self.way_back, WayBack::Begun { .. } | WayBack::Aligned)
    }

    /// A stop has come to its end where others have the partition: what was on record of a way back
    /// is of no use to the next start, which asks anew.
    fn stopped(&self) -> Next {
        match self.way_back {
            // Nothing was mirrored: the other direction can still go on from there.
            WayBack::Begun { from } if self.position != Some(from) => Next::RecordParting,
            WayBack::Begun { .. } | WayBack::Aligned => Next::ForgetWayBack,
            WayBack::None | WayBack::Asked => Next::Done,
        }
    }

    /// Records of the source come into what we lead.
    fn is_fetched(&self) -> bool {
        let is_fetching = match self.log {
            LogAt::Open {
                home, is_fetching, ..
            } => home == Home::Mirror && is_fetching,
            LogAt::Closed => false,
        };
        is_fetching && matches!(self.part, Part::Lead(_))
    }
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing until something changes; for this, in words for people.
    Wait(&'static str),
    /// Make the topic, or its partitions that are missing.
    Create,
    /// Ask the counterpart, and put on record, where both sides part.
    AskCounterpart,
    /// Get a replica of what others have, the first one.
    Join,
    /// Put on record that the destination ends where both sides part.
    RecordAligned,
    /// Put on record that what was mirrored ends where both sides part.
    RecordParting,
    /// It is not mirrored back any more.
    ForgetWayBack,
    /// Open the log there.
    Open(Home),
    /// Close it.
    Release,
    /// Stamp what follows with this epoch.
    Stamp(LeaderEpoch),
    /// Ask the controller to make us the leader.
    Elect,
    /// Ask it to let a stock broker lead, so that our next epoch is another.
    Yield,
    /// Cut off what lies from here on and is not the source's.
    Cut(Offset),
    /// Fetch from the source.
    Fetch,
    /// The position on record is of an earlier stop: take it back.
    ForgetPosition,
    /// Fetch no more.
    Cease,
    /// Put on record where the log ends.
    RecordPosition,
    /// End open transactions.
    Seal,
    /// Put on record what it is handed over with.
    RecordHandOver,
    /// Let nobody write but the mirror.
    Fence,
    /// Let everybody write who may.
    Unfence,
    /// Hand it over to the replicas in sync.
    HandOver,
    /// See whether its new leader has all of it.
    Verify,
    /// Give those a replica again who were late.
    Restore,
    /// The action has come to its end.
    Done,
    /// It cannot be done, and another try is no use.
    Refuse(&'static str),
    /// The destination's topic is gone, and our log is of that one.
    RefuseLog,
    /// The log holds what is not the source's, from the one offset to the other, and that may not
    /// be cut off.
    RefuseOthers(Offset, Offset),
}

/// What is wanted of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// What its state asks for.
    Act(Action),
    /// That its replicas are served, as long as there are any: it is paused, or has failed.
    Keep,
    /// Nothing any more: it is stopped.
    Leave,
}

/// What brings the partition nearer to its goal. Nobody asks while a step is under way: nothing is
/// to be said before an order is answered.
pub(super) fn next(goal: Goal, place: &Place) -> Next {
    match goal {
        Goal::Act(action) => toward(action, place),
        Goal::Keep if place.is_fetched() => Next::Cease,
        Goal::Keep => match toward(Action::Align, place) {
            Next::Create
            | Next::AskCounterpart
            | Next::Join
            | Next::Fence
            | Next::RecordAligned
            | Next::Yield
            | Next::Cut(_)
            | Next::Done
            | Next::Refuse(_)
            | Next::RefuseLog
            | Next::RefuseOthers(..) => Next::Wait("nothing is fetched"),
            step => step,
        },
        Goal::Leave => match place.log {
            LogAt::Open { .. } if !matches!(place.part, Part::Lead(_) | Part::Unknown) => {
                Next::Release
            }
            _ => Next::Wait("it is stopped"),
        },
    }
}

fn toward(action: Action, place: &Place) -> Next {
    match place.part {
        Part::Unknown => Next::Wait("the destination was not heard of yet"),
        Part::Missing => missing(action, place),
        Part::Foreign { is_led } => foreign(action, place, is_led),
        Part::Taken => taken(action, place),
        Part::Wait => match place.log {
            LogAt::Open { .. } => Next::Release,
            LogAt::Closed => Next::Wait("nobody leads the partition at the destination"),
        },
        Part::Follow { is_in_sync } => follow(action, place, is_in_sync),
        Part::Lead(epoch) => lead(action, place, epoch),
    }
}

fn missing(action: Action, place: &Place) -> Next {
    match (action, place.log) {
        (_, LogAt::Open { .. }) => Next::Release,
        // It would be the log of another topic, and the records in it are not to be lost.
        (Action::Align | Action::Mirror, _) if place.has_old_logs => Next::RefuseLog,
        (Action::Align | Action::Mirror, _) if place.can_create => Next::Create,
        (Action::Align | Action::Mirror, _) => Next::Wait("the source was not heard of yet"),
        (Action::Stop, _) if place.may_be_fenced() => Next::Unfence,
        (Action::Stop, _) if place.is_on_its_way_back() => Next::ForgetWayBack,
        // What was never made has nothing to stop or to wait for.
        (Action::Stop | Action::Cease | Action::AwaitReplicas, _) => Next::Done,
    }
}

/// Somebody else has the whole partition: after a hand-over, or from the beginning.
fn foreign(action: Action, place: &Place, is_led: bool) -> Next {
    let was_ours = place.position.is_some();
    match (action, place.log) {
        (Action::Align, LogAt::Closed) if place.way_back != WayBack::None => back(place, is_led),
        // Whoever has taken it away did not know of our fence.
        (Action::Stop, _) if place.may_be_fenced() => Next::Unfence,
        (Action::Stop, _) if place.is_verified && place.lacks_replicas => Next::Restore,
        (Action::Stop, _) if place.is_verified => place.stopped(),
        (Action::Stop, _) if was_ours && is_led => Next::Verify,
        (_, LogAt::Open { .. }) => Next::Release,
        (Action::Stop, _) if was_ours => {
            Next::Wait("nobody leads the partition at the destination")
        }
        // Whoever has taken it away has stopped it.
        (Action::Stop, _) => place.stopped(),
        (Action::Cease | Action::AwaitReplicas, _) => Next::Done,
        (Action::Align | Action::Mirror, _) if was_ours => Next::Refuse(
            "the topic was handed over to the destination's own brokers: to mirror it again, name \
             the node that mirrors the other way (the mirror's setting peer), and start it again",
        ),
        (Action::Align | Action::Mirror, _) => Next::Refuse(
            "others have moved the partition away from this node: stop the topic to leave it to \
             them; to go on where both sides part, have them compared then (twinlog verify \
             --parting FILE), name FILE in the mirror's setting peer.report and start it again; or \
             delete it at the destination and have it mirrored anew",
        ),
    }
}

/// Somebody else has the name: nothing of ours is there but maybe a fence about the name, and
/// nothing is done to what is.
fn taken(action: Action, place: &Place) -> Next {
    match (action, place.log) {
        (_, LogAt::Open { .. }) => Next::Release,
        (Action::Align, _) if place.way_back == WayBack::Asked => Next::AskCounterpart,
        (Action::Align | Action::Mirror | Action::Stop, _) if place.may_be_fenced() => {
            Next::Unfence
        }
        (Action::Stop, _) if place.is_on_its_way_back() => Next::ForgetWayBack,
        (Action::Stop | Action::Cease | Action::AwaitReplicas, _) => Next::Done,
        (Action::Align | Action::Mirror, _) => Next::Refuse(
            "the destination has a topic of this name that is not ours: delete or rename it there, \
             exclude the topic from the mirror; or, where it is what this topic was once mirrored \
             from, name the node that did that (the mirror's setting peer), and where it is a copy \
             of this topic that no node knows of any more, have both sides compared (twinlog \
             verify --parting FILE), name FILE in peer.report and start it again",
        ),
    }
}

fn follow(action: Action, place: &Place, is_in_sync: bool) -> Next {
    match place.log {
        LogAt::Closed => Next::Open(Home::Follower),
        LogAt::Open {
            home: Home::Mirror, ..
        } => Next::Release,
        LogAt::Open { .. } if is_in_sync && action != Action::Cease => Next::Elect,
        LogAt::Open { .. } if action == Action::Cease => Next::Done,
        LogAt::Open { .. } => Next::Wait("the log is brought to where its stock leader is"),
    }
}

fn lead(action: Action, place: &Place, epoch: LeaderEpoch) -> Next {
    let wanted = (!place.is_vault).then_some(epoch);
    match place.log {
        LogAt::Closed if place.is_vault && action == Action::Stop && place.position.is_some() => {
            Next::Done
        }
        // Followers would be told to cut off what they have.
        LogAt::Closed if place.is_lost => Next::Refuse(
            "this node's log of it is gone: end the node and put its directory back, or have a \
             stock broker lead it (kafka-reassign-partitions.sh)",
        ),
        LogAt::Closed if place.can_open => Next::Open(Home::Mirror),
        LogAt::Closed if action == Action::Stop && place.is_vault => Next::Done,
        // Its source was never heard of: it is empty, and everybody has all of it.
        LogAt::Closed if action == Action::Stop && place.is_new && !place.is_unfenced => {
            Next::Unfence
        }
        LogAt::Closed if action == Action::Stop && place.is_new => Next::HandOver,
        LogAt::Closed => Next::Wait("the source was not heard of yet"),
        LogAt::Open {
            home: Home::Follower,
            ..
        } => Next::Release,
        LogAt::Open { stamp, .. } if stamp != wanted => Next::Stamp(epoch),
        LogAt::Open { is_fetching, .. } => led(action, place, is_fetching),
    }
}

/// The log is open, and ours to write.
fn led(action: Action, place: &Place, is_fetching: bool) -> Next {
    if let (Some(from), Action::Align | Action::Mirror | Action::AwaitReplicas) =
        (place.taken_back, action)
    {
        return take_back(place, from);
    }
    match action {
        Action::Align => align(place),
        Action::Mirror if is_fetching => Next::Wait("records are fetched"),
        Action::Mirror if place.others.is_some() => others(place),
        // Before the first record behind it: whoever reads a position later may believe it.
        Action::Mirror if place.position.is_some() => Next::ForgetPosition,
        Action::Mirror if !place.is_fenced && !place.is_vault => Next::Fence,
        Action::Mirror => Next::Fetch,
        Action::Cease | Action::Stop if is_fetching => Next::Cease,
        Action::Cease => Next::Done,
        Action::AwaitReplicas if place.is_drained || place.is_vault => Next::Done,
        Action::AwaitReplicas => Next::Wait("a replica in sync still lacks records"),
        Action::Stop => stop(place),
    }
}

/// Others have all of it, and what they have is to go on with the source's. Nobody is to write to
/// it from here on: what they write would go.
fn back(place: &Place, is_led: bool) -> Next {
    match place.way_back {
        // What was told at another time may not be so any more.
        WayBack::Begun { .. } if !place.is_asked => Next::AskCounterpart,
        WayBack::Begun { .. } if !is_led => {
            Next::Wait("nobody leads the partition at the destination")
        }
        WayBack::Begun { .. } if !place.is_fenced => Next::Fence,
        WayBack::Begun { .. } => Next::Join,
        // Of an earlier time, or not known at all.
        WayBack::None | WayBack::Asked | WayBack::Aligned => Next::AskCounterpart,
    }
}

/// All that are in sync end where both sides part before anything follows: whoever is elected then
/// has nothing else.
fn align(place: &Place) -> Next {
    let WayBack::Begun { from } = place.way_back else {
        return Next::Done;
    };
    match place.exceeds {
        true if place.can_fetch => Next::Cut(from),
        true => Next::Wait("the source was not heard of yet"),
        false if !place.is_drained || !place.is_at_parting => {
            Next::Wait("a replica in sync was not cut yet")
        }
        false => Next::RecordAligned,
    }
}

/// A replica that is not in sync may have what the source has taken back, and would keep it for
/// good where the log went on in the same epoch: its own epoch would end behind it on both sides.
/// In an epoch that begins where the log was cut everybody finds what has to go. A stock cluster
/// begins one only with another leader.
fn take_back(place: &Place, from: Offset) -> Next {
    match place.others {
        // While another led, somebody has written: that is not to go unasked.
        Some(_) if !place.cuts_others => others(place),
        _ if !place.is_led_anew => Next::Yield,
        _ if !place.can_fetch => Next::Wait("the source was not heard of yet"),
        Some((theirs, _)) => Next::Cut(from.min(theirs)),
        None => Next::Cut(from),
    }
}

/// Nothing of the source follows what is not the source's.
fn others(place: &Place) -> Next {
    match place.others {
        Some((from, _)) if place.cuts_others && place.can_fetch => Next::Cut(from),
        Some(_) if place.cuts_others => Next::Wait("the source was not heard of yet"),
        Some((from, to)) => Next::RefuseOthers(from, to),
        None => Next::Fetch,
    }
}

/// The order is what makes a stop safe to repeat: the position is durable before anything is
/// written behind it, and nobody else may write before all replicas have what we have.
fn stop(place: &Place) -> Next {
    match place {
        _ if place.ceased.is_none() => Next::Cease,
        // Less may be left than an earlier try has put on record: what nobody in sync had is gone.
        _ if place.position != place.ceased => Next::RecordPosition,
        _ if place.is_vault => Next::Release,
        _ if !place.is_sealed => Next::Seal,
        // While replicas fetch the rest, so that nobody waits for the disk.
        _ if !place.is_noted => Next::RecordHandOver,
        _ if !place.is_drained => Next::Wait("a replica in sync still lacks records"),
        _ if !place.is_apart => {
            Next::Wait("producer ids of the source may still be given out by the destination")
        }
        _ if place.may_harm => Next::Wait(
            "producers of the destination may be taken for the source's: see what is said of them \
             (mirrors describe), or stop it with --force",
        ),
        _ if !place.is_unfenced => Next::Unfence,
        _ => Next::HandOver,
    }
}

#[cfg(test)]
mod tests;
