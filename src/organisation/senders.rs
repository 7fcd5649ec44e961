//! Who may send in the name of an organisation.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

/// What is known of whoever handed a message to the MTA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sender<'a> {
    /// The SASL login, `{auth_authen}`.
    pub login: Option<&'a str>,
    /// The address of the client; none for mail that was made on this host.
    pub client: Option<IpAddr>,
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

impl Senders {
    /// Whether this sender may use the domains of the organisation.
    pub fn allow(&self, sender: &Sender<'_>) -> bool {
        let login = sender
            .login
            .is_some_and(|login| self.auth.iter().any(|name| name == login));
        login
            || in_networks(&self.networks, sender.client)
            || self.listeners.iter().any(|name| name == sender.listener)
    }
}

/// Whether the address of a client lies in one of the networks.
///
/// An IPv4 client of a dual-stack socket (`::ffff:192.0.2.1`) counts as IPv4.
pub fn in_networks(networks: &[IpNet], client: Option<IpAddr>) -> bool {
    client.is_some_and(|address| {
        let address = address.to_canonical();
        networks.iter().any(|network| network.contains(&address))
    })
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
        for (login, client, listener, expected) in [
            (Some("crm"), None, "relay", true),
            (Some("CRM"), None, "relay", false),
            (Some(""), None, "relay", false),
            (None, Some("10.20.255.1"), "relay", true),
            (None, Some("::ffff:10.20.0.1"), "relay", true),
            (None, Some("2001:db8::1"), "relay", true),
            (None, Some("10.21.0.1"), "relay", false),
            (None, None, "newsletter", true),
            (None, None, "relay", false),
        ] {
            let sender = Sender {
                login,
                client: client.map(|text: &str| text.parse().unwrap()),
                listener,
            };
            assert_eq!(senders.allow(&sender), expected, "{sender:?}");
        }
    }

    #[test]
    fn an_empty_table_allows_nobody() {
        let sender = Sender {
            login: Some("crm"),
            client: Some("127.0.0.1".parse().unwrap()),
            listener: "relay",
        };
        assert!(!Senders::default().allow(&sender));
    }
}
