//! Every setting that OpenDKIM knows, and what becomes of it.

use super::configuration::{Configuration, Setting};
use crate::import::{
    finding::{Code, Finding},
    setup::Setup,
};

/// Read elsewhere, or of no matter to signatures: the process, its log, its resolver, and
/// what is done with incoming mail.
const SILENT: &str = "\
    AllowSHA1Only AlwaysAddARHeader AuthservID AuthservIDWithJobID AutoRestart AutoRestartCount \
    AutoRestartRate Background BaseDirectory BogusKey Canonicalization CaptureUnknownErrors \
    ClockDrift DiagnosticDirectory DisableCryptoInit DNSConnect DNSTimeout Domain \
    DomainKeysCompat EnableCoredumps ExternalIgnoreList IgnoreMalformedMail InternalHosts \
    KeepAuthResults KeepTemporaryFiles KeyFile KeyTable LDAPAuthMechanism LDAPAuthName \
    LDAPAuthRealm LDAPAuthUser LDAPBindPassword LDAPBindUser LDAPDisableCache LDAPKeepaliveIdle \
    LDAPKeepaliveInterval LDAPKeepaliveProbes LDAPTimeout LDAPUseTLS LogResults LogWhy \
    MaximumHeaders MaximumSignaturesToVerify MilterDebug Minimum MinimumKeyBits Mode MTACommand \
    MultipleSignatures MustBeSigned Nameservers NoHeaderB OmitHeaders On-BadSignature On-Default \
    On-DNSError On-InternalError On-KeyNotFound On-NoSignature On-PolicyError On-Security \
    On-SignatureError OversignHeaders PidFile Quarantine QueryCache RedirectFailuresTo \
    RemoveARAll RemoveARFrom ReportAddress ReportBccAddress RequiredHeaders RequireSafeKeys \
    ResolverConfiguration ResolverTracing Selector SenderHeaders SendReports SignatureAlgorithm \
    SignatureTTL SignHeaders SigningTable Socket SoftStart SoftwareHeader Statistics \
    StatisticsName StatisticsPrefix StrictHeaders SubDomains Syslog SyslogFacility SyslogName \
    SyslogSuccess TemporaryDirectory TrustAnchorFile TrustSignaturesFrom UMask UnprotectedKey \
    UserID VBR-PurgeFields VBR-TrustedCertifiers VBR-TrustedCertifiersOnly WeakSyntaxChecks \
    ADSPAction ADSPNoSuchDomain LocalADSP DKIMOnly ATPSHashAlgorithm";

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
        "PeerList",
        Code::UnsupportedOption,
        "its clients were not exempted: see that their addresses are in no `networks` of a \
         listener",
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

const SCRIPT: &str = "Zegel runs no scripts: look what it decides, and say that with listeners \
                      and [senders]";

/// Says what cannot be taken over, or is not known.
pub(super) fn report(configuration: &Configuration, setup: &mut Setup) {
    for setting in &configuration.settings {
        let is = |name: &str| setting.name.eq_ignore_ascii_case(name);
        if let Some((_, code, done)) = SPOKEN_OF
            .iter()
            .find(|(names, ..)| names.split(' ').any(is))
        {
            if is_set(setting) {
                let found = format!("{} {}", setting.name, setting.value);
                setup.say(*code, &setting.place, found, *done);
            }
        } else if !SILENT.split_whitespace().any(is) {
            let found = format!("{} is no setting that is known", setting.name);
            let done = "it was left out; OpenDKIM 2.11 would refuse it too: is it spelled rightly?";
            setup.say(Code::UnknownOption, &setting.place, found, done);
        }
    }
    report_mode(configuration, setup);
    report_algorithm(configuration, setup);
    report_sender(configuration, setup);
}

/// A switch that is off, and a limit of zero, are no settings.
fn is_set(setting: &Setting) -> bool {
    let value = setting.value.to_ascii_lowercase();
    !matches!(value.as_str(), "no" | "false" | "n" | "f" | "0" | "off")
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
        let mut names: Vec<String> = SILENT
            .split_whitespace()
            .chain(SPOKEN_OF.iter().flat_map(|(names, ..)| names.split(' ')))
            .map(str::to_ascii_lowercase)
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
