//! What a reload changes, for the log.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Display,
    sync::Arc,
};

use humantime::format_duration;

use super::settings::{KeeperSettings, Loaded, LogFormat, Outbound, Resolvers, Settings, Socket};
use crate::{
    dkim::{Algorithm, HeaderRules},
    names::{DomainName, OrganisationId},
    organisation::{Action, Organisation, Policy, Senders},
};

/// Keys, or beginnings of keys, that a running process cannot change.
const FIXED: [&str; 5] = ["keystore.path", "listener", "http.", "log.", "keeper.http"];

/// What differs, one line each: settings as `limits.idle: 10m -> 5m`, then organisations.
pub fn diff(old: &Loaded, new: &Loaded) -> Vec<String> {
    let mut lines: Vec<String> = changed(&old.settings, &new.settings)
        .into_iter()
        .map(|change| change.line)
        .collect();
    organisations(old, new, &mut lines);
    lines
}

/// The changes that take effect only after a restart, one line each; empty when the new
/// configuration can be used as it is.
pub fn needs_restart(old: &Loaded, new: &Loaded) -> Vec<String> {
    changed(&old.settings, &new.settings)
        .into_iter()
        .filter(|change| FIXED.iter().any(|fixed| change.key.starts_with(fixed)))
        .map(|change| change.line)
        .collect()
}

struct Change {
    key: String,
    line: String,
}

