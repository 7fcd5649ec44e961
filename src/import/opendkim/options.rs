//! Every setting that OpenDKIM knows, and what becomes of it.

use std::{collections::BTreeSet, ops::RangeInclusive};

use super::configuration::{Configuration, Setting};
use crate::{
    import::{
        finding::{Code, Finding},
        setup::Setup,
    },
    organisation::Action,
};

/// What `limits.header_bytes` may be.
const HEADER_OCTETS: RangeInclusive<usize> = 4096..=64 * 1024 * 1024;

/// Read elsewhere.
const TAKEN: &str = "\
    BaseDirectory Canonicalization Domain InternalHosts KeyFile KeyTable MaximumHeaders Mode \
    MultipleSignatures OmitHeaders On-Default On-SignatureError OversignHeaders PeerList Selector \
    SenderHeaders SignatureAlgorithm SignatureTTL SignHeaders SigningTable SubDomains";

/// How OpenDKIM runs, logs, and reaches what it needs.
const OF_THE_PROCESS: &str = "\
    AutoRestart AutoRestartCount AutoRestartRate Background DiagnosticDirectory DisableCryptoInit \
    EnableCoredumps KeepTemporaryFiles LDAPAuthMechanism LDAPAuthName LDAPAuthRealm LDAPAuthUser \
    LDAPBindPassword LDAPBindUser LDAPDisableCache LDAPKeepaliveIdle LDAPKeepaliveInterval \
    LDAPKeepaliveProbes LDAPTimeout LDAPUseTLS LogResults LogWhy MilterDebug MTACommand PidFile \
    QueryCache RequireSafeKeys SMTPURI Socket SoftStart SoftwareHeader Statistics StatisticsName \
    StatisticsPrefix Syslog SyslogFacility SyslogName SyslogSuccess TemporaryDirectory UMask UserID \
    X-Header";

/// What is done with mail that comes in, and with its signatures.
const OF_VERIFYING: &str = "\
    ADSPAction ADSPNoSuchDomain AllowSHA1Only AlwaysAddARHeader ATPSHashAlgorithm AuthservID \
    AuthservIDWithJobID BogusKey CaptureUnknownErrors ClockDrift DKIMOnly DNSConnect DNSTimeout \
    DomainKeysCompat KeepAuthResults LocalADSP MaximumSignaturesToVerify Minimum MinimumKeyBits \
    MustBeSigned Nameservers NoHeaderB On-BadSignature On-DNSError On-KeyNotFound On-NoSignature \
    On-PolicyError Quarantine RedirectFailuresTo RemoveARAll RemoveARFrom ReportAddress \
    ReportBccAddress ResolverConfiguration ResolverTracing SendReports TrustAnchorFile \
    TrustSignaturesFrom UnprotectedKey VBR-PurgeFields VBR-TrustedCertifiers \
    VBR-TrustedCertifiersOnly WeakSyntaxChecks";

