//! What a reload changes, as values; the log has a line of each.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::{self, Display},
    sync::Arc,
    time::Duration,
};

use humantime::format_duration;

use super::{
    database,
    handover::HandoverSettings,
    hooks::HookSettings,
    log::LogSettings,
    reports::{ReportLimits, ReportSettings},
    settings::{
        KeeperSettings, Limits, ListenerSettings, Loaded, Outbound, Resolvers, Settings,
        SigningSettings, Socket,
    },
};
use crate::{
    dkim::{Algorithm, HeaderRules},
    ladder::Thresholds,
    names::{DomainName, OrganisationId},
    organisation::{Action, Organisation, Policy, Senders},
};

/// Something that a reload changes; displayed as its line in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// What changes: a key path such as `limits.idle`, or something of an organisation.
    pub key: String,
    /// None of what was not there.
    pub before: Option<Value>,
    /// None of what is no more.
    pub after: Option<Value>,
    /// When it does.
    pub effect: Effect,
}

/// What a setting was or is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// In the words of the configuration.
    Text(String),
    /// Of these it is said which came and which went.
    Domains(Vec<DomainName>),
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// With the reload that finds it.
    AtOnce,
    /// At the next start of the signer.
    AtStartOfSigner,
    /// At the next start of the keeper.
    AtStartOfKeeper,
    /// In each of the two processes at its next start.
    AtStartOfBoth,
}

/// As `limits.idle: 10m -> 5m` or `domains of a: +b.nl -c.nl`.
impl Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match (&self.before, &self.after) {
            (Some(Value::Domains(before)), Some(Value::Domains(after))) => {
                let (before, after): (BTreeSet<_>, BTreeSet<_>) =
                    (before.iter().collect(), after.iter().collect());
                let added = after.difference(&before).map(|name| format!(" +{name}"));
                let removed = before.difference(&after).map(|name| format!(" -{name}"));
                write!(
                    formatter,
                    "{key}:{}",
                    added.chain(removed).collect::<String>()
                )
            }
            (Some(before), Some(after)) => write!(formatter, "{key}: {before} -> {after}"),
            (Some(Value::Text(before)), None) => write!(formatter, "{key} removed (was {before})"),
            (Some(Value::Domains(_)) | None, None) => write!(formatter, "{key} removed"),
            (None, Some(after)) => write!(formatter, "{key} added: {after}"),
        }
    }
}

impl Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Domains(domains) => formatter.write_str(&list(domains)),
        }
    }
}

/// What differs: the settings in the order of their keys, then the organisations.
pub fn changes(old: &Loaded, new: &Loaded) -> Vec<Change> {
    let (before, after) = (described(&old.settings), described(&new.settings));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let settings = keys.into_iter().filter_map(|key| {
        let (before, after) = (before.get(key), after.get(key));
        let effect = after.or(before)?.effect;
        let text = |setting: &Setting| Value::Text(setting.value.clone());
        change(key.clone(), before.map(text), after.map(text), effect)
    });
    let mut changes = settings.collect();
    organisations(&old.organisations, &new.organisations, &mut changes);
    changes
}

fn change(
    key: String,
    before: Option<Value>,
    after: Option<Value>,
    effect: Effect,
) -> Option<Change> {
    let is_same = match (&before, &after) {
        // Their order says nothing.
        (Some(Value::Domains(before)), Some(Value::Domains(after))) => {
            before.iter().collect::<BTreeSet<_>>() == after.iter().collect()
        }
        _ => before == after,
    };
    (!is_same).then_some(Change {
        key,
        before,
        after,
        effect,
    })
}

/// One key of `zegel.toml`.
pub(super) struct Setting {
    value: String,
    /// When a change of it takes effect.
    effect: Effect,
}

