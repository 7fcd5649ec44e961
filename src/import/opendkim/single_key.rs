//! `Domain`, `Selector` and `KeyFile`: one key for everything.

use super::configuration::Configuration;
use crate::{
    import::{
        files::Files,
        finding::{Code, Finding},
        setup::{KeySource, Setup, Signing},
    },
    names::{DomainName, Selector},
};

pub(super) fn read(configuration: &Configuration, files: &dyn Files, setup: &mut Setup) {
    let get = |name| configuration.get(name);
    let (Some(domains), Some(selector), Some(key)) =
        (get("Domain"), get("Selector"), get("KeyFile"))
    else {
        let found = "there is neither a SigningTable, nor Domain, Selector and KeyFile together";
        let done = "there is nothing to take over; is this the configuration that signs?";
        setup
            .findings
            .push(Finding::new(Code::SignsNothing, found, done));
        return;
    };
    let name = selector.value.parse::<Selector>();
    if name.is_err() {
        setup.findings.push(Finding::at(
            Code::BadSelector,
            &selector.place,
            format!("{:?} is no selector (RFC 6376 §3.1)", selector.value),
            "the key was not taken over; make a new one with `zegel key generate`",
        ));
    }
    let Some(set) = super::entries(domains, configuration, files, &mut setup.findings) else {
        return;
    };
    for entry in set.entries {
        let Ok(domain) = entry.key.parse::<DomainName>() else {
            setup.findings.push(Finding::at(
                Code::BadDomain,
                &entry.place,
                format!("{:?} is no domain name", entry.key),
                "it was left out; name every domain in full in a file of orgs.d",
            ));
            continue;
        };
        if configuration.is_on("SubDomains") {
            setup
                .findings
                .push(subdomains(&entry.place, domain.as_str()));
        }
        let Ok(name) = &name else {
            setup.keyless.push(domain);
            continue;
        };
        setup.signings.push(Signing {
            author: domain.clone(),
            signer: domain,
            selector: name.clone(),
            key: KeySource::File(configuration.path(&key.value)),
            in_use: true,
            place: entry.place,
        });
    }
}

fn subdomains(place: &crate::import::Place, domain: &str) -> Finding {
    Finding::at(
        Code::Subdomains,
        place,
        format!("SubDomains is on: mail of every subdomain of {domain} is signed as {domain}"),
        format!(
            "only {domain} itself was taken over; add each subdomain that sends to `domains`, \
             and have the record of its key published below it"
        ),
    )
}
