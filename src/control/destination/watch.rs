//! One look at the destination's metadata, without joining it.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::control::membership::{Bootstrap, Hear, MemberOrder, Parting, take_part};
use crate::io::{Clock, World};
use crate::kraft::{Identity, Image, Member, News, Options, Refusal, Wish};
use crate::model::{BrokerEpoch, BrokerId, Uuid};
use crate::session::{BrokerAddress, Security};

/// Whoever is no broker.
const NOBODY: BrokerId = BrokerId(-1);

/// The destination at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The cluster's id.
    pub cluster_id: String,
    /// Its active controller.
    pub controller: BrokerAddress,
    /// Everything that its metadata log says.
    pub image: Image,
}

/// Why it cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum WatchFault {
    /// It refuses us.
    #[error("{0}")]
    Refused(Refusal),
    /// It takes too long.
    #[error("the destination's metadata cannot be read within {waited:?}{}", after(.last))]
    Late {
        /// How long we waited.
        waited: Duration,
        /// What hindered us last.
        last: Option<Refusal>,
    },
}

fn after(last: &Option<Refusal>) -> String {
    let last = last.as_ref();
    last.map(|last| format!(": {last}")).unwrap_or_default()
}

/// Reads the metadata log to its end, from whichever controller is the active one.
///
/// # Errors
/// None of them lets us, or not in time.
pub async fn look<W: World>(
    world: &W,
    bootstrap: &Bootstrap,
    security: Security,
    within: Duration,
) -> Result<Seen, WatchFault> {
    let identity = Identity {
        node: NOBODY,
        cluster_id: None,
        directory: Uuid::default(),
        incarnation: Uuid::default(),
        listeners: Vec::new(),
        rack: None,
        previous_epoch: BrokerEpoch::NONE,
        is_cordoned: false,
    };
    let Bootstrap {
        controllers,
        brokers,
    } = bootstrap.clone();
    let is_alone = controllers.len() == 1 && brokers.is_empty();
    let mut member = Member::new(identity, Options::default(), controllers, 0);
    member.wish(Wish::Watch);
    let (orders, orders_out) = mpsc::channel(1);
    let mut looking = Looking {
        orders: Some(orders),
        is_alone,
        cluster_id: String::new(),
        controller: None,
        image: None,
        last: None,
    };
    let deadline = world.clock().now().after(within);
    tokio::select! {
        parting = take_part(world.clone(), member, security, brokers, orders_out, &mut looking) => {
            if let Parting::Refused(why) = parting {
                return Err(WatchFault::Refused(why));
            }
        }
        () = world.clock().sleep_until(deadline) => {}
    }
    looking.seen(within)
}

struct Looking {
    /// Given up when enough was seen: that ends the membership which never was one.
    orders: Option<mpsc::Sender<MemberOrder>>,
    is_alone: bool,
    cluster_id: String,
    controller: Option<BrokerAddress>,
    image: Option<Image>,
    last: Option<Refusal>,
}

impl Hear for Looking {
    fn news(&mut self, member: &Member, news: News) {
        match news {
            News::Cluster(id) => self.cluster_id = id,
            News::Controller(at) => self.controller = Some(at),
            News::Begun(_) => {
                self.image = Some(member.image().clone());
                self.orders = None;
            }
            News::Trouble(why) => {
                // Nobody else will say otherwise.
                let is_final = match &why {
                    Refusal::NotAllowed { .. } => true,
                    Refusal::NoController(_) => self.is_alone,
                    _ => false,
                };
                self.last = Some(why);
                if is_final {
                    self.orders = None;
                }
            }
            _ => {}
        }
    }
}

impl Looking {
    fn seen(self, waited: Duration) -> Result<Seen, WatchFault> {
        let is_over = self.orders.is_none();
        match (self.image, self.controller, self.last) {
            (Some(image), Some(controller), _) => Ok(Seen {
                cluster_id: self.cluster_id,
                controller,
                image,
            }),
            (_, _, Some(why)) if is_over => Err(WatchFault::Refused(why)),
            (_, _, last) => Err(WatchFault::Late { waited, last }),
        }
    }
}