/// Every setting by its key. All patterns below name every field, so that a setting which is
/// added does not compile before it is decided when it takes effect.
pub(super) fn described(settings: &Settings) -> BTreeMap<String, Setting> {
    let Settings {
        keystore_path,
        keystore_mark,
        sealing_keys,
        listeners,
        signing,
        policy,
        limits,
        http,
        organisation_series,
        http_page,
        log: LogSettings { format, filter },
        keeper,
        handover,
        hooks: HookSettings { command, timeout },
        reports,
        dmarc,
        database,
    } = settings;
    let mut described = Described::default();
    let mut both = |key, value: &dyn Display| described.add(key, Effect::AtStartOfBoth, value);
    both("keystore.path", &keystore_path.display());
    match keystore_mark {
        Some(mark) => both("keystore.mark", &mark.display()),
        None => both("keystore.mark", &"beside the keystore"),
    }
    both("http.organisations", organisation_series);
    both("log.format", format);
    both("log.filter", filter);
    let files: Vec<_> = sealing_keys.iter().map(|file| file.display()).collect();
    described.add("keystore.sealing_keys", Effect::AtOnce, list(&files));
    described.add("http.listen", Effect::AtStartOfSigner, http);
    described.add("http.page", Effect::AtStartOfSigner, http_page);
    for listener in listeners {
        described.add_listener(listener);
    }
    described.add_signing(signing);
    for (key, action) in actions(*policy) {
        described.add(format!("policy.{key}"), Effect::AtOnce, action);
    }
    described.add_limits(limits);
    described.add_keeper(keeper);
    described.add_handover(handover);
    described.add("hooks.command", Effect::AtOnce, list(command));
    described.add("hooks.timeout", Effect::AtOnce, format_duration(*timeout));
    described.add_reports(reports);
    described.add_dmarc(dmarc);
    let database = database::described(database.as_ref());
    described.add("database", Effect::AtStartOfKeeper, database);
    described.0
}

#[derive(Default)]
struct Described(BTreeMap<String, Setting>);

impl Described {
    fn add(&mut self, key: impl Into<String>, effect: Effect, value: impl Display) {
        let value = value.to_string();
        self.0.insert(key.into(), Setting { value, effect });
    }

    /// They are read by each command anew, and by nothing that runs.
    fn add_reports(&mut self, reports: &ReportSettings) {
        let ReportSettings {
            state,
            maildir,
            address,
            authserv_id,
            keep,
            keep_addresses,
            keep_refused,
            limits,
        } = reports;
        let days = |kept: Duration| format!("{}d", kept.as_secs() / 86_400);
        let mut add = |key: &str, value: &dyn Display| {
            self.add(format!("reports.{key}"), Effect::AtOnce, value);
        };
        add("state", &state.display());
        match maildir {
            Some(path) => add("maildir", &path.display()),
            None => add("maildir", &"none"),
        }
        for (key, value) in [("address", address), ("authserv_id", authserv_id)] {
            match value {
                Some(value) => add(key, value),
                None => add(key, &"none"),
            }
        }
        add("keep", &days(*keep));
        add("keep_addresses", &days(*keep_addresses));
        add("keep_refused", &days(*keep_refused));
        let ReportLimits {
            message,
            expanded,
            records,
            entries,
            nesting,
        } = limits;
        add("limits.message", message);
        add("limits.expanded", expanded);
        add("limits.records", records);
        add("limits.entries", entries);
        add("limits.nesting", nesting);
    }

    fn add_dmarc(&mut self, thresholds: &Thresholds) {
        let Thresholds {
            none_days,
            quarantine_test_days,
            quarantine_days,
            reject_test_days,
            reporters,
            unknown_messages,
            unknown_share,
            aligned_share,
            spf_only_share,
            list_messages,
            failed_messages,
            failed_share,
            replay_factor,
            replay_messages,
            confirm,
        } = thresholds;
        let values: [(&str, &dyn Display); 15] = [
            ("none_days", none_days),
            ("quarantine_test_days", quarantine_test_days),
            ("quarantine_days", quarantine_days),
            ("reject_test_days", reject_test_days),
            ("reporters", reporters),
            ("unknown_messages", unknown_messages),
            ("unknown_share", unknown_share),
            ("aligned_share", aligned_share),
            ("spf_only_share", spf_only_share),
            ("list_messages", list_messages),
            ("failed_messages", failed_messages),
            ("failed_share", failed_share),
            ("replay_factor", replay_factor),
            ("replay_messages", replay_messages),
            ("confirm", confirm),
        ];
        for (key, value) in values {
            self.add(format!("dmarc.{key}"), Effect::AtOnce, value);
        }
    }

