//! Every setting of the module, and what becomes of it.

use super::{Module, ucl::Value};
use crate::import::{
    finding::{Code, Finding},
    setup::Setup,
};

/// Read elsewhere.
const TAKEN: &str = "\
    enabled domain path selector path_map selector_map signing_table key_table sign_networks \
    sign_local sign_authenticated auth_only sign_headers try_fallback use_domain \
    use_domain_sign_networks use_domain_sign_local use_domain_sign_inbound use_esld";

/// How rspamd reaches what it needs, and what it calls the result.
const OF_NO_MATTER: &str = "\
    symbol use_milter_headers key_prefix selector_prefix redis_params servers password db prefix \
    timeout vault_url vault_token vault_domains vault_path vault_kv_version http_timeout \
    no_ssl_verify http_sign_header http_domain_header http_selector_header http_key_header \
    http_sign_on_reject_header_header allow_headers_fallback whitelisted_signers_map \
    allow_pubkey_mismatch strict_pubkey_check";

/// What decides what is signed, by the value that it has by default: only another is said.
const CONDITIONS: &[(&str, bool, &str)] = &[
    (
        "allow_envfrom_empty",
        true,
        "Zegel signs mail with an empty envelope sender too",
    ),
    ("allow_hdrfrom_multiple", false, MAILBOXES),
    (
        "allow_hdrfrom_mismatch",
        false,
        "Zegel never looks at the domain of the envelope sender",
    ),
    (
        "allow_hdrfrom_mismatch_local",
        false,
        "Zegel never looks at the domain of the envelope sender",
    ),
    (
        "allow_hdrfrom_mismatch_sign_networks",
        false,
        "Zegel never looks at the domain of the envelope sender",
    ),
    (
        "check_pubkey",
        false,
        "the keeper of Zegel looks at the records, and the signer never asks the DNS",
    ),
    (
        "skip_spam_sign",
        false,
        "Zegel knows nothing of spam: refuse it before the signer",
    ),
];

const MAILBOXES: &str = "Zegel signs mail with several From fields or authors only as policy \
                         bad_from says: never with a key";

const ELSEWHERE: &str = "keys were not taken over from there; write them into files, name those \
                         here in a copy of this configuration, and import the copy";

/// Switches that decide what is signed, and what it means when they are on.
const SWITCHES: &[(&str, Code, &str)] = &[
    ("use_redis", Code::DataSet, ELSEWHERE),
    ("use_vault", Code::DataSet, ELSEWHERE),
    ("use_http_headers", Code::DataSet, ELSEWHERE),
    (
        "sign_inbound",
        Code::UnsupportedOption,
        "Zegel signs outbound mail only",
    ),
    (
        "sign_condition",
        Code::UnsupportedOption,
        "Zegel runs no scripts: look what it decides, and say that with listeners and [senders]",
    ),
    (
        "allowed_ids",
        Code::UnsupportedOption,
        "Zegel has no settings by user: say that with listeners and [senders]",
    ),
    (
        "forbidden_ids",
        Code::UnsupportedOption,
        "Zegel has no settings by user: say that with listeners and [senders]",
    ),
    (
        "use_domain_custom",
        Code::NotFrom,
        "Zegel goes by the From field alone",
    ),
    (
        "allow_username_mismatch",
        Code::DroppedOption,
        "Zegel lets any login use the domains of an organisation too, unless [senders] says other",
    ),
];

pub(super) fn report(module: &Module<'_>, setup: &mut Setup) {
    let mut passed_over = Vec::new();
    for item in &module.object.items {
        let is = |names: &str| names.split_whitespace().any(|name| name == item.key);
        let switch = SWITCHES.iter().find(|(name, ..)| *name == item.key);
        if let Some((_, code, done)) = switch {
            let off = matches!(&item.value, Value::Text(text) if ["false", "no", "off"].contains(&text.as_str()));
            if !off {
                let found = format!("{} is set", item.key);
                setup.say(*code, &item.place, found, *done);
            }
        } else if let Some((name, default, done)) =
            CONDITIONS.iter().find(|(name, ..)| *name == item.key)
        {
            let is_on = module.is_on(name, *default);
            let code = if is_on == *default {
                Code::DroppedOption
            } else {
                Code::UnsupportedOption
            };
            let found = format!("{name} is {}", if is_on { "on" } else { "off" });
            setup.say(code, &item.place, found, *done);
        } else if is(OF_NO_MATTER) {
            passed_over.push(item.key.as_str());
        } else if !is(TAKEN) {
            let found = format!("{} is no setting that is known here", item.key);
            let done = "it was left out: see what it does for you";
            setup.say(Code::UnknownOption, &item.place, found, done);
        }
    }
    if !passed_over.is_empty() {
        passed_over.sort_unstable();
        passed_over.dedup();
        let found = format!(
            "these are of no matter to Zegel: {}",
            passed_over.join(", ")
        );
        setup.say_of_the_whole(Code::DroppedOption, &found, "they were passed over");
    }
    report_domain(module, setup);
    report_users(module, setup);
    if let Some(item) = module.get("enabled")
        && !module.is_on("enabled", true)
    {
        let found = "the module is not enabled, so nothing is signed";
        let done = "its keys were taken over, and are taken to be in no DNS";
        setup.say(Code::SignsNothing, &item.place, found, done);
    }
}

fn report_domain(module: &Module<'_>, setup: &mut Setup) {
    for key in [
        "use_domain",
        "use_domain_sign_networks",
        "use_domain_sign_local",
        "use_domain_sign_inbound",
    ] {
        if let (Some(item), Some(value)) = (module.get(key), module.text(key))
            && value != "header"
        {
            setup.say(
                Code::NotFrom,
                &item.place,
                format!("who signs is decided by {key} = {value}"),
                "Zegel goes by the From field alone",
            );
        }
    }
    if module.is_on("use_esld", true) && module.get("signing_table").is_none() {
        let finding = Finding::new(
            Code::Subdomains,
            "use_esld is on, as it is by default: mail of every subdomain is signed as the \
             domain that was registered",
            "only the domains themselves were taken over; add each subdomain that sends to \
             `domains`, and have the record of its key published below it",
        );
        setup.findings.push(Finding {
            place: module.get("use_esld").map(|item| item.place.clone()),
            ..finding
        });
    }
}

/// By default a login must be of the domain that it writes as.
fn report_users(module: &Module<'_>, setup: &mut Setup) {
    if !module.is_on("allow_username_mismatch", false) && module.get("signing_table").is_none() {
        setup.say_of_the_whole(
            Code::DroppedOption,
            "a login may only write as its own domain (allow_username_mismatch is off)",
            "Zegel lets any login use any domain, unless [senders] of the organisation says other",
        );
    }
}
