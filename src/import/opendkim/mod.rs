//! `opendkim.conf` (opendkim.conf(5), version 2.11), and the tables that it names.

mod configuration;
mod hosts;
mod options;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use ipnet::IpNet;

use self::configuration::Configuration;
use super::{
    Files,
    finding::{Code, Place},
    headers::HeaderChanges,
    setup::{KeySource, Setup, Signing},
    signing_table::{self, Tables},
    table::{DataSet, Entry},
};
use crate::{
    dkim::{Canonicalisation, CanonicalisationPair},
    names::{DomainName, Selector},
};

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Reads it all.
///
/// # Errors
/// When the configuration itself, or a file that it includes, cannot be read.
pub fn read(file: &Path, files: &dyn Files) -> io::Result<Setup> {
    let mut setup = Setup::default();
    let configuration = Configuration::read(file, files, &mut setup)?;
    options::report(&configuration, &mut setup);
    let mut reader = Reader {
        configuration: &configuration,
        files,
        setup,
    };
    reader.canonicalisation();
    reader.expiry();
    reader.headers();
    reader.hosts();
    if configuration.get("KeyTable").is_some() || configuration.get("SigningTable").is_some() {
        reader.tables();
    } else {
        reader.single_key();
    }
    let mut setup = reader.setup;
    let mode = configuration.get("Mode");
    if mode.is_some_and(|mode| !mode.value.contains('s')) {
        for signing in &mut setup.signings {
            signing.in_use = false;
        }
    }
    Ok(setup)
}

struct Reader<'a> {
    configuration: &'a Configuration,
    files: &'a dyn Files,
    setup: Setup,
}

