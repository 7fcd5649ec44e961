//! One file of `orgs.d/`: from its tree to an organisation.

use std::{collections::HashMap, path::Path};

use super::{
    problem::{Fault, Report, Site},
    section::{List, Section, distance, domain, network, owned_text, quoted, text, word},
    settings_file::read_policy,
    source::{Node, Value},
};
use crate::{
    dkim::key::Algorithm,
    names::{DomainName, OrganisationId},
    organisation::{Organisation, Policy, SelectorTemplate, Senders, TemplateError},
};

/// The longest domain name in its text form (RFC 1035 §2.3.4).
const DOMAIN_OCTETS: usize = 253;

/// What an organisation is read against.
pub(super) struct Surroundings<'a> {
    /// The policy of `zegel.toml`.
    pub(super) policy: Policy,
    /// The names of the listeners; none when `zegel.toml` could not be read.
    pub(super) listeners: Option<Vec<&'a str>>,
    pub(super) report: &'a Report,
}

/// Where each domain that was read so far stands.
pub(super) type Domains = HashMap<DomainName, Site>;

/// The id that a file gives its organisation.
pub(super) fn id(file: &Path) -> Result<OrganisationId, Fault> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem.parse().map_err(|error| {
        Fault::new(
            format!("{} is no id for an organisation: {error}", quoted(&stem)),
            "rename the file: a to z, 0 to 9 and -, at most 40 of them, then .toml",
        )
    })
}

/// Reads the tree of an organisation. What is wrong is reported; nothing only when it
/// cannot have selectors.
pub(super) fn read(
    root: Node,
    id: OrganisationId,
    surroundings: &Surroundings<'_>,
    taken: &mut Domains,
) -> Option<Organisation> {
    let mut section = Section::new(root, surroundings.report);
    let name = section.read("name", owned_text);
    let nothing = |key| section.length(key).is_none_or(|length| length == 0);
    if nothing("domains") && nothing("parked") {
        let advice = "name each From domain: domains = [\"voorbeeld.nl\"]";
        let fault = Fault::new("the organisation has no domains", advice);
        surroundings
            .report
            .problem(&section.site_of("domains"), fault);
    }
    let domains = section.list("domains", domain);
    let parked = section.list("parked", domain);
    let contact = section.read("contact", contact);
    let selector = read_selector(&mut section, &id, domains.as_ref());
    let algorithms = read_algorithms(&mut section);
    let senders = section.take("senders");
    let senders = senders.map(|node| read_senders(node, surroundings));
    let policy = read_policy(section.section("policy"), surroundings.policy);
    section.finish();
    Some(Organisation {
        name: name.unwrap_or_else(|| id.to_string()),
        domains: claim(domains, taken, surroundings.report),
        parked: claim(parked, taken, surroundings.report),
        contact,
        selector: selector?,
        algorithms,
        senders,
        policy,
        id,
    })
}

/// Takes the domains for this organisation; what is taken already is reported with both
/// places.
fn claim(list: Option<List<DomainName>>, taken: &mut Domains, report: &Report) -> Vec<DomainName> {
    let items = list.map(|list| list.items).unwrap_or_default();
    let mut domains = Vec::with_capacity(items.len());
    for (domain, site) in items {
        if let Some(first) = taken.get(&domain) {
            let text = format!("{domain} is also in {} of {first}", first.key);
            let advice = "take it out of one of the two: a domain belongs to one organisation, \
                          and is either sent from or parked";
            report.problem(&site, Fault::new(text, advice));
        } else {
            taken.insert(domain.clone(), site);
        }
        domains.push(domain);
    }
    domains
}

fn contact(node: &Node) -> Result<String, Fault> {
    let text = text(node)?;
    let valid = text.rsplit_once('@').is_some_and(|(local, domain)| {
        let unfit = |letter: char| letter.is_whitespace() || "<>,;".contains(letter);
        !local.is_empty() && !local.contains(unfit) && domain.parse::<DomainName>().is_ok()
    });
    if valid {
        Ok(text.to_owned())
    } else {
        let what = format!("{} is no mail address", quoted(text));
        Err(Fault::new(what, "write one such as dns@voorbeeld.nl"))
    }
}

