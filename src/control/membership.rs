//! Carries out what `kraft` decides: three connections to controllers, and nothing that could
//! keep their answers waiting.
//!
//! It runs on a thread of its own: whoever is to hear of news must not hold it up, or heartbeats
//! come late.

mod finding;

use tokio::sync::mpsc;

use self::finding::Search;
use crate::io::{Clock, World};
use crate::kraft::{Answer, Lane, Member, News, Offer, Question, Refusal, Step, Wish};
use crate::model::Instant;
use crate::protocol::controller::{IsrChange, Registration};
use crate::session::{BrokerAddress, Client, Opening, Security, SessionFault};

pub use self::finding::Bootstrap;

/// Events of three lanes that may wait before anyone looks.
const EVENTS_MAX: usize = 64;

/// What a member is told by the rest of the process.
#[derive(Debug)]
pub enum MemberOrder {
    /// What to want from now on.
    Wish(Wish),
    /// Other replicas in sync of a partition that we lead.
    Propose(IsrChange),
}

/// How a membership ended.
#[derive(Debug)]
pub enum Parting {
    /// In order, as was wished.
    Left,
    /// Nobody is there any more to give orders: the session expires by itself.
    Abandoned,
    /// The cluster does not have us.
    Refused(Refusal),
}

/// Whoever is to know how a membership goes. It must not hold the membership up, or heartbeats
/// come late.
pub trait Hear {
    /// Something has come about; the member is as it is then.
    fn news(&mut self, member: &Member, news: News);

    /// Everything that has happened was taken in: the lease may be a later one, say.
    fn turned(&mut self, _member: &Member) {}
}

impl<F: FnMut(&Member, News)> Hear for F {
    fn news(&mut self, member: &Member, news: News) {
        self(member, news);
    }
}

/// Something that a lane has to tell, of the conversation with this number.
struct Event {
    lane: Lane,
    conversation: u64,
    what: Heard,
}

enum Heard {
    Connected(Offer),
    Answered(Answer),
    Failed(Refusal),
}

/// A lane that has been told to connect.
struct Line {
    conversation: u64,
    questions: mpsc::Sender<Question>,
}

/// Takes part in a cluster until it is left, refused, or nobody gives orders any more. `hear` is
/// told of all news in their order, with the member as it is then. While the member is lost,
/// `brokers` are asked where the controllers listen.
pub async fn take_part<W: World>(
    world: W,
    mut member: Member,
    security: Security,
    brokers: Vec<BrokerAddress>,
    mut orders: mpsc::Receiver<MemberOrder>,
    hear: &mut dyn Hear,
) -> Parting {
    let (events_in, mut events) = mpsc::channel(EVENTS_MAX);
    let mut lines = Lines {
        world: world.clone(),
        security,
        events: events_in,
        open: [None, None, None],
        conversations: 0,
    };
    let mut search = Search::new(&world, brokers, security);
    let mut wish = Wish::Serve;
    loop {
        let clock = world.clock();
        while let Some(step) = member.next_step(clock.now()) {
            lines.carry_out(step);
        }
        while let Some(news) = member.next_news() {
            let end = parting(wish, &news);
            hear.news(&member, news);
            if let Some(end) = end {
                return end;
            }
        }
        hear.turned(&member);
        let search_at = match member.is_lost() {
            true => search.go_on(clock.now()),
            false => None,
        };
        let deadline = member.next_deadline().into_iter().chain(search_at).min();
        let deadline = deadline.unwrap_or(Instant::from_nanos(u64::MAX));
        tokio::select! {
            biased;
            event = events.recv() => {
                let event = event.expect("the lines hold a sender themselves");
                lines.heard(&mut member, clock.now(), event);
            }
            order = orders.recv() => match order {
                None => return Parting::Abandoned,
                Some(MemberOrder::Wish(new)) => {
                    wish = new;
                    member.wish(new);
                }
                Some(MemberOrder::Propose(change)) => member.propose(change),
            },
            found = search.ended() => match found {
                Ok(controllers) => member.found(&controllers),
                Err(why) => member.not_found(why),
            },
            () = clock.sleep_until(deadline) => {}
        }
    }
}

fn parting(wish: Wish, news: &News) -> Option<Parting> {
    match news {
        News::Refused(why) => Some(Parting::Refused(why.clone())),
        News::Unregistered => Some(Parting::Left),
        News::Gone if wish == Wish::Leave => Some(Parting::Left),
        _ => None,
    }
}