/// What Zegel does not do, and what that means; settings that mean the same together.
const SPOKEN_OF: &[(&str, Code, &str)] = &[
    (
        "BodyLengthDB MaximumSignedBytes",
        Code::BodyLength,
        "Zegel signs the whole body, always: with l= anybody can add to a signed message",
    ),
    (
        "Diagnostics",
        Code::DroppedOption,
        "signatures have no z= any more",
    ),
    (
        "RequestReports",
        Code::DroppedOption,
        "signatures have no r=y any more",
    ),
    (
        "RemoveOldSignatures",
        Code::DroppedOption,
        "Zegel leaves signatures alone that are there already",
    ),
    (
        "FixCRLF",
        Code::DroppedOption,
        "Zegel signs what it is given, and counts bare CR and LF as hazards",
    ),
    (
        "SelectCanonicalizationHeader",
        Code::DroppedOption,
        "canonicalisation is the same for all mail",
    ),
    (
        "VBR-Certifiers VBR-Type",
        Code::DroppedOption,
        "Zegel adds no VBR-Info",
    ),
    (
        "TestPublicKeys TestDNSData",
        Code::Testing,
        "keys come from a file and not from the DNS: this set-up is for tests; see that it is \
         the one that you mean",
    ),
    (
        "StrictTestMode",
        Code::Testing,
        "this set-up is for tests; see that it is the one that you mean",
    ),
    (
        "ChangeRootDirectory",
        Code::UnsupportedOption,
        "paths were read as they are written, outside of that folder; if they are meant below \
         it, run the import in it with chroot(8)",
    ),
    (
        "MacroList",
        Code::UnsupportedOption,
        "Zegel goes by logins, client addresses and listeners: give each service of the MTA \
         whose mail is outbound a listener of its own, with outbound = \"all\"",
    ),
    (
        "MTA",
        Code::UnsupportedOption,
        "give each service of the MTA whose mail is outbound a listener of its own, with \
         outbound = \"all\"",
    ),
    (
        "ExternalIgnoreList",
        Code::DroppedOption,
        "it decides what OpenDKIM logs of clients from outside, and not what is signed",
    ),
    (
        "RequiredHeaders StrictHeaders",
        Code::UnsupportedOption,
        FIELDS,
    ),
    (
        "On-Security",
        Code::UnsupportedOption,
        "Zegel treats a header that is over its limit as mail that it could not sign \
         (policy.signing_failure)",
    ),
    (
        "On-InternalError",
        Code::UnsupportedOption,
        "what Zegel could not sign for want of something, it treats by policy.signing_failure",
    ),
    (
        "IgnoreMalformedMail",
        Code::UnsupportedOption,
        "Zegel treats mail without one clear author by policy.bad_from",
    ),
    (
        "LuaOnlySigning ConditionalSignatures DefaultSender RateLimits FlowData FlowDataFactor \
         FlowDataTTL",
        Code::UnsupportedOption,
        "Zegel has nothing like it: look what it decides, and say that with listeners and \
         [senders]",
    ),
    (
        "ExemptDomains",
        Code::UnsupportedOption,
        "its domains were not exempted: take those that are not to be signed out of the files \
         in orgs.d",
    ),
    (
        "DontSignMailTo",
        Code::UnsupportedOption,
        "Zegel signs whoever the mail is for",
    ),
    (
        "POPDBFile",
        Code::UnsupportedOption,
        "let clients log in by SMTP AUTH, which Zegel takes for outbound",
    ),
    (
        "ResignMailTo ResignAll",
        Code::UnsupportedOption,
        "Zegel signs mail of its own domains only",
    ),
    (
        "ReplaceRules ReplaceHeaders",
        Code::UnsupportedOption,
        "Zegel signs what it is given: have the MTA rewrite addresses before the milter",
    ),
    (
        "IdentityHeader IdentityHeaderRemove",
        Code::UnsupportedOption,
        "Zegel writes no i=, and removes no fields",
    ),
    (
        "ATPSDomains",
        Code::UnsupportedOption,
        "Zegel signs as the domain in From only",
    ),
    (
        "SenderMacro",
        Code::NotFrom,
        "Zegel goes by the From field alone",
    ),
    (
        "SetupPolicyScript ScreenPolicyScript FinalPolicyScript StatisticsPolicyScript",
        Code::UnsupportedOption,
        SCRIPT,
    ),
];

const FIELDS: &str = "Zegel refuses mail only for its From field (policy.bad_from): have the MTA \
                      refuse mail whose fields are not as RFC 5322 §3.6 wants them";

const SCRIPT: &str = "Zegel runs no scripts: look what it decides, and say that with listeners \
                      and [senders]";

/// Says what cannot be taken over, or is not known.
pub(super) fn report(configuration: &Configuration, setup: &mut Setup) {
    let (mut of_the_process, mut of_verifying) = (BTreeSet::new(), BTreeSet::new());
    for setting in &configuration.settings {
        let is = |name: &str| setting.name.eq_ignore_ascii_case(name);
        if let Some((_, code, done)) = SPOKEN_OF
            .iter()
            .find(|(names, ..)| names.split_whitespace().any(is))
        {
            if is_set(setting) {
                let found = format!("{} {}", setting.name, setting.value);
                setup.say(*code, &setting.place, found, *done);
            }
        } else if OF_THE_PROCESS.split_whitespace().any(is) {
            of_the_process.insert(setting.name.as_str());
        } else if OF_VERIFYING.split_whitespace().any(is) {
            of_verifying.insert(setting.name.as_str());
        } else if !TAKEN.split_whitespace().any(is) {
            let found = format!("{} is no setting that is known", setting.name);
            let done = "it was left out; OpenDKIM 2.11 would refuse it too: is it spelled rightly?";
            setup.say(Code::UnknownOption, &setting.place, found, done);
        }
    }
    let groups = [
        (of_the_process, "say how OpenDKIM itself runs"),
        (of_verifying, "are about mail that comes in"),
    ];
    for (names, what) in groups {
        if !names.is_empty() {
            let names: Vec<&str> = names.into_iter().collect();
            let found = format!("these {what}: {}", names.join(", "));
            setup.say_of_the_whole(Code::DroppedOption, &found, "they were passed over");
        }
    }
    report_limit(configuration, setup);
    report_actions(configuration, setup);
    report_single_key(configuration, setup);
    report_mode(configuration, setup);
    report_algorithm(configuration, setup);
    report_sender(configuration, setup);
}

/// A switch that is off, and a limit of zero, are no settings.
fn is_set(setting: &Setting) -> bool {
    let value = setting.value.to_ascii_lowercase();
    !matches!(value.as_str(), "no" | "false" | "n" | "f" | "0" | "off")
}

