//! `delegation` of an organisation: whose keys are in a zone of the operator.

use super::Surroundings;
use crate::{
    config::{
        problem::{Fault, Report},
        section::{quoted, word, wrong_kind},
        source::{Node, Value},
    },
    keys::{Delegations, Way},
    names::DomainName,
};

/// A word for all domains that the organisation sends from, or a table with words for some.
pub(super) fn read(
    node: Node,
    domains: &[&DomainName],
    surroundings: &Surroundings,
    report: &Report,
) -> Delegations {
    let mut delegations = Delegations::default();
    match node.value {
        Value::Table(entries) => {
            for (name, node) in entries {
                let read = known(&name, domains).and_then(|domain| Ok((domain, way(&node)?)));
                match read {
                    Ok((domain, Some(way))) => {
                        delegations.ways.insert(domain, way);
                    }
                    Ok((_, None)) => {}
                    Err(fault) => report.problem(&node.site, fault),
                }
            }
        }
        Value::Text(_) => match way(&node) {
            Ok(Some(way)) => {
                let ways = domains.iter().map(|domain| ((*domain).clone(), way));
                delegations.ways.extend(ways);
            }
            Ok(None) => {}
            Err(fault) => report.problem(&node.site, fault),
        },
        _ => {
            let advice = "write delegation = \"dname\", or by domain: delegation = { \
                          \"voorbeeld.nl\" = \"cname\" }";
            let fault = wrong_kind(&node, "a word in quotes or a table", advice);
            report.problem(&node.site, fault);
        }
    }
    if !delegations.ways.is_empty() {
        delegations.zone.clone_from(&surroundings.zone);
        delegations
            .name_servers
            .clone_from(&surroundings.name_servers);
    }
    delegations
}

fn way(node: &Node) -> Result<Option<Way>, Fault> {
    const CHOICES: [(&str, Option<Way>); 4] = [
        (Way::Cname.as_str(), Some(Way::Cname)),
        (Way::Dname.as_str(), Some(Way::Dname)),
        (Way::Ns.as_str(), Some(Way::Ns)),
        ("none", None),
    ];
    word(node, &CHOICES)
}

/// The domain, if the organisation sends from it.
fn known(name: &str, domains: &[&DomainName]) -> Result<DomainName, Fault> {
    let domain = name.trim().parse::<DomainName>().ok();
    let domain = domain.filter(|one| domains.contains(&one));
    domain.ok_or_else(|| {
        let text = format!("{} is none of its domains", quoted(name));
        let advice = "name one of domains, or take it out: parked ones have no keys, and need no \
                      delegation";
        Fault::new(text, advice)
    })
}
