//! The hand-over pack: what the DNS administrator of an organisation has to do, and when.
//!
//! Pure: an organisation, its keys, the settings and the time go in, text comes out. Of keys
//! it knows public halves only.
//!
//! | to do | take |
//! |---|---|
//! | what is to be done in the DNS of an organisation | [`Handover::pack`] |
//! | that, for people or machines | [`Pack::render`] |
//! | the operator's own zone, to which customers point with CNAME or DNAME | [`operator_zone`] |
//! | the zone that a domain has for its keys, on the operator's name servers | [`domain_zone`] |

mod catalogue;
mod delegation;
mod document;
mod dutch;
mod english;
mod json;
mod ladder;
mod leaving;
mod pack;
mod policy;
mod record;
mod schedule;
mod style;
mod zone;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    config::{SendersBelow, Settings},
    dkim::PublicKey,
    keys::{Keyring, Publication, Way},
    keystore::{PublicKeys, Senders, Sightings},
    names::{DomainName, Selector},
    organisation::Organisation,
    paper::{html, markdown, text},
    words::{Language, words},
};

pub use self::{
    delegation::DelegationPack,
    ladder::LadderPack,
    leaving::Farewell,
    pack::{DomainPack, DomainTasks, KeyPack, Pack},
    policy::{PolicyKind, PolicyPack},
    record::{Data, Placement, ResourceRecord, TTL},
    zone::{domain_zone, operator_zone},
};

/// An organisation with all that its pack is made from.
#[derive(Clone, Copy, Debug)]
pub struct Handover<'a> {
    /// Whose DNS it is about.
    pub organisation: &'a Organisation,
    /// Who sends below its domains that never do.
    pub below: &'a SendersBelow,
    /// Its keys and what is known of their records.
    pub keyring: &'a Keyring,
    /// The public halves; only needed of keys for which [`needs_public_key`] says so.
    pub public_keys: &'a BTreeMap<Selector, PublicKey>,
    /// What the keeper saw of SPF, DMARC and wrong records.
    pub sightings: &'a Sightings,
    /// What it found in DMARC reports.
    pub senders: &'a Senders,
    /// For the dates: rotation, lead time, drain, expiry of signatures.
    pub settings: &'a Settings,
    /// The time for which the pack is made.
    pub now: Timestamp,
}

impl<'a> Handover<'a> {
    /// Of an organisation with its keys as they were read from the keystore.
    pub fn new(
        organisation: &'a Organisation,
        below: &'a SendersBelow,
        keys: &'a PublicKeys,
        settings: &'a Settings,
        now: Timestamp,
    ) -> Self {
        Self {
            organisation,
            below,
            keyring: &keys.keyring,
            public_keys: &keys.public,
            sightings: &keys.sightings,
            senders: &keys.senders,
            settings,
            now,
        }
    }
}

/// Which part of it, and in which variant.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// This domain only, which may be a parked one; none: all of them.
    pub domain: Option<DomainName>,
    /// The operator's zone that CNAME records point into, whatever the organisation's file says;
    /// none: as that says, and by default the keys themselves are handed over.
    pub delegation: Option<DomainName>,
}

/// Why there is no pack.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HandoverError {
    /// The record of a key cannot be written without it.
    #[error("the public half of the key {0} is not known: see `zegel check`")]
    NoPublicKey(Selector),
    /// Neither a domain of the organisation nor a parked one.
    #[error("{0} is no domain of this organisation: see `zegel org show`")]
    UnknownDomain(DomainName),
    /// RFC 1035 §2.3.4.
    #[error("{0} is longer than the 253 octets of a domain name: choose a shorter zone")]
    NameTooLong(String),
    /// Nobody knows to where the names of the keys of a domain are to be handed over.
    #[error(
        "the keys of {0} are to be delegated with {1}, and zegel.toml does not say to where: set \
         {2} in [handover], or say --cname ZONE"
    )]
    NoTarget(DomainName, Way, &'static str),
}

/// Whether the record of a key holds its public half for any domain: not once it is
/// revoked, or no longer needed, everywhere.
pub fn needs_public_key(entry: &crate::keys::KeyEntry) -> bool {
    entry.publications.values().any(Publication::holds_key)
}

words! {
    /// What a pack is written as.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Format {
        /// For a ticket or a mail.
        Text = "text",
        /// Lines for a zone file (RFC 1035 §5.1), as BIND, NSD and Knot read them.
        Zone = "zone",
        /// For programs; see `docs/hand-over.md` for its shape. Has no language.
        Json = "json",
        /// One page, without scripts and without anything from elsewhere.
        Html = "html",
        /// CommonMark.
        Markdown = "markdown",
    }
}

impl Pack {
    /// What a customer has to know who leaves, by itself; none if no domain leaves.
    pub fn render_farewell(&self, language: Language) -> Option<String> {
        let mut domains = self.domains.iter();
        domains.find(|domain| domain.farewell.is_some())?;
        let blocks = document::write_farewell(self, catalogue::of(language), language);
        Some(text::render(&blocks))
    }

    /// Writes it. Ends with a newline.
    pub fn render(&self, format: Format, language: Language) -> String {
        let catalogue = catalogue::of(language);
        match format {
            Format::Text => text::render(&document::write(self, catalogue, language)),
            Format::Markdown => markdown::render(&document::write(self, catalogue, language)),
            Format::Html => {
                let blocks = document::write(self, catalogue, language);
                html::render(&blocks, language, style::STYLE)
            }
            Format::Zone => zone::render(self, catalogue),
            Format::Json => json::render(self),
        }
    }
}