/// `MaximumHeaders` becomes `limits.header_bytes`, where that can be so.
fn report_limit(configuration: &Configuration, setup: &mut Setup) {
    let Some(setting) = configuration.get("MaximumHeaders") else {
        return;
    };
    match setting.value.parse::<usize>() {
        Ok(octets) if HEADER_OCTETS.contains(&octets) => {
            setup.hints.header_octets = Some(octets);
            let found = format!("MaximumHeaders {octets} became limits.header_bytes");
            let done = "mail that is over it counts as mail that could not be signed \
                        (policy.signing_failure)";
            setup.say(Code::DroppedOption, &setting.place, found, done);
        }
        _ => {
            let found = format!("MaximumHeaders {} cannot be in zegel.toml", setting.value);
            let done = "limits.header_bytes was left at 1 MiB; it can be 4096 to 67108864";
            setup.say(Code::UnsupportedOption, &setting.place, found, done);
        }
    }
}

/// What is done with mail that should be signed and cannot: the more special setting counts.
fn report_actions(configuration: &Configuration, setup: &mut Setup) {
    let names = ["On-SignatureError", "On-Default"];
    let settings = names.iter().filter_map(|name| configuration.get(name));
    for (order, setting) in settings.enumerate() {
        let action = match setting.value.to_ascii_lowercase().as_str() {
            "accept" | "a" => Some(Action::Accept),
            "reject" | "r" => Some(Action::Reject),
            "tempfail" | "t" => Some(Action::Tempfail),
            _ => None,
        };
        let found = format!("{} {}", setting.name, setting.value);
        if order > 0 {
            let done = "On-SignatureError counts for mail that is signed";
            setup.say(Code::DroppedOption, &setting.place, found, done);
        } else if let Some(action) = action {
            setup.hints.signing_failure = Some(action);
            let done = format!("it became policy.signing_failure = {:?}", action.as_str());
            setup.say(Code::DroppedOption, &setting.place, found, done);
        } else {
            let done = "Zegel can accept, put off and refuse: policy.signing_failure was left as \
                        it is";
            setup.say(Code::UnsupportedOption, &setting.place, found, done);
        }
    }
}

/// Beside tables, one key for everything does not count.
fn report_single_key(configuration: &Configuration, setup: &mut Setup) {
    if configuration.get("KeyTable").is_none() && configuration.get("SigningTable").is_none() {
        return;
    }
    for name in ["Domain", "Selector", "KeyFile"] {
        if let Some(setting) = configuration.get(name) {
            let found = format!("{name} {} stands beside a KeyTable", setting.value);
            let done = "it was passed over, as OpenDKIM signs by the tables alone then; if its \
                        domains send mail, see that a line of the SigningTable is for them";
            setup.say(Code::DroppedOption, &setting.place, found, done);
        }
    }
}

fn report_mode(configuration: &Configuration, setup: &mut Setup) {
    let mode = configuration.get("Mode");
    let letters = mode.map_or("sv", |mode| mode.value.as_str());
    if let Some(mode) = mode
        && !letters.contains('s')
    {
        setup.say(
            Code::SignsNothing,
            &mode.place,
            format!("by Mode {letters} nothing is signed"),
            "its keys were taken over, and are taken to be in no DNS",
        );
    }
    if letters.contains('v') {
        let finding = Finding::new(
            Code::Verifies,
            format!("by Mode {letters} incoming mail is verified too"),
            "Zegel does not verify for an MTA: if the results are used, leave OpenDKIM in its \
             place with Mode v, or let the spam filter verify",
        );
        setup.findings.push(Finding {
            place: mode.map(|mode| mode.place.clone()),
            ..finding
        });
    }
}

fn report_algorithm(configuration: &Configuration, setup: &mut Setup) {
    if let Some(setting) = configuration.get("SignatureAlgorithm")
        && setting.value.eq_ignore_ascii_case("rsa-sha1")
    {
        setup.say(
            Code::Sha1,
            &setting.place,
            "it signs with SHA-1, which receivers do not accept (RFC 8301 §3.1)",
            "Zegel signs rsa-sha256 with the same key; see that no record says h=sha1",
        );
    }
}

fn report_sender(configuration: &Configuration, setup: &mut Setup) {
    if let Some(setting) = configuration.get("SenderHeaders")
        && !setting.value.trim().eq_ignore_ascii_case("from")
    {
        setup.say(
            Code::NotFrom,
            &setting.place,
            format!("who signs is decided by SenderHeaders {}", setting.value),
            "Zegel goes by the From field alone: mail whose other fields name another domain is \
             signed as the domain in From, if that is one of yours",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_once() {
        let mut names: Vec<String> = [TAKEN, OF_THE_PROCESS, OF_VERIFYING]
            .iter()
            .flat_map(|names| names.split_whitespace())
            .chain(
                SPOKEN_OF
                    .iter()
                    .flat_map(|(names, ..)| names.split_whitespace()),
            )
            .map(str::to_ascii_lowercase)
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