fn changed(old: &Settings, new: &Settings) -> Vec<Change> {
    let (old, new) = (described(old), described(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |key: &String| {
        let line = match (old.get(key), new.get(key)) {
            (Some(before), Some(after)) if before == after => return None,
            (Some(before), Some(after)) => format!("{key}: {before} -> {after}"),
            (Some(before), None) => format!("{key} removed (was {before})"),
            (None, Some(after)) => format!("{key} added: {after}"),
            (None, None) => return None,
        };
        let key = key.clone();
        Some(Change { key, line })
    };
    keys.into_iter().filter_map(change).collect()
}

/// Every setting by its key.
fn described(settings: &Settings) -> BTreeMap<String, String> {
    let limits = &settings.limits;
    let signing = &settings.signing;
    let expire = signing
        .expire
        .map_or("off".into(), |expire| format_duration(expire).to_string());
    let canonicalization = signing.canonicalisation.to_string();
    let format = match settings.log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let plain = [
        (
            "keystore.path",
            settings.keystore_path.display().to_string(),
        ),
        ("signing.canonicalization", canonicalization),
        ("signing.expire", expire),
        ("limits.connections", limits.connections.to_string()),
        ("limits.idle", format_duration(limits.idle).to_string()),
        (
            "limits.message",
            format_duration(limits.message).to_string(),
        ),
        ("limits.header_bytes", limits.header_bytes.to_string()),
        ("limits.header_fields", limits.header_fields.to_string()),
        ("limits.commands", limits.commands.to_string()),
        ("limits.command_bytes", limits.command_bytes.to_string()),
        ("http.listen", settings.http.to_string()),
        (
            "http.organisations",
            settings.organisation_series.to_string(),
        ),
        ("http.page", settings.http_page.to_string()),
        ("log.format", format.into()),
        ("log.filter", settings.log.filter.clone()),
    ];
    let all = plain.into_iter().chain(describe_keeper(&settings.keeper));
    let mut described: BTreeMap<String, String> =
        all.map(|(key, value)| (key.to_owned(), value)).collect();
    describe_listeners(settings, &mut described);
    describe_headers(&signing.headers, &mut described);
    for (key, action) in actions(settings.policy) {
        described.insert(format!("policy.{key}"), word(action).into());
    }
    described
}

fn describe_keeper(keeper: &KeeperSettings) -> [(&'static str, String); 8] {
    let resolvers = match &keeper.resolvers {
        Resolvers::System => "system".into(),
        Resolvers::Addresses(addresses) => list(addresses),
    };
    [
        ("keeper.resolvers", resolvers),
        (
            "keeper.check_every",
            format_duration(keeper.check_every).to_string(),
        ),
        (
            "keeper.rotate_every",
            format_duration(keeper.rotate_every).to_string(),
        ),
        (
            "keeper.lead_time",
            format_duration(keeper.lead_time).to_string(),
        ),
        ("keeper.settle", format_duration(keeper.settle).to_string()),
        ("keeper.drain", format_duration(keeper.drain).to_string()),
        ("keeper.relay_addresses", list(&keeper.relay_addresses)),
        ("keeper.http", keeper.http.to_string()),
    ]
}

fn describe_listeners(settings: &Settings, described: &mut BTreeMap<String, String>) {
    for listener in &settings.listeners {
        let key = |part| format!("listener {} {part}", listener.name);
        described.insert(key("socket"), listener.socket.to_string());
        if let Socket::Unix { mode, group, .. } = &listener.socket {
            described.insert(key("mode"), format!("{mode:04o}"));
            let group = group
                .clone()
                .unwrap_or_else(|| "that of the process".into());
            described.insert(key("group"), group);
        }
        if let Some(users) = &listener.allow_users {
            described.insert(key("allow_users"), list(users));
        }
        let outbound = match &listener.outbound {
            Outbound::All => "all".into(),
            Outbound::Rule {
                authenticated,
                networks,
            } => format!("authenticated {authenticated}, networks {}", list(networks)),
        };
        described.insert(key("outbound"), outbound);
        if listener.observe {
            described.insert(key("observe"), "true".into());
        }
    }
}

fn describe_headers(headers: &HeaderRules, described: &mut BTreeMap<String, String>) {
    for (key, names) in [
        ("sign", &headers.sign),
        ("oversign", &headers.oversign),
        ("oversign_if_present", &headers.oversign_if_present),
    ] {
        described.insert(format!("signing.headers.{key}"), list(names));
    }
}

fn actions(policy: Policy) -> [(&'static str, Action); 7] {
    [
        ("unknown_domain", policy.unknown_domain),
        ("bad_from", policy.bad_from),
        ("unauthorised_sender", policy.unauthorised_sender),
        ("awaiting_key", policy.awaiting_key),
        ("parked_domain", policy.parked_domain),
        ("signing_failure", policy.signing_failure),
        ("hazard", policy.hazard),
    ]
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Accept => "accept",
        Action::Tempfail => "tempfail",
        Action::Reject => "reject",
    }
}

fn list<T: Display>(items: &[T]) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    if words.is_empty() {
        "none".into()
    } else {
        words.join(" ")
    }
}

fn organisations(old: &Loaded, new: &Loaded, lines: &mut Vec<String>) {
    let (old, new) = without_common_ends(&old.organisations, &new.organisations);
    let (before, after) = (by_id(old), by_id(new));
    for organisation in old {
        if !after.contains_key(&organisation.id) {
            lines.push(format!("organisation {} removed", organisation.id));
        }
    }
    for organisation in new {
        match before.get(&organisation.id) {
            None => lines.push(format!(
                "organisation {} added: {}",
                organisation.id,
                list(&organisation.domains)
            )),
            Some(before) => compare(before, organisation, lines),
        }
    }
}

/// With one organisation changed among 100,000 only that one is left.
fn without_common_ends<'a>(
    mut old: &'a [Arc<Organisation>],
    mut new: &'a [Arc<Organisation>],
) -> (&'a [Arc<Organisation>], &'a [Arc<Organisation>]) {
    while let ([first, old_rest @ ..], [second, new_rest @ ..]) = (old, new)
        && Arc::ptr_eq(first, second)
    {
        (old, new) = (old_rest, new_rest);
    }
    while let ([old_rest @ .., first], [new_rest @ .., second]) = (old, new)
        && Arc::ptr_eq(first, second)
    {
        (old, new) = (old_rest, new_rest);
    }
    (old, new)
}

fn by_id(organisations: &[Arc<Organisation>]) -> HashMap<&OrganisationId, &Arc<Organisation>> {
    let organisations = organisations.iter();
    organisations
        .map(|organisation| (&organisation.id, organisation))
        .collect()
}

fn compare(old: &Arc<Organisation>, new: &Arc<Organisation>, lines: &mut Vec<String>) {
    if Arc::ptr_eq(old, new) || old == new {
        return;
    }
    let id = &new.id;
    for (what, before, after) in [
        ("domains", &old.domains, &new.domains),
        ("parked", &old.parked, &new.parked),
    ] {
        let change = set_change(before, after);
        if !change.is_empty() {
            lines.push(format!("{what} of {id}: {change}"));
        }
    }
    let contact = |organisation: &Organisation| {
        let contact = organisation.contact.as_deref();
        contact.unwrap_or("none").to_owned()
    };
    let algorithms = |organisation: &Organisation| {
        let words = organisation
            .algorithms
            .iter()
            .copied()
            .map(Algorithm::as_str);
        list(&words.collect::<Vec<_>>())
    };
    for (what, before, after) in [
        ("name", old.name.clone(), new.name.clone()),
        ("contact", contact(old), contact(new)),
        (
            "selector",
            old.selector.to_string(),
            new.selector.to_string(),
        ),
        ("algorithms", algorithms(old), algorithms(new)),
        (
            "senders",
            senders(old.senders.as_ref()),
            senders(new.senders.as_ref()),
        ),
    ] {
        if before != after {
            lines.push(format!("{what} of {id}: {before} -> {after}"));
        }
    }
    for ((key, before), (_, after)) in actions(old.policy).into_iter().zip(actions(new.policy)) {
        if before != after {
            lines.push(format!(
                "policy.{key} of {id}: {} -> {}",
                word(before),
                word(after)
            ));
        }
    }
}

/// `+a.nl -b.nl`; empty when only the order differs.
fn set_change(before: &[DomainName], after: &[DomainName]) -> String {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) =
        (before.iter().collect(), after.iter().collect());
    let added = after.difference(&before).map(|domain| format!("+{domain}"));
    let removed = before.difference(&after).map(|domain| format!("-{domain}"));
    added.chain(removed).collect::<Vec<_>>().join(" ")
}