fn read_selector(
    section: &mut Section<'_>,
    id: &OrganisationId,
    domains: Option<&List<DomainName>>,
) -> Option<SelectorTemplate> {
    const ADVICE: &str = "write letters, digits and hyphens with {org}, {year} and {half}, \
                          such as {org}-{year}{half}, which is the default";
    let site = section.site_of("selector");
    let report = section.report;
    let written = section.written("selector").is_some();
    let template = section.read("selector", owned_text);
    if written && template.is_none() {
        return None;
    }
    let template = template.as_deref().unwrap_or(SelectorTemplate::DEFAULT);
    let bind = |error: TemplateError| {
        let text = format!("{} is no template for selectors: {error}", quoted(template));
        report.problem(&site, Fault::new(text, ADVICE));
    };
    let selector = SelectorTemplate::new(template, id).map_err(bind).ok()?;
    // On every date it is as long as on this one.
    let sample = selector.render(jiff::civil::date(2026, 1, 1));
    for (domain, site) in domains.iter().flat_map(|list| &list.items) {
        // Room for the "-999" of a further key.
        if sample.record_name(domain).len() + "-999".len() > DOMAIN_OCTETS {
            let text = "with the selector before it, this name is too long for the DNS";
            report.problem(site, Fault::new(text, "choose a shorter selector"));
        }
    }
    Some(selector)
}

fn read_algorithms(section: &mut Section<'_>) -> Vec<Algorithm> {
    let algorithms = [Algorithm::RsaSha256, Algorithm::Ed25519Sha256];
    let choices = algorithms.map(|algorithm| (algorithm.as_str(), algorithm));
    let list = section.list("algorithms", |node| {
        if matches!(&node.value, Value::Text(text) if text == "rsa-sha1") {
            let advice = "write rsa-sha256: SHA-1 is no longer accepted (RFC 8301 §3.1)";
            return Err(Fault::new("rsa-sha1 must not be used", advice));
        }
        word(node, &choices)
    });
    let Some(list) = list else {
        return vec![Algorithm::RsaSha256];
    };
    if list.empty {
        let fault = Fault::new(
            "there is no algorithm",
            "write algorithms = [\"rsa-sha256\"]",
        );
        section.report.problem(&list.site, fault);
    }
    let mut seen = Vec::new();
    for (algorithm, site) in &list.items {
        if seen.contains(algorithm) {
            let text = format!("{} is named more than once", algorithm.as_str());
            section
                .report
                .problem(site, Fault::new(text, "name it once"));
        } else {
            seen.push(*algorithm);
        }
    }
    list.into_values()
}

fn read_senders(node: Node, surroundings: &Surroundings<'_>) -> Senders {
    let is_table = matches!(node.value, Value::Table(_));
    let mut section = Section::new(node, surroundings.report);
    let anyone = ["auth", "networks", "listeners"]
        .iter()
        .any(|key| section.length(key).is_some_and(|length| length > 0));
    if is_table && !anyone {
        let text = "by this table nobody may send";
        let advice = "fill in auth, networks or listeners, or take [senders] out: \
                      then any outbound mail may use these domains";
        surroundings
            .report
            .problem(&section.site, Fault::new(text, advice));
    }
    let senders = Senders {
        auth: values(section.list("auth", owned_text)),
        networks: values(section.list("networks", network)),
        listeners: values(section.list("listeners", |node| {
            known_listener(text(node)?, surroundings.listeners.as_deref())
        })),
    };
    section.finish();
    senders
}

fn values<T>(list: Option<List<T>>) -> Vec<T> {
    list.map(List::into_values).unwrap_or_default()
}

fn known_listener(name: &str, listeners: Option<&[&str]>) -> Result<String, Fault> {
    let Some(listeners) = listeners.filter(|names| !names.contains(&name)) else {
        return Ok(name.to_owned());
    };
    let nearest = listeners.iter().min_by_key(|known| distance(name, known));
    let advice = match nearest {
        Some(nearest) if distance(name, nearest) <= 2 => format!("did you mean {nearest}?"),
        _ => format!("zegel.toml has: {}", listeners.join(", ")),
    };
    Err(Fault::new(
        format!("there is no listener {}", quoted(name)),
        advice,
    ))
}