impl Reader<'_> {
    fn canonicalisation(&mut self) {
        let Some(option) = self.configuration.get("Canonicalization") else {
            return self.setup.say_of_the_whole(
                Code::DroppedOption,
                "Canonicalization is not set, so OpenDKIM signs simple/simple",
                "Zegel signs relaxed/relaxed, which more mail survives; to have it as before, \
                 set canonicalization under [signing] in zegel.toml",
            );
        };
        let word = |text: &str| match text.trim().to_ascii_lowercase().as_str() {
            "simple" => Some(Canonicalisation::Simple),
            "relaxed" => Some(Canonicalisation::Relaxed),
            _ => None,
        };
        // Without a slash it is that of the header.
        let (header, body) = option
            .value
            .split_once('/')
            .unwrap_or((&option.value, "simple"));
        match (word(header), word(body)) {
            (Some(header), Some(body)) => {
                self.setup.hints.canonicalisation = Some(CanonicalisationPair { header, body });
            }
            _ => self.setup.say(
                Code::BadEntry,
                &option.place,
                format!("Canonicalization {:?} is not known", option.value),
                "Zegel signs relaxed/relaxed",
            ),
        }
    }

    fn expiry(&mut self) {
        let Some(option) = self.configuration.get("SignatureTTL") else {
            return;
        };
        match option.value.parse::<u64>() {
            Ok(0) => {}
            Ok(seconds @ 3_600..=31_622_400) => self.setup.hints.expire = Some(seconds),
            _ => self.setup.say(
                Code::UnsupportedOption,
                &option.place,
                format!(
                    "SignatureTTL {:?} is not from an hour to 366 days",
                    option.value
                ),
                "signatures do not expire; if they are to, set expire under [signing] in zegel.toml",
            ),
        }
    }

    /// The entries of the data set that a setting names; none if there is no such setting, or
    /// it cannot be read here.
    fn entries(&mut self, name: &str) -> Option<Vec<Entry>> {
        let setting = self.configuration.get(name)?;
        let set = self
            .configuration
            .data_set(setting, self.files, &mut self.setup)?;
        Some(set.entries)
    }

    /// `SignHeaders`, `OmitHeaders` and `OversignHeaders`.
    fn headers(&mut self) {
        let mut changes = HeaderChanges::default();
        for Entry { key, place, .. } in self.entries("OversignHeaders").unwrap_or_default() {
            changes.oversign(&key, &place, &mut self.setup);
        }
        for Entry { key, place, .. } in self.entries("SignHeaders").unwrap_or_default() {
            match key.strip_prefix('-') {
                _ if key == "*" => {}
                Some(removed) => changes.omit(removed, &place, &mut self.setup),
                None => {
                    let header = key.strip_prefix('+').unwrap_or(&key);
                    changes.sign(header, &place, &mut self.setup);
                }
            }
        }
        for Entry { key, place, .. } in self.entries("OmitHeaders").unwrap_or_default() {
            let header = key.strip_prefix('+').unwrap_or(&key);
            // What is taken off the list of omissions is not by that asked for.
            if !header.starts_with(['*', '-', '.']) {
                changes.omit(header, &place, &mut self.setup);
            }
        }
        if let Some(setting) = self.configuration.get("SignHeaders")
            && !setting.value.contains('*')
        {
            self.setup.say(
                Code::DroppedOption,
                &setting.place,
                "SignHeaders replaces the list of OpenDKIM",
                "Zegel signs what is in its own list and what is named here",
            );
        }
        self.setup.hints.headers = changes.finish();
    }

    /// `InternalHosts`: the clients whose mail is outbound, but for those of `PeerList`.
    fn hosts(&mut self) {
        let mut networks = match self.configuration.get("InternalHosts") {
            None => LOOPBACK.map(IpNet::from).to_vec(),
            Some(_) => match self.clients("InternalHosts") {
                Some(networks) => networks,
                None => return,
            },
        };
        if let Some(setting) = self.configuration.get("PeerList") {
            let peers = self.clients("PeerList").unwrap_or_default();
            networks = hosts::without(&networks, &peers);
            self.setup.say(
                Code::UnsupportedOption,
                &setting.place,
                format!("PeerList {}: mail from there is not signed", setting.value),
                "the addresses in it were taken out of `networks` of the listener; but Zegel \
                 signs mail from there when the client logs in: give such clients a service of \
                 the MTA without the milter",
            );
        }
        if let Some(setting) = self.configuration.get("InternalHosts") {
            for network in &networks {
                self.setup.say_if_open(*network, &setting.place);
            }
        }
        self.setup.hints.networks = Some(networks);
    }

    fn clients(&mut self, name: &str) -> Option<Vec<IpNet>> {
        let setting = self.configuration.get(name)?;
        let list = self
            .configuration
            .data_set(setting, self.files, &mut self.setup)?;
        Some(hosts::clients(&list, name, &mut self.setup))
    }

    fn tables(&mut self) {
        if let (Some(signing), Some(keys)) = (self.table("SigningTable"), self.table("KeyTable")) {
            let tables = Tables {
                signing: &signing,
                keys: &keys.with_case(),
                multiple: self.configuration.is_on("MultipleSignatures"),
                resolve: &|path| self.configuration.path(path),
            };
            signing_table::read(&tables, &mut self.setup);
        }
    }

    fn table(&mut self, name: &str) -> Option<DataSet> {
        let Some(setting) = self.configuration.get(name) else {
            let found = format!("there is no {name}");
            let done = "nothing can be taken over without it";
            self.setup
                .say_of_the_whole(Code::SignsNothing, &found, done);
            return None;
        };
        self.configuration
            .data_set(setting, self.files, &mut self.setup)
    }

    /// `Domain`, `Selector` and `KeyFile`: one key for everything.
    fn single_key(&mut self) {
        let get = |name| self.configuration.get(name);
        let (Some(_), Some(selector), Some(key)) = (get("Domain"), get("Selector"), get("KeyFile"))
        else {
            return self.setup.say_of_the_whole(
                Code::SignsNothing,
                "there is neither a SigningTable, nor Domain, Selector and KeyFile together",
                "there is nothing to take over; is this the configuration that signs?",
            );
        };
        let name = selector.value.parse::<Selector>();
        if name.is_err() {
            self.setup.say(
                Code::BadSelector,
                &selector.place,
                format!("{:?} is no selector (RFC 6376 §3.1)", selector.value),
                "the key was not taken over; make a new one with `zegel key generate`",
            );
        }
        for Entry {
            key: text, place, ..
        } in self.entries("Domain").unwrap_or_default()
        {
            let Ok(domain) = text.parse::<DomainName>() else {
                self.setup.say(
                    Code::BadDomain,
                    &place,
                    format!("{text:?} is no domain name"),
                    "it was left out; name every domain in full in a file of orgs.d",
                );
                continue;
            };
            if self.configuration.is_on("SubDomains") {
                self.say_subdomains(&domain, &place);
            }
            let Ok(name) = &name else {
                self.setup.keyless.push(domain);
                continue;
            };
            self.setup.signings.push(Signing {
                author: domain.clone(),
                signer: domain,
                selector: name.clone(),
                key: KeySource::File(self.configuration.path(&key.value)),
                in_use: true,
                hidden_by: None,
                place,
            });
        }
    }

    fn say_subdomains(&mut self, domain: &DomainName, place: &Place) {
        self.setup.say(
            Code::Subdomains,
            place,
            format!("SubDomains is on: mail of every subdomain of {domain} is signed as {domain}"),
            format!(
                "only {domain} itself was taken over; add each subdomain that sends to `domains`, \
                 and have the record of its key published below it"
            ),
        );
    }
}
