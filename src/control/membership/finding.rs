//! Whom a member begins with, and how it finds its controllers through brokers.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::io::World;
use crate::kraft::Refusal;
use crate::model::Instant;
use crate::protocol::ErrorCode;
use crate::protocol::controller::{ControllerCall, DescribeQuorum};
use crate::protocol::fetch::Endpoint;
use crate::session::{BrokerAddress, Client, Opening, Security};

/// How long a broker may take to be reached, and then for each answer.
const WITHIN: Duration = Duration::from_secs(5);
/// All of them are asked again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// Whom a member turns to first. One of the two may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bootstrap {
    /// Controllers.
    pub controllers: Vec<BrokerAddress>,
    /// Brokers, which are asked where the controllers listen.
    pub brokers: Vec<BrokerAddress>,
}

impl Bootstrap {
    /// There is nobody to begin with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.controllers.is_empty() && self.brokers.is_empty()
    }

    /// Controllers, and nobody else.
    #[must_use]
    pub fn of(controllers: Vec<BrokerAddress>) -> Bootstrap {
        Bootstrap {
            controllers,
            brokers: Vec::new(),
        }
    }
}

type Found = Result<Vec<Endpoint>, Refusal>;

/// The search for controllers, one round at a time.
pub(super) struct Search<W: World> {
    world: W,
    brokers: Vec<BrokerAddress>,
    opening: Opening,
    found_in: mpsc::Sender<Found>,
    found: mpsc::Receiver<Found>,
    is_under_way: bool,
    not_before: Instant,
    /// Who is asked first this time: one who answers wrongly is not always that.
    turn: usize,
}

impl<W: World> Search<W> {
    /// Through these brokers; without any there is no search.
    pub(super) fn new(world: &W, brokers: Vec<BrokerAddress>, security: Security) -> Search<W> {
        let (found_in, found) = mpsc::channel(1);
        let timeout = WITHIN;
        Search {
            world: world.clone(),
            brokers,
            opening: Opening { security, timeout },
            found_in,
            found,
            is_under_way: false,
            not_before: Instant::default(),
            turn: 0,
        }
    }

    /// Begins another round where one is due. Says when to come again, where nothing else will.
    pub(super) fn go_on(&mut self, now: Instant) -> Option<Instant> {
        if self.brokers.is_empty() || self.is_under_way {
            return None;
        }
        if now < self.not_before {
            return Some(self.not_before);
        }
        self.is_under_way = true;
        self.not_before = now.after(AGAIN);
        let (world, opening) = (self.world.clone(), self.opening);
        let (mut brokers, found_in) = (self.brokers.clone(), self.found_in.clone());
        brokers.rotate_left(self.turn);
        self.turn = (self.turn + 1) % brokers.len();
        self.world.spawn(async move {
            // Nobody listens any more where the membership has ended.
            drop(found_in.send(find(&world, &brokers, opening).await).await);
        });
        None
    }

    /// What the round that is under way has come to.
    pub(super) async fn ended(&mut self) -> Found {
        let found = self.found.recv().await;
        self.is_under_way = false;
        found.expect("the search holds a sender itself")
    }
}

/// Asks one broker after the other. Says what the last one said where none of them could tell.
async fn find<W: World>(world: &W, brokers: &[BrokerAddress], opening: Opening) -> Found {
    let mut found = Err(Refusal::NotFound("there is none to ask".to_owned()));
    for broker in brokers {
        found = ask(world, broker, opening).await;
        // The others would pass the same question on to the same controller.
        if matches!(found, Ok(_) | Err(Refusal::NotAllowed { .. })) {
            break;
        }
    }
    found
}

async fn ask<W: World>(world: &W, broker: &BrokerAddress, opening: Opening) -> Found {
    let asked = async {
        let mut client = Client::connect(world, broker, opening).await?;
        client.ask(&DescribeQuorum).await
    };
    let what = DescribeQuorum::NAME;
    let answer = asked.await.map_err(|fault| {
        let why = format!("{fault} ({})", fault.next_step());
        Refusal::NotFound(why)
    })?;
    match answer.error {
        ErrorCode::NONE if answer.voters.is_empty() => Err(Refusal::NotFound(format!(
            "{broker} answers {what} without a listener of any controller"
        ))),
        ErrorCode::NONE => Ok(answer.voters),
        code @ ErrorCode::CLUSTER_AUTHORIZATION_FAILED => Err(Refusal::NotAllowed {
            what,
            right: "Describe",
            code,
        }),
        code => Err(Refusal::NotFound(format!(
            "{broker} answers {what} with {code}"
        ))),
    }
}
