//! For programs. The shape is in `docs/hand-over.md`; [`VERSION`] changes when something
//! that is there now changes its meaning or goes.

use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use super::{
    delegation::DelegationPack,
    leaving::Farewell,
    pack::{DomainPack, DomainTasks, KeyPack, Pack},
    policy::{PolicyKind, PolicyPack},
    record::{Placement, ResourceRecord},
};
use crate::{
    dkim::{Algorithm, Fingerprint},
    dns::Code,
    keys::{State, Task, Way},
    keystore::KeySighting,
    ladder::{Action, Rung},
    names::{DomainName, OrganisationId, Selector},
};

const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    organisation: Organisation<'a>,
    date: Date,
    delegation: Option<&'a DomainName>,
    domains: Vec<Domain<'a>>,
}

#[derive(Serialize)]
struct Organisation<'a> {
    id: &'a OrganisationId,
    name: &'a str,
    contact: Option<&'a str>,
}

#[derive(Serialize)]
struct Domain<'a> {
    #[serde(rename = "domain")]
    name: &'a DomainName,
    unicode: String,
    parked: bool,
    /// Of a domain that leaves.
    leaving: Option<&'a Farewell>,
    /// Null: it hands its keys over to nobody.
    delegation: Option<Delegation<'a>>,
    keys: Vec<Key<'a>>,
    policies: Vec<Policy<'a>>,
    records: Vec<Record>,
    wildcards: Vec<Record>,
    remove: &'a [String],
}

#[derive(Serialize)]
struct Delegation<'a> {
    way: Way,
    zone: Option<&'a DomainName>,
    task: Task,
    urgent: bool,
    date: Option<Date>,
}

#[derive(Serialize)]
struct Key<'a> {
    selector: &'a Selector,
    algorithm: Algorithm,
    bits: Option<usize>,
    fingerprint: Fingerprint,
    state: State,
    since: Timestamp,
    task: Task,
    urgent: bool,
    date: Option<Date>,
    name: &'a str,
    record: Option<Record>,
    /// What is there instead, and what is wrong with it.
    findings: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    code: &'a str,
    seen: &'a str,
    servers: &'a [String],
}

#[derive(Serialize)]
struct Policy<'a> {
    kind: PolicyKind,
    task: Task,
    name: &'a str,
    /// Null: nobody has looked yet.
    seen: Option<&'a [String]>,
    problem: Option<&'static str>,
    part: Option<&'a str>,
    record: Option<Record>,
    /// Null: no reports tell of it.
    ladder: Option<Ladder<'a>>,
}

#[derive(Serialize)]
struct Ladder<'a> {
    step: Option<Rung>,
    action: Action,
    advised: Rung,
    text: &'a str,
}

#[derive(Serialize)]
struct Record {
    name: String,
    places: Vec<Placement>,
    r#type: &'static str,
    ttl: u32,
    value: String,
    strings: Vec<String>,
    zone_line: String,
}

pub(super) fn render(pack: &Pack) -> String {
    let document = Document {
        version: VERSION,
        organisation: Organisation {
            id: &pack.organisation,
            name: &pack.name,
            contact: pack.contact.as_deref(),
        },
        date: pack.date,
        delegation: pack.delegation.as_ref(),
        domains: pack.domains.iter().map(domain).collect(),
    };
    let mut text = serde_json::to_string_pretty(&document)
        .expect("no map in it has keys other than strings, and nothing in it fails to serialise");
    text.push('\n');
    text
}

fn domain(pack: &DomainPack) -> Domain<'_> {
    let all = |records: &[ResourceRecord]| -> Vec<Record> {
        records.iter().map(|one| record(pack, one)).collect()
    };
    let mut domain = Domain {
        name: &pack.domain,
        unicode: pack.domain.unicode().into_owned(),
        parked: false,
        leaving: pack.farewell.as_ref(),
        delegation: pack.delegation.as_ref().map(delegation),
        keys: Vec::new(),
        policies: Vec::new(),
        records: Vec::new(),
        wildcards: Vec::new(),
        remove: &[],
    };
    match &pack.tasks {
        DomainTasks::Sending {
            keys,
            coming,
            policies,
        } => {
            domain.keys = keys.iter().map(|one| key(pack, one)).collect();
            domain.policies = policies.iter().map(|one| policy(pack, one)).collect();
            domain.records = all(coming);
            let handed = pack.delegation.as_ref().filter(|one| one.is_asked);
            let handed = handed.map_or(&[][..], |one| &one.records);
            domain.records.extend(all(handed));
        }
        DomainTasks::Parked {
            records,
            wildcards,
            remove,
            ..
        } => {
            domain.parked = true;
            domain.records = all(records);
            domain.wildcards = all(wildcards);
            domain.remove = remove;
        }
    }
    domain
}

fn delegation(delegation: &DelegationPack) -> Delegation<'_> {
    Delegation {
        way: delegation.way,
        zone: delegation.zone.as_ref(),
        task: if delegation.is_asked {
            Task::Add
        } else {
            Task::Keep
        },
        urgent: delegation.urgent,
        date: delegation.date,
    }
}

fn key<'a>(domain: &DomainPack, key: &'a KeyPack) -> Key<'a> {
    Key {
        selector: &key.selector,
        algorithm: key.algorithm,
        bits: key.bits,
        fingerprint: key.fingerprint,
        state: key.publication.state,
        since: key.publication.since,
        task: key.task,
        urgent: key.urgent,
        date: key.date,
        name: &key.name,
        record: key.record.as_ref().map(|one| record(domain, one)),
        findings: key.sighting.iter().flat_map(found).collect(),
    }
}

fn found(sighting: &KeySighting) -> impl Iterator<Item = Found<'_>> {
    sighting.findings.iter().map(|one| Found {
        code: &one.code,
        seen: &one.seen,
        servers: &one.servers,
    })
}

fn policy<'a>(domain: &DomainPack, policy: &'a PolicyPack) -> Policy<'a> {
    Policy {
        kind: policy.kind,
        task: policy.task,
        name: &policy.name,
        seen: policy.seen.as_deref(),
        problem: policy.problem.map(Code::as_str),
        part: policy.part.as_deref(),
        record: policy.record.as_ref().map(|one| record(domain, one)),
        ladder: policy.ladder.as_ref().map(|one| Ladder {
            step: one.step,
            action: one.action,
            advised: one.advised,
            text: &one.text,
        }),
    }
}

fn record(domain: &DomainPack, record: &ResourceRecord) -> Record {
    Record {
        name: record.name.clone(),
        places: domain.placements(&record.name),
        r#type: record.data.record_type(),
        ttl: record.ttl,
        value: record.data.value(),
        strings: record.data.strings(),
        zone_line: record.to_string(),
    }
}