struct Lines<W: World> {
    world: W,
    security: Security,
    events: mpsc::Sender<Event>,
    open: [Option<Line>; 3],
    conversations: u64,
}

impl<W: World> Lines<W> {
    fn place(lane: Lane) -> usize {
        match lane {
            Lane::Log => 0,
            Lane::Life => 1,
            Lane::Proposals => 2,
        }
    }

    fn carry_out(&mut self, step: Step) {
        match step {
            Step::Connect { lane, to, within } => {
                self.conversations += 1;
                let conversation = self.conversations;
                // A lane has one question under way.
                let (questions, asked) = mpsc::channel(1);
                let talk = Talk {
                    lane,
                    conversation,
                    events: self.events.clone(),
                };
                let opening = Opening {
                    security: self.security,
                    timeout: within,
                };
                let world = self.world.clone();
                self.world
                    .spawn(async move { talk.run(world, to, opening, asked).await });
                self.open[Self::place(lane)] = Some(Line {
                    conversation,
                    questions,
                });
            }
            Step::Ask { lane, question, .. } => {
                let line = self.open[Self::place(lane)].as_ref();
                let line = line.expect("only what is connected is asked");
                // A conversation that has just ended says so itself.
                drop(line.questions.try_send(question));
            }
            Step::Close { lane } => self.open[Self::place(lane)] = None,
        }
    }

    /// What a conversation says that is over is of no interest.
    fn heard(&mut self, member: &mut Member, now: Instant, event: Event) {
        let line = &mut self.open[Self::place(event.lane)];
        let current = line.as_ref().map(|line| line.conversation);
        if current != Some(event.conversation) {
            return;
        }
        match event.what {
            Heard::Connected(offer) => member.connected(event.lane, offer),
            Heard::Answered(answer) => member.answered(now, event.lane, answer),
            Heard::Failed(why) => {
                *line = None;
                member.failed(now, event.lane, why);
            }
        }
    }
}

/// One conversation with one controller.
struct Talk {
    lane: Lane,
    conversation: u64,
    events: mpsc::Sender<Event>,
}

impl Talk {
    async fn run<W: World>(
        self,
        world: W,
        to: BrokerAddress,
        opening: Opening,
        mut questions: mpsc::Receiver<Question>,
    ) {
        let mut client = match Client::connect(&world, &to, opening).await {
            Ok(client) if client.versions().best_call::<Registration>().is_none() => {
                return self.say(Heard::Failed(Refusal::NoController(to))).await;
            }
            Ok(client) => client,
            Err(fault) => return self.say(failed(&fault)).await,
        };
        self.say(Heard::Connected(Offer {
            finalized: client.versions().finalized().clone(),
        }))
        .await;
        while let Some(question) = questions.recv().await {
            match ask(&mut client, question).await {
                Ok(answer) => self.say(Heard::Answered(answer)).await,
                Err(fault) => return self.say(failed(&fault)).await,
            }
        }
    }

    async fn say(&self, what: Heard) {
        let event = Event {
            lane: self.lane,
            conversation: self.conversation,
            what,
        };
        // Nobody listens any more where the membership has ended.
        drop(self.events.send(event).await);
    }
}

fn failed(fault: &SessionFault) -> Heard {
    let mut why = fault.to_string();
    // What is no Kafka at all does not become one: the operator has to give another address.
    if matches!(fault, SessionFault::Malformed { .. }) {
        why = format!("{why}; {}", fault.next_step());
    }
    Heard::Failed(Refusal::Unreachable(why))
}

async fn ask<W: World>(client: &mut Client<W>, question: Question) -> Result<Answer, SessionFault> {
    Ok(match question {
        Question::Cluster(call) => Answer::Cluster(client.ask(&call).await?),
        Question::Fetch(call) => Answer::Fetch(client.ask(&call).await?),
        Question::Snapshot(call) => Answer::Snapshot(client.ask(&call).await?),
        Question::Register(call) => Answer::Register(client.ask(&call).await?),
        Question::Heartbeat(call) => Answer::Heartbeat(client.ask(&call).await?),
        Question::Unregister(call) => Answer::Unregister(client.ask(&call).await?),
        Question::Propose(call) => Answer::Propose(client.ask(&call).await?),
    })
}