fn senders(senders: Option<&Senders>) -> String {
    senders.map_or("any outbound mail".into(), |senders| {
        format!(
            "logins {}, networks {}, listeners {}",
            list(&senders.auth),
            list(&senders.networks),
            list(&senders.listeners)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AllowedUser, ListenerSettings, Outbound};

    fn loaded(change: impl FnOnce(&mut Loaded)) -> Loaded {
        let organisation = |id: &str, domain: &str| {
            let id = id.parse().unwrap();
            Arc::new(Organisation {
                name: "Voorbeeld".into(),
                domains: vec![domain.parse().unwrap()],
                parked: Vec::new(),
                contact: None,
                selector: crate::organisation::SelectorTemplate::new("{org}", &id).unwrap(),
                algorithms: vec![Algorithm::RsaSha256],
                senders: None,
                policy: Policy::default(),
                id,
            })
        };
        let mut loaded = Loaded {
            settings: Settings::default(),
            organisations: vec![organisation("a", "a.nl"), organisation("b", "b.nl")],
            warnings: Vec::new(),
        };
        change(&mut loaded);
        loaded
    }

    #[test]
    fn nothing_changed() {
        let same = loaded(|_| {});
        assert!(diff(&same, &same).is_empty());
        assert!(needs_restart(&same, &same).is_empty());
    }

    #[test]
    fn each_change_has_its_line() {
        let old = loaded(|_| {});
        let new = loaded(|loaded| {
            loaded.settings.limits.idle = std::time::Duration::from_mins(5);
            loaded.settings.policy.hazard = Action::Reject;
            let [first, second] = &mut loaded.organisations[..] else {
                panic!("two organisations")
            };
            let first = Arc::make_mut(first);
            first.domains = vec!["c.nl".parse().unwrap()];
            first.senders = Some(Senders::default());
            Arc::make_mut(second).id = "x".parse().unwrap();
        });
        let expected = [
            "limits.idle: 2h 10s -> 5m",
            "policy.hazard: accept -> reject",
            "organisation b removed",
            "domains of a: +c.nl -a.nl",
            "senders of a: any outbound mail -> logins none, networks none, listeners none",
            "organisation x added: b.nl",
        ];
        assert_eq!(diff(&old, &new), expected);
        assert!(needs_restart(&old, &new).is_empty());
    }

    #[test]
    fn what_needs_a_restart() {
        let old = loaded(|_| {});
        let new = loaded(|loaded| {
            loaded.settings.keystore_path = "/keys".into();
            loaded.settings.listeners.push(ListenerSettings {
                name: "news".into(),
                socket: Socket::Inherited("news".into()),
                allow_users: Some(vec![AllowedUser {
                    name: "postfix".into(),
                    number: 101,
                }]),
                outbound: Outbound::All,
                observe: true,
            });
            loaded.settings.log.filter = "debug".into();
            loaded.settings.log.format = LogFormat::Json;
        });
        let expected = [
            "keystore.path: /var/lib/zegel/keys -> /keys",
            "listener news allow_users added: postfix (101)",
            "listener news observe added: true",
            "listener news outbound added: all",
            "listener news socket added: fd:news",
            "log.filter: info -> debug",
            "log.format: text -> json",
        ];
        assert_eq!(needs_restart(&old, &new), expected);
    }
}
