//! The files that are written: an organisation, and a `zegel.toml` to begin with.

use std::{fmt::Write, path::Path};

use super::{plan::PlannedOrganisation, setup::Hints};
use crate::{
    dkim::{HeaderRules, key::Algorithm},
    names::FieldName,
};

/// A file of `orgs.d`.
pub fn organisation_file(organisation: &PlannedOrganisation) -> String {
    let mut text = String::new();
    let domains = organisation.domains.iter();
    line(&mut text, format_args!("domains = ["));
    for domain in domains {
        line(&mut text, format_args!("    \"{domain}\","));
    }
    line(&mut text, format_args!("]"));
    let has = |algorithm| {
        organisation
            .keys
            .iter()
            .any(|key| key.algorithm == algorithm)
    };
    if has(Algorithm::Ed25519Sha256) {
        let names: &[&str] = if has(Algorithm::RsaSha256) {
            &["rsa-sha256", "ed25519-sha256"]
        } else {
            &["ed25519-sha256"]
        };
        line(&mut text, format_args!("algorithms = {names:?}"));
    }
    text
}

/// A `zegel.toml` with what was found; everything else has its default. Nothing when the
/// path of the keystore cannot be written in it.
pub fn settings_file(hints: &Hints, keystore: &Path) -> Option<String> {
    let keystore = toml::Value::String(keystore.to_str()?.to_owned());
    let mut text = String::from(
        "# Made by zegel import. conf/zegel.toml of Zegel explains every key.\n\n[keystore]\n",
    );
    line(&mut text, format_args!("path = {keystore}"));
    text.push_str("\n[[listener]]\nname = \"relay\"\nsocket = \"unix:/run/zegel/relay.sock\"\n");
    write_outbound(&mut text, hints);
    if hints.canonicalisation.is_some() || hints.expire.is_some() || hints.headers.is_some() {
        text.push_str("\n[signing]\n");
    }
    if let Some(canonicalisation) = hints.canonicalisation {
        line(
            &mut text,
            format_args!("canonicalization = \"{canonicalisation}\""),
        );
    }
    if let Some(seconds) = hints.expire {
        line(&mut text, format_args!("expire = \"{seconds}s\""));
    }
    if let Some(headers) = &hints.headers {
        write_headers(&mut text, headers);
    }
    if let Some(action) = hints.signing_failure {
        line(
            &mut text,
            format_args!("\n[policy]\nsigning_failure = \"{}\"", action.as_str()),
        );
    }
    if let Some(octets) = hints.header_octets {
        line(
            &mut text,
            format_args!("\n[limits]\nheader_bytes = {octets}"),
        );
    }
    Some(text)
}

/// By a rule without logins and networks no mail would be outbound, which is no configuration.
fn write_outbound(text: &mut String, hints: &Hints) {
    let networks = match &hints.networks {
        Some(networks) => networks.iter().map(ToString::to_string).collect(),
        None if hints.ignores_logins => Vec::new(),
        None => return,
    };
    let networks: Vec<String> = networks;
    let authenticated = !hints.ignores_logins || networks.is_empty();
    line(
        text,
        format_args!("outbound = {{ authenticated = {authenticated}, networks = {networks:?} }}"),
    );
}

fn write_headers(text: &mut String, headers: &HeaderRules) {
    text.push_str("\n[signing.headers]\n");
    for (key, names) in [
        ("sign", &headers.sign),
        ("oversign", &headers.oversign),
        ("oversign_if_present", &headers.oversign_if_present),
    ] {
        let names: Vec<&str> = names.iter().map(FieldName::as_str).collect();
        line(text, format_args!("{key} = {names:?}"));
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
