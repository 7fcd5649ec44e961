//! Findings, collected answer by answer.

use super::{
    delegation::Delegation,
    exchange::Silence,
    finding::{Code, Finding, shown},
    observation::{Link, Observation, Outcome, ServerAnswer},
    resolver::DnsError,
    view::{View, listed, view, view_of_texts},
};
use crate::{dkim::key::PublicKey, keys::Sight, words::Severity};

/// Collects findings: one for each code and thing seen, with all servers that showed it.
pub(super) struct Report {
    domain: String,
    selector: Option<String>,
    expected: String,
    pub(super) findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(observation: &Observation, expected: String) -> Self {
        let name = &observation.name;
        let (selector, domain) = match name.split_once("._domainkey.") {
            Some((selector, domain)) => (Some(selector.to_owned()), domain.to_owned()),
            None => (None, name.clone()),
        };
        Self {
            domain,
            selector,
            expected,
            findings: Vec::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        code: Code,
        severity: Severity,
        link: &Link,
        answer: Option<&ServerAnswer>,
        seen: String,
    ) {
        let server = answer.map(|answer| match answer.address {
            Some(address) => format!("{} ({address})", answer.server),
            None => answer.server.clone(),
        });
        self.add_seen_at(code, severity, &link.name, server, seen);
    }

    fn add_seen_at(
        &mut self,
        code: Code,
        severity: Severity,
        name: &str,
        server: Option<String>,
        seen: String,
    ) {
        let known = self
            .findings
            .iter_mut()
            .find(|finding| finding.code == code && finding.name == name && finding.seen == seen);
        if let Some(known) = known {
            known.severity = known.severity.max(severity);
            known.servers.extend(server);
            return;
        }
        self.findings.push(Finding {
            code,
            severity,
            domain: self.domain.clone(),
            selector: self.selector.clone(),
            name: name.to_owned(),
            servers: server.into_iter().collect(),
            seen,
            expected: self.expected.clone(),
        });
    }

    pub(super) fn zone_not_found(&mut self, link: &Link, error: &DnsError) {
        let code = match error {
            DnsError::Failure(_) => Code::Servfail,
            DnsError::OverBudget(_) => Code::OverBudget,
            _ => Code::Unreachable,
        };
        let server = Some("the configured resolvers".to_owned());
        let seen = shown(&error.to_string());
        self.add_seen_at(code, Severity::Act, &link.name, server, seen);
    }

    /// Whether a zone and its parent name the same servers.
    pub(super) fn delegation(&mut self, link: &Link) {
        let Ok(zone) = &link.zone else { return };
        match &zone.delegation {
            Delegation::Agrees => {}
            Delegation::Differs {
                only_parent,
                only_zone,
            } => {
                let mut parts = Vec::new();
                for (who, names) in [("the parent", only_parent), ("the zone", only_zone)] {
                    if !names.is_empty() {
                        parts.push(format!("only {who} names {}", names.join(", ")));
                    }
                }
                let seen = shown(&parts.join("; "));
                let code = Code::DelegationDiffers;
                self.add(code, Severity::Warning, link, None, seen);
            }
            Delegation::Unknown(why) => {
                let seen = shown(why);
                self.add(Code::ParentSilent, Severity::Note, link, None, seen);
            }
        }
    }

    pub(super) fn answer(
        &mut self,
        observation: &Observation,
        link: &Link,
        answer: &ServerAnswer,
        view: &View,
    ) {
        let mut add = |code, severity, seen: String| {
            self.add(code, severity, link, Some(answer), seen);
        };
        match view {
            View::Ours {
                testing, blanks, ..
            } => {
                if *testing {
                    add(Code::Testing, Severity::Warning, "t=y".to_owned());
                }
                if *blanks {
                    let seen = "white space inside p=".to_owned();
                    add(Code::Blanks, Severity::Note, seen);
                }
            }
            View::Revoked { .. } => add(Code::Revoked, Severity::Act, "p= is empty".to_owned()),
            View::Absent => {
                let (code, seen) = absence(observation, link, answer);
                add(code, Severity::Act, seen);
            }
            View::Wrong(code, seen) => add(*code, Severity::Act, seen.clone()),
            View::Elsewhere { .. } => {}
            View::Unknown | View::Ignored => {
                let severity = match view {
                    View::Unknown => Severity::Act,
                    _ => Severity::Warning,
                };
                let (code, seen) = failure(&answer.outcome);
                add(code, severity, seen);
            }
        }
    }

    pub(super) fn alias_loop(&mut self, observation: &Observation) {
        let names: Vec<_> = observation
            .links
            .iter()
            .map(|link| shown(&link.name))
            .collect();
        let seen = names.join(" → ");
        self.add_seen_at(
            Code::AliasLoop,
            Severity::Act,
            &observation.name,
            None,
            seen,
        );
    }

    /// What the definite answers about one name differ in.
    pub(super) fn disagreement(&mut self, observation: &Observation, key: &PublicKey) {
        for link in &observation.links {
            let definite = link
                .answers
                .iter()
                .filter(|answer| answer.outcome.is_definite());
            let kinds: Vec<_> = definite
                .clone()
                .map(|answer| kind(link, answer, key))
                .collect();
            if kinds.windows(2).all(|pair| pair[0] == pair[1]) {
                continue;
            }
            let seen: Vec<_> = definite
                .clone()
                .zip(&kinds)
                .map(|(answer, (kind, _))| format!("{}: {kind}", answer.server))
                .collect();
            let seen = seen.join("; ");
            self.add(Code::ServersDisagree, Severity::Act, link, None, seen);
            for answer in definite {
                if answer.outcome == Outcome::NoSuchName {
                    let seen = "NXDOMAIN".to_owned();
                    self.add(Code::NxdomainAtOne, Severity::Act, link, Some(answer), seen);
                }
            }
        }
    }

    /// A resolver may show the past. But when none can show what all servers have, verifiers
    /// cannot see it either: DNSSEC, mostly.
    pub(super) fn resolvers(
        &mut self,
        observation: &Observation,
        key: &PublicKey,
        sight: Sight,
    ) -> Sight {
        if !matches!(sight, Sight::Everywhere { .. }) {
            return sight;
        }
        let (mut failed, mut answered) = (0, 0);
        for answer in &observation.resolvers {
            let found = match &answer.outcome {
                Outcome::Failure(word) => {
                    failed += 1;
                    Some((Code::Servfail, Severity::Act, word.clone()))
                }
                Outcome::Texts { texts, ttl } => {
                    answered += 1;
                    let is_ours = matches!(view_of_texts(texts, *ttl, key), View::Ours { .. });
                    (!is_ours).then(|| (Code::ResolverBehind, Severity::Note, listed(texts)))
                }
                outcome if outcome.is_definite() => {
                    answered += 1;
                    let seen = "no record".to_owned();
                    Some((Code::ResolverBehind, Severity::Note, seen))
                }
                outcome => {
                    let (code, seen) = failure(outcome);
                    Some((code, Severity::Warning, seen))
                }
            };
            if let Some((code, severity, seen)) = found {
                let server = Some(answer.address.to_string());
                self.add_seen_at(code, severity, &observation.name, server, seen);
            }
        }
        if failed > 0 && answered == 0 {
            return Sight::Unknown;
        }
        sight
    }
}

/// What each server showed, in words, for a log: `ns1.example (192.0.2.1): the key; …`.
pub fn shown_by_each(observation: &Observation, key: &PublicKey) -> String {
    let mut parts = Vec::new();
    for link in &observation.links {
        if let Err(error) = &link.zone {
            parts.push(format!("{}: {}", link.name, shown(&error.to_string())));
        }
        for answer in &link.answers {
            let said = if answer.outcome.is_definite() {
                kind(link, answer, key).0
            } else {
                failure(&answer.outcome).1
            };
            parts.push(match answer.address {
                Some(address) => format!("{} ({address}): {said}", answer.server),
                None => format!("{}: {said}", answer.server),
            });
        }
    }
    parts.join("; ")
}

/// Why there is nothing, as far as that can be told.
fn absence(observation: &Observation, link: &Link, answer: &ServerAnswer) -> (Code, String) {
    if let Some(doubled) = &observation.doubled {
        return (Code::DoubledName, shown(doubled));
    }
    let is_target = link.name != observation.name;
    match &answer.outcome {
        Outcome::NoText if !is_target && !observation.other_types.is_empty() => {
            (Code::WrongType, observation.other_types.join(", "))
        }
        outcome => {
            let code = if is_target {
                Code::DanglingAlias
            } else {
                Code::Missing
            };
            let seen = match outcome {
                Outcome::NoSuchName => "NXDOMAIN: the name does not exist",
                _ => "no TXT record",
            };
            (code, seen.to_owned())
        }
    }
}

fn failure(outcome: &Outcome) -> (Code, String) {
    match outcome {
        // What servers say of a zone that they do not have.
        Outcome::Refused => (Code::NotAuthoritative, "REFUSED".to_owned()),
        Outcome::Failure(word) => (Code::Servfail, shown(word)),
        Outcome::NotAuthoritative => {
            let seen = "the answer is not authoritative".to_owned();
            (Code::NotAuthoritative, seen)
        }
        Outcome::NoAddress => (Code::Unreachable, "the server has no address".to_owned()),
        Outcome::Silent(silence @ Silence::OverBudget(_)) => {
            (Code::OverBudget, silence.to_string())
        }
        Outcome::Silent(silence @ Silence::PassedOver(_)) => {
            (Code::AddressPassedOver, silence.to_string())
        }
        Outcome::Silent(silence) => (Code::Unreachable, silence.to_string()),
        // The others are definite.
        _ => (Code::Unreachable, "no answer".to_owned()),
    }
}

/// What a server says, in words, and what it is compared by.
fn kind(link: &Link, answer: &ServerAnswer, key: &PublicKey) -> (String, String) {
    let both = |word: &str| (word.to_owned(), String::new());
    if let Outcome::Alias { target, .. } = &answer.outcome {
        return (format!("alias to {}", shown(target)), String::new());
    }
    match view(link, answer, key) {
        View::Ours { .. } => both("the key"),
        View::Revoked { .. } => both("revoked"),
        View::Wrong(code, seen) => (code.as_str().to_owned(), seen),
        _ => both("no record"),
    }
}