    fn add_handover(&mut self, handover: &HandoverSettings) {
        let HandoverSettings {
            spf,
            rua,
            sender,
            contact,
            note,
            zone,
            name_servers,
        } = handover;
        for (key, value) in [
            ("spf", spf),
            ("rua", rua),
            ("sender", sender),
            ("contact", contact),
            ("note", note),
        ] {
            if let Some(value) = value {
                self.add(format!("handover.{key}"), Effect::AtOnce, value);
            }
        }
        if let Some(zone) = zone {
            self.add("handover.zone", Effect::AtOnce, zone);
        }
        if !name_servers.is_empty() {
            self.add("handover.name_servers", Effect::AtOnce, list(name_servers));
        }
    }

    fn add_listener(&mut self, listener: &ListenerSettings) {
        let ListenerSettings {
            name,
            socket,
            allow_users,
            outbound,
            observe,
        } = listener;
        let mut add = |part: &str, value: &dyn Display| {
            self.add(
                format!("listener {name} {part}"),
                Effect::AtStartOfSigner,
                value,
            );
        };
        add("socket", socket);
        if let Socket::Unix {
            path: _,
            mode,
            group,
        } = socket
        {
            add("mode", &format!("{mode:04o}"));
            add("group", &group.as_deref().unwrap_or("that of the process"));
        }
        if let Some(users) = allow_users {
            add("allow_users", &list(users));
        }
        match outbound {
            Outbound::All => add("outbound", &"all"),
            Outbound::Rule {
                authenticated,
                networks,
                without_address,
            } => {
                let networks = list(networks);
                let mut rule = format!("authenticated {authenticated}, networks {networks}");
                if *without_address {
                    rule.push_str(", without_address true");
                }
                add("outbound", &rule);
            }
        }
        if *observe {
            add("observe", &true);
        }
    }

    fn add_signing(&mut self, signing: &SigningSettings) {
        let SigningSettings {
            canonicalisation,
            expire,
            headers:
                HeaderRules {
                    sign,
                    oversign,
                    oversign_if_present,
                },
        } = signing;
        let mut add = |key: &str, value: &dyn Display| {
            self.add(format!("signing.{key}"), Effect::AtOnce, value);
        };
        add("canonicalization", canonicalisation);
        match expire {
            Some(expire) => add("expire", &format_duration(*expire)),
            None => add("expire", &"off"),
        }
        add("headers.sign", &list(sign));
        add("headers.oversign", &list(oversign));
        add("headers.oversign_if_present", &list(oversign_if_present));
    }

    fn add_limits(&mut self, limits: &Limits) {
        let Limits {
            connections,
            idle,
            message,
            header_bytes,
            header_fields,
            header_memory,
            commands,
            command_bytes,
        } = limits;
        let mut add = |key: &str, value: &dyn Display| {
            self.add(format!("limits.{key}"), Effect::AtOnce, value);
        };
        add("connections", connections);
        add("idle", &format_duration(*idle));
        add("message", &format_duration(*message));
        add("header_bytes", header_bytes);
        add("header_fields", header_fields);
        add("header_memory", header_memory);
        add("commands", commands);
        add("command_bytes", command_bytes);
    }

    fn add_keeper(&mut self, keeper: &KeeperSettings) {
        let KeeperSettings {
            resolvers,
            local_servers,
            private_servers,
            check_every,
            rotate_every,
            lead_time,
            settle,
            drain,
            retire_grace,
            relay_addresses,
            http,
            lead,
            signers,
        } = keeper;
        self.add("keeper.lead", Effect::AtStartOfKeeper, lead);
        self.add("keeper.http", Effect::AtStartOfKeeper, http);
        self.add("keeper.signers", Effect::AtStartOfKeeper, signers);
        let mut add = |key: &str, value: &dyn Display| {
            self.add(format!("keeper.{key}"), Effect::AtOnce, value);
        };
        match resolvers {
            Resolvers::System => add("resolvers", &"system"),
            Resolvers::Addresses(addresses) => add("resolvers", &list(addresses)),
        }
        add("local_servers", local_servers);
        add("private_servers", private_servers);
        for (key, duration) in [
            ("check_every", check_every),
            ("rotate_every", rotate_every),
            ("lead_time", lead_time),
            ("settle", settle),
            ("drain", drain),
            ("retire_grace", retire_grace),
        ] {
            add(key, &format_duration(*duration));
        }
        add("relay_addresses", &list(relay_addresses));
    }
}

