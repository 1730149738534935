//! Where a broker listens: `HOST:PORT`.

use std::fmt;
use std::str::FromStr;

/// A host name or literal address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokerAddress {
    /// The host, without the brackets of a literal IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not HOST:PORT, such as broker-1.example:9092 or [::1]:9092")]
pub struct NotAnAddress(pub String);

impl FromStr for BrokerAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<BrokerAddress, NotAnAddress> {
        let refuse = || NotAnAddress(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let port = port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(refuse)?;
        let is_ambiguous = bare.is_none() && host.contains(':');
        if host.is_empty() || is_ambiguous || host.contains(char::is_whitespace) {
            return Err(refuse());
        }
        Ok(BrokerAddress {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_names_and_literals_are_read() {
        for text in ["broker-1.example:9092", "127.0.0.1:1", "[::1]:9092"] {
            let address: BrokerAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            "host",
            "host:",
            ":9092",
            "host:0",
            "host:65536",
            "::1:9092",
            "a b:1",
        ] {
            assert!(text.parse::<BrokerAddress>().is_err(), "{text:?}");
        }
    }
}
