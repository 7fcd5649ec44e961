//! Who may send in the name of an organisation.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use serde::Serialize;

use super::network::network_of;

/// The SMTP client behind a message, as the MTA shows it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Client {
    /// The client has this address.
    At(IpAddr),
    /// The MTA says that the client has none (family `U` or `L` of the milter protocol), as
    /// Sendmail does of `sendmail -bs`.
    WithoutAddress,
    /// The MTA shows no client, or an address that can't be read.
    #[default]
    Unknown,
}

impl Client {
    /// Its address; an IPv4 client of a dual-stack socket has that of IPv4.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::At(address) => Some(address.to_canonical()),
            Self::WithoutAddress | Self::Unknown => None,
        }
    }
}

/// As in "mail from 192.0.2.1".
impl fmt::Display for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(formatter),
            Self::WithoutAddress => formatter.write_str("a client without an address"),
            Self::Unknown => formatter.write_str("an unknown client"),
        }
    }
}

/// What is known of whoever handed a message to the MTA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sender<'a> {
    /// The SASL login, `{auth_authen}`.
    pub login: Option<&'a str>,
    /// The SMTP client.
    pub client: Client,
    /// The name of the listener that the message came in by.
    pub listener: &'a str,
}

/// The `[senders]` table of an organisation: any one of the three suffices.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Senders {
    /// SASL logins, compared exactly.
    pub auth: Vec<String>,
    /// Networks of clients.
    pub networks: Vec<IpNet>,
    /// Names of listeners.
    pub listeners: Vec<String>,
}

/// What lets a sender pass a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ground {
    /// The rule lets everybody pass.
    Anybody,
    /// Its login.
    Login,
    /// Its address lies in this network.
    Network(IpNet),
    /// The MTA knows no address of the client, and the rule takes such mail.
    NoAddress,
    /// The listener.
    Listener,
}

impl Senders {
    /// What lets this sender use the domains of the organisation; none if nothing does.
    pub fn ground(&self, sender: &Sender<'_>) -> Option<Ground> {
        let login = sender
            .login
            .is_some_and(|login| self.auth.iter().any(|name| name == login));
        if login {
            return Some(Ground::Login);
        }
        network_of(&self.networks, sender.client.address())
            .map(Ground::Network)
            .or_else(|| {
                self.listeners
                    .iter()
                    .any(|name| name == sender.listener)
                    .then_some(Ground::Listener)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_one_of_the_three_suffices() {
        let senders = Senders {
            auth: vec!["crm".into()],
            networks: vec![
                "10.20.0.0/16".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            listeners: vec!["newsletter".into()],
        };
        let network = |place: usize| Some(Ground::Network(senders.networks[place]));
        for (login, client, listener, expected) in [
            (Some("crm"), None, "relay", Some(Ground::Login)),
            (Some("CRM"), None, "relay", None),
            (Some(""), None, "relay", None),
            (None, Some("10.20.255.1"), "relay", network(0)),
            (None, Some("::ffff:10.20.0.1"), "relay", network(0)),
            (None, Some("2001:db8::1"), "relay", network(1)),
            (None, Some("10.21.0.1"), "relay", None),
            (None, None, "newsletter", Some(Ground::Listener)),
            (None, None, "relay", None),
        ] {
            let sender = Sender {
                login,
                client: client.map_or(Client::WithoutAddress, |text: &str| {
                    Client::At(text.parse().unwrap())
                }),
                listener,
            };
            assert_eq!(senders.ground(&sender), expected, "{sender:?}");
        }
    }

    #[test]
    fn an_empty_table_allows_nobody() {
        let sender = Sender {
            login: Some("crm"),
            client: Client::At("127.0.0.1".parse().unwrap()),
            listener: "relay",
        };
        assert_eq!(Senders::default().ground(&sender), None);
    }
}