fn actions(policy: Policy) -> [(&'static str, Action); 8] {
    let Policy {
        unknown_domain,
        bad_from,
        unauthorised_sender,
        suspended,
        awaiting_key,
        parked_domain,
        signing_failure,
        hazard,
    } = policy;
    [
        ("unknown_domain", unknown_domain),
        ("bad_from", bad_from),
        ("unauthorised_sender", unauthorised_sender),
        ("suspended", suspended),
        ("awaiting_key", awaiting_key),
        ("parked_domain", parked_domain),
        ("signing_failure", signing_failure),
        ("hazard", hazard),
    ]
}

fn list<T: Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".into();
    }
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    words.join(" ")
}

fn organisations(old: &[Arc<Organisation>], new: &[Arc<Organisation>], changes: &mut Vec<Change>) {
    let (old, new) = without_common_ends(old, new);
    let (before, after) = (by_id(old), by_id(new));
    let domains = |one: &Organisation| Some(Value::Domains(one.domains.clone()));
    let mut add = |key, before, after| changes.extend(change(key, before, after, Effect::AtOnce));
    for gone in old.iter().filter(|one| !after.contains_key(&one.id)) {
        add(format!("organisation {}", gone.id), domains(gone), None);
    }
    for organisation in new {
        let id = &organisation.id;
        let Some(before) = before.get(id) else {
            add(format!("organisation {id}"), None, domains(organisation));
            continue;
        };
        if Arc::ptr_eq(before, organisation) || *before == organisation {
            continue;
        }
        let pairs = described_organisation(before)
            .into_iter()
            .zip(described_organisation(organisation));
        for ((what, before), (_, after)) in pairs {
            add(format!("{what} of {id}"), Some(before), Some(after));
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
    organisations
        .iter()
        .map(|organisation| (&organisation.id, organisation))
        .collect()
}

/// All that an organisation's file says.
fn described_organisation(organisation: &Organisation) -> Vec<(String, Value)> {
    let Organisation {
        id: _,
        name,
        domains,
        parked,
        incoming,
        contact,
        language,
        selector,
        algorithms,
        senders,
        delegations,
        policy,
    } = organisation;
    let algorithms: Vec<&str> = algorithms.iter().copied().map(Algorithm::as_str).collect();
    // The zone that they lead to is a setting of its own.
    let ways = delegations.ways.iter();
    let delegated: Vec<String> = ways
        .map(|(domain, way)| format!("{domain} {way}"))
        .collect();
    let senders = match senders {
        None => "any outbound mail".to_owned(),
        Some(Senders {
            auth,
            networks,
            listeners,
        }) => {
            let (auth, networks, listeners) = (list(auth), list(networks), list(listeners));
            format!("logins {auth}, networks {networks}, listeners {listeners}")
        }
    };
    let texts = [
        ("name", name.clone()),
        ("contact", contact.as_deref().unwrap_or("none").to_owned()),
        ("language", language.to_string()),
        ("selector", selector.to_string()),
        ("algorithms", list(&algorithms)),
        ("senders", senders),
        ("delegation", list(&delegated)),
    ];
    let mut described = vec![
        ("domains".to_owned(), Value::Domains(domains.clone())),
        ("parked".to_owned(), Value::Domains(parked.clone())),
        ("incoming".to_owned(), Value::Domains(incoming.clone())),
    ];
    described.extend(texts.map(|(what, text)| (what.to_owned(), Value::Text(text))));
    described.extend(
        actions(*policy)
            .map(|(key, action)| (format!("policy.{key}"), Value::Text(action.to_string()))),
    );
    described
}
