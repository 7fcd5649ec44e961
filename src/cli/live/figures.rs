//! What a page of metrics says, by listener and by organisation.

use std::collections::BTreeMap;

use serde::Serialize;

use super::page::{Page, Sample, whole};

/// Of a signer.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) version: String,
    pub(super) backend: String,
    /// In seconds since 1970, like the other times.
    pub(super) started: u64,
    pub(super) loaded: u64,
    pub(super) snapshot_generation: u64,
    pub(super) keystore_generation: u64,
    pub(super) last_reload_successful: bool,
    pub(super) reloads_failed: u64,
    pub(super) organisations_in_use: u64,
    pub(super) domains_without_key: u64,
    pub(super) key_problems: u64,
    pub(super) panics: u64,
    pub(super) last_signing_failure: Option<u64>,
    pub(super) connections_limit: u64,
    pub(super) listeners: BTreeMap<String, Listener>,
    /// By its id; empty for mail of no organisation.
    pub(super) organisations: BTreeMap<String, Organisation>,
}

/// Of one listener.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Listener {
    pub(super) connections: u64,
    pub(super) connections_refused: u64,
    pub(super) messages_in_progress: u64,
    pub(super) messages: BTreeMap<String, u64>,
}

/// Of one organisation.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Organisation {
    /// Messages: one that is signed twice counts once.
    pub(super) signed: u64,
    pub(super) unsigned: BTreeMap<String, u64>,
    pub(super) hazards: BTreeMap<String, u64>,
}

/// Of a keeper.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct KeeperFigures {
    pub(super) organisations: BTreeMap<String, KeyFigures>,
}

/// What a keeper says of one organisation.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct KeyFigures {
    pub(super) keys: Vec<Key>,
    pub(super) next_steps: Vec<NextStep>,
    /// Domain and kind.
    pub(super) alarms: Vec<[String; 2]>,
    /// Domain and code.
    pub(super) findings: Vec<[String; 2]>,
    pub(super) rotation_overdue: u64,
    pub(super) last_check: u64,
}

/// A key in one of its states.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Key {
    pub(super) selector: String,
    pub(super) state: String,
    pub(super) age_seconds: u64,
}

/// What comes next for a key, in so many domains.
#[derive(Clone, Debug, Serialize)]
pub(super) struct NextStep {
    pub(super) selector: String,
    pub(super) step: String,
    pub(super) domains: u64,
}

impl Figures {
    /// What is not on the page is 0 or empty.
    pub(super) fn of(page: &Page) -> Self {
        let value = |name| page.value(name).unwrap_or_default();
        let number = |name| whole(value(name));
        let build = page.of("zegel_build_info").next();
        let build = |label| build.map_or("", |build| build.label(label)).to_owned();
        let results = |result: &str| {
            let mut reloads = page.of("zegel_reload_total");
            let found = reloads.find(|one| one.label("result") == result);
            found.map_or(0, Sample::count)
        };
        Self {
            version: build("version"),
            backend: build("backend"),
            started: number("process_start_time_seconds"),
            loaded: number("zegel_last_reload_timestamp_seconds"),
            snapshot_generation: number("zegel_snapshot_generation"),
            keystore_generation: number("zegel_keystore_generation"),
            last_reload_successful: number("zegel_last_reload_successful") == 1,
            reloads_failed: results("failed"),
            organisations_in_use: number("zegel_organisations"),
            domains_without_key: number("zegel_domains_without_key"),
            key_problems: number("zegel_key_problems"),
            panics: number("zegel_panics_total"),
            last_signing_failure: Some(number("zegel_last_signing_failure_timestamp_seconds"))
                .filter(|time| *time > 0),
            connections_limit: number("zegel_connections_limit"),
            listeners: listeners(page),
            organisations: organisations(page),
        }
    }

    /// Of all listeners.
    pub(super) fn connections(&self) -> u64 {
        self.listeners.values().map(|one| one.connections).sum()
    }

    /// Messages that ended so, over all listeners.
    pub(super) fn messages(&self, result: &str) -> u64 {
        let listeners = self.listeners.values();
        let counts = listeners.filter_map(|one| one.messages.get(result));
        counts.sum()
    }
}

impl Organisation {
    /// Messages without a signature.
    pub(super) fn all_unsigned(&self) -> u64 {
        self.unsigned.values().sum()
    }

    /// Messages that hold something that breaks signatures, each hazard by itself.
    pub(super) fn all_hazards(&self) -> u64 {
        self.hazards.values().sum()
    }

    /// Messages that could not be signed and should have been.
    pub(super) fn failures(&self) -> u64 {
        let reasons = ["signing_failure", "limit_exceeded"].iter();
        let counts = reasons.filter_map(|reason| self.unsigned.get(*reason));
        counts.sum()
    }

    /// The reasons with their numbers, the most frequent first.
    pub(super) fn reasons(&self) -> String {
        let mut reasons: Vec<_> = self
            .unsigned
            .iter()
            .filter(|(_, count)| **count > 0)
            .collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let words = reasons
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"));
        words.collect::<Vec<_>>().join(", ")
    }
}

