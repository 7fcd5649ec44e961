//! Where the name of a record leads: whether a name that is handed over is. Pure.

use super::observation::{Observation, Outcome};

impl Observation {
    /// Whether every server that says anything gives an alias for the name, and they lead to
    /// this one, written as [`Observation::name`]; none if no server says anything.
    pub fn leads_to(&self, target: &str) -> Option<bool> {
        let mut answers = self.links.first()?.answers.iter();
        let mut definite = answers.by_ref().filter(|one| one.outcome.is_definite());
        let is_alias = |outcome: &Outcome| matches!(outcome, Outcome::Alias { .. });
        let first = definite.next()?;
        let all = is_alias(&first.outcome) && definite.all(|one| is_alias(&one.outcome));
        let is_reached = target != self.name && self.link(target).is_some();
        Some(all && is_reached)
    }

    /// Whether the name is in the zone with this name, on one of these servers; none if nobody
    /// knows its zone.
    pub fn is_served_in(&self, apex: &str, servers: &[&str]) -> Option<bool> {
        let link = self.links.first()?;
        let zone = link.zone.as_ref().ok()?;
        let mut answers = link.answers.iter();
        let is_theirs = answers.any(|answer| servers.contains(&answer.server.as_str()));
        Some(zone.apex == apex && is_theirs)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dns::{Delegation, DnsError, Link, ServerAnswer, Silence, ZoneSeen};

    const NAME: &str = "s1._domainkey.een.example";
    const TARGET: &str = "s1.een.dkim.relay.example";

    fn link(name: &str, apex: &str, outcomes: Vec<Outcome>) -> Link {
        let answer = |outcome| ServerAnswer {
            server: "ns1.relay.example".to_owned(),
            address: None,
            outcome,
        };
        Link {
            name: name.to_owned(),
            zone: Ok(ZoneSeen {
                apex: apex.to_owned(),
                negative_ttl: Duration::ZERO,
                delegation: Delegation::Agrees,
            }),
            answers: outcomes.into_iter().map(answer).collect(),
        }
    }

    fn observation(links: Vec<Link>) -> Observation {
        Observation {
            name: NAME.to_owned(),
            links,
            endless: false,
            resolvers: Vec::new(),
            other_types: Vec::new(),
            doubled: None,
        }
    }

    #[test]
    fn a_name_is_handed_over_when_every_server_says_so() {
        let alias = |target: &str| Outcome::Alias {
            target: target.to_owned(),
            ttl: Duration::ZERO,
        };
        let silent = || Outcome::Silent(Silence::TimedOut);
        let seen = |outcomes: Vec<Outcome>, follows: &str| {
            let links = vec![
                link(NAME, "een.example", outcomes),
                link(follows, "relay.example", vec![Outcome::NoSuchName]),
            ];
            observation(links).leads_to(TARGET)
        };
        assert_eq!(seen(vec![alias(TARGET), silent()], TARGET), Some(true));
        assert_eq!(
            seen(vec![alias(TARGET), Outcome::NoText], TARGET),
            Some(false)
        );
        assert_eq!(seen(vec![alias("x.example")], "x.example"), Some(false));
        // By a name of the organisation's own.
        assert_eq!(seen(vec![alias("x.example")], TARGET), Some(true));
        assert_eq!(seen(vec![Outcome::NoSuchName], "x.example"), Some(false));
        assert_eq!(seen(vec![silent()], TARGET), None);
        assert_eq!(observation(Vec::new()).leads_to(TARGET), None);
    }

    #[test]
    fn a_zone_is_handed_over_when_our_servers_have_it() {
        let apex = "_domainkey.een.example";
        let seen = |zone: &str, servers: &[&str]| {
            let link = link(NAME, zone, vec![Outcome::NoSuchName]);
            observation(vec![link]).is_served_in(apex, servers)
        };
        assert_eq!(seen(apex, &["ns1.relay.example"]), Some(true));
        assert_eq!(seen(apex, &["ns1.een.example"]), Some(false));
        assert_eq!(seen("een.example", &["ns1.relay.example"]), Some(false));
        let mut lost = link(NAME, apex, Vec::new());
        lost.zone = Err(DnsError::NoSuchName);
        assert_eq!(observation(vec![lost]).is_served_in(apex, &[]), None);
    }
}
