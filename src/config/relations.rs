//! What has to hold between keys, once each of them is sound by itself.

use super::parse::Lines;
use super::{Config, Fault, Wrong};
use crate::control::DestinationKind;
use crate::model::BrokerAddress;

/// Adds what does not hold. Of keys that are wrong by themselves nothing more is said.
pub(super) fn check(config: &Config, lines: &Lines, faults: &mut Vec<Fault>) {
    let mut found = Found { lines, faults };
    found.destination(config);
    found.listeners(config);
}

struct Found<'l> {
    lines: &'l Lines,
    faults: &'l mut Vec<Fault>,
}

impl Found<'_> {
    /// Blames a key; where the file does not mention it, the line is that of another key.
    fn blame(&mut self, key: &str, other: &str, why: &str) {
        if self.is_blamed(key) || self.is_blamed(other) {
            return;
        }
        let line = self.lines.get(key).or_else(|| self.lines.get(other));
        self.faults.push(Fault {
            line: line.copied().unwrap_or(1),
            key: key.to_owned(),
            wrong: Wrong::Relation(why.to_owned()),
        });
    }

    fn is_blamed(&self, key: &str) -> bool {
        self.faults.iter().any(|fault| fault.key == key)
    }

    fn destination(&mut self, config: &Config) {
        const KIND: &str = "destination.kind";
        const CONTROLLERS: &str = "destination.controllers";
        const BROKERS: &str = "destination.bootstrap.servers";
        let destination = &config.node.destination;
        let is_member = destination.kind == DestinationKind::Member;
        let set = [
            ("node.id", config.node.id.is_some()),
            (
                "destination.listener_name",
                !destination.listener_name.is_empty(),
            ),
            ("destination.listen", destination.listen.is_some()),
        ];
        for (key, is_set) in set {
            if is_member && !is_set {
                self.blame(key, KIND, "a member needs it, and it is not set");
            }
        }
        let [controllers, brokers] = [&destination.controllers, &destination.bootstrap_servers];
        let whom = [(CONTROLLERS, controllers), (BROKERS, brokers)];
        let whom = whom.map(|(key, addresses)| (key, !addresses.is_empty()));
        if is_member && whom.iter().all(|(_, is_set)| !is_set) && !self.is_blamed(BROKERS) {
            let why = "a member needs it, or destination.\"bootstrap.servers\", and neither is set";
            self.blame(CONTROLLERS, KIND, why);
        }
        let own = [("destination.advertised", destination.advertised.is_some())];
        let own = own.into_iter().chain(whom);
        for (key, is_set) in set.into_iter().skip(1).chain(own) {
            if !is_member && is_set {
                let why = "a vault has no use for it: set destination.kind = \"member\" as well";
                self.blame(key, KIND, why);
            }
        }
        let listen = destination.listen.as_ref().filter(|_| is_member);
        if listen.is_some_and(is_everywhere) && destination.advertised.is_none() {
            let why = "the brokers of the cluster have to find the node: set it, since \
                       destination.listen is every address of the machine";
            self.blame("destination.advertised", "destination.listen", why);
        }
        let admin = &config.node.admin;
        if is_member && is_everywhere(&admin.listen) && admin.advertised.is_none() {
            let why = "other nodes have to find the node: set it, since admin.listen is every \
                       address of the machine";
            self.blame("admin.advertised", "admin.listen", why);
        }
        if config.kraft.heartbeat_interval_ms >= config.kraft.session_timeout_ms {
            let why = "not below destination.session_timeout_ms: the node would be taken for dead";
            self.blame(
                "destination.heartbeat_interval_ms",
                "destination.session_timeout_ms",
                why,
            );
        }
    }

    fn listeners(&mut self, config: &Config) {
        let admin = &config.node.admin;
        let listeners = [
            ("admin.listen", Some(&admin.listen)),
            ("admin.metrics", admin.metrics.as_ref()),
            (
                "destination.listen",
                config.node.destination.listen.as_ref(),
            ),
        ];
        for (nth, (key, address)) in listeners.iter().enumerate() {
            let before = &listeners[..nth];
            let same = before.iter().find(|(_, other)| *other == *address);
            if let (Some((other, _)), Some(address)) = (same, address) {
                let why = format!("{address} is {other} already: choose another port");
                self.blame(key, other, &why);
            }
        }
    }
}

fn is_everywhere(address: &BrokerAddress) -> bool {
    let ip = address.host.parse::<std::net::IpAddr>();
    ip.is_ok_and(|ip| ip.is_unspecified())
}