fn listeners(page: &Page) -> BTreeMap<String, Listener> {
    let mut listeners = ByLabel::<Listener>::new(page, "listener");
    let mut each = |name, take| listeners.each(name, take);
    each("zegel_connections", |listener, sample| {
        listener.connections = sample.count();
    });
    each("zegel_connections_refused_total", |listener, sample| {
        listener.connections_refused = sample.count();
    });
    each("zegel_messages_in_progress", |listener, sample| {
        listener.messages_in_progress = sample.count();
    });
    each("zegel_messages_total", |listener, sample| {
        let result = sample.label("result").to_owned();
        listener.messages.insert(result, sample.count());
    });
    listeners.found
}

fn organisations(page: &Page) -> BTreeMap<String, Organisation> {
    let mut organisations = ByLabel::<Organisation>::new(page, "organisation");
    organisations.each("zegel_unsigned_total", |organisation, sample| {
        let reason = sample.label("reason").to_owned();
        organisation.unsigned.insert(reason, sample.count());
    });
    organisations.each("zegel_hazards_total", |organisation, sample| {
        let hazard = sample.label("hazard").to_owned();
        organisation.hazards.insert(hazard, sample.count());
    });
    let mut organisations = organisations.found;
    let mut by_algorithm = BTreeMap::<(&str, &str), u64>::new();
    for sample in page.of("zegel_signed_total") {
        let place = (sample.label("organisation"), sample.label("algorithm"));
        *by_algorithm.entry(place).or_default() += sample.count();
    }
    for ((id, _), count) in by_algorithm {
        let organisation = organisations.entry(id.to_owned()).or_default();
        // An organisation that signs twice has each message under both algorithms.
        organisation.signed = organisation.signed.max(count);
    }
    organisations
}

/// What the series of a page say of each of those that one label names.
struct ByLabel<'a, T> {
    page: &'a Page,
    label: &'static str,
    found: BTreeMap<String, T>,
}

impl<'a, T: Default> ByLabel<'a, T> {
    fn new(page: &'a Page, label: &'static str) -> Self {
        Self {
            page,
            label,
            found: BTreeMap::new(),
        }
    }

    /// Takes in every series of this name.
    fn each(&mut self, name: &str, take: fn(&mut T, &Sample)) {
        for sample in self.page.of(name) {
            let one = self.found.entry(sample.label(self.label).to_owned());
            take(one.or_default(), sample);
        }
    }
}

impl KeeperFigures {
    pub(super) fn of(page: &Page) -> Self {
        let mut organisations = ByLabel::<KeyFigures>::new(page, "organisation");
        let mut each = |name, take| organisations.each(name, take);
        each("zegel_key_age_seconds", |keys, sample| {
            keys.keys.push(Key {
                selector: sample.label("selector").to_owned(),
                state: sample.label("state").to_owned(),
                age_seconds: sample.count(),
            });
        });
        each("zegel_key_next_step", |keys, sample| {
            keys.next_steps.push(NextStep {
                selector: sample.label("selector").to_owned(),
                step: sample.label("step").to_owned(),
                domains: sample.count(),
            });
        });
        each("zegel_key_alarm", |keys, sample| {
            keys.alarms
                .push(["domain", "kind"].map(|name| sample.label(name).to_owned()));
        });
        each("zegel_dns_finding", |keys, sample| {
            keys.findings
                .push(["domain", "code"].map(|name| sample.label(name).to_owned()));
        });
        each("zegel_rotation_overdue", |keys, sample| {
            keys.rotation_overdue = sample.count();
        });
        each("zegel_dns_last_check_timestamp_seconds", |keys, sample| {
            keys.last_check = sample.count();
        });
        Self {
            organisations: organisations.found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_signed_twice_counts_once() {
        let text = "zegel_signed_total{organisation=\"een\",selector=\"a\",algorithm=\"rsa-sha256\"} 3\n\
                    zegel_signed_total{organisation=\"een\",selector=\"b\",algorithm=\"rsa-sha256\"} 4\n\
                    zegel_signed_total{organisation=\"een\",selector=\"c\",algorithm=\"ed25519-sha256\"} 6\n\
                    zegel_unsigned_total{organisation=\"een\",reason=\"awaiting_key\"} 1\n\
                    zegel_unsigned_total{organisation=\"een\",reason=\"signing_failure\"} 2\n\
                    zegel_unsigned_total{organisation=\"een\",reason=\"hazard\"} 0\n# EOF\n";
        let figures = Figures::of(&Page::parse(text).unwrap());
        let organisation = &figures.organisations["een"];
        assert_eq!(organisation.signed, 7);
        assert_eq!(organisation.all_unsigned(), 3);
        assert_eq!(organisation.failures(), 2);
        assert_eq!(organisation.reasons(), "signing_failure 2, awaiting_key 1");
        assert_eq!(figures.last_signing_failure, None);
    }
}
