//! What is made of a set-up of OpenDKIM, without its daemon.

use std::{fmt::Write, fs, process::Command};

use crate::setup::{Folder, import};

fn single_key(folder: &Folder, more: &str) {
    folder.write(
        "opendkim.conf",
        &format!("Domain voorbeeld.nl, Nieuws.Voorbeeld.NL\nSelector mail\nKeyFile {{}}/keys/0.pem\nMode s\n{more}"),
    );
}

#[test]
fn a_dry_run_writes_nothing_and_says_the_same() {
    let folder = Folder::with_keys(1);
    single_key(&folder, "Canonicalization relaxed/relaxed\n");
    let before = folder.snapshot();
    let (file, out) = (folder.path("opendkim.conf"), folder.path("out"));
    let keystore = folder.path("out/keys");
    let more = ["--keystore", keystore.to_str().unwrap()];
    let dry = import("opendkim", &file, &out, &[more[0], more[1], "--dry-run"]);
    assert_eq!(dry.status, 0, "{}", dry.json);
    assert!(!out.exists());
    assert_eq!(folder.snapshot(), before);

    let done = import("opendkim", &file, &out, &more);
    assert_eq!(done.status, 0);
    assert_eq!(dry.json["organisations"], done.json["organisations"]);
    let key = &done.organisation("voorbeeld-nl")["keys"][0];
    assert_eq!(key["state"], "added");
    assert_eq!(key["waits_for"].as_array().unwrap().len(), 2);

    let all = folder.snapshot();
    let again = import("opendkim", &file, &out, &[]);
    assert_eq!(again.status, 0);
    let organisation = again.organisation("voorbeeld-nl");
    assert_eq!(organisation["unchanged"], true);
    assert_eq!(organisation["keys"][0]["state"], "unchanged");
    assert_eq!(folder.snapshot(), all);
}

#[test]
fn what_is_written_is_a_configuration() {
    let folder = Folder::with_keys(1);
    folder.write("hosts", "localhost\n10.0.0.0/8\n[2001:db8::1]\n");
    single_key(
        &folder,
        "InternalHosts {}/hosts\nCanonicalization relaxed\nSignatureTTL 604800\n\
         OversignHeaders From,Date,X-Ours\nOmitHeaders *,+Sender\nSignHeaders *,+X-Also\n",
    );
    let out = folder.path("out");
    let keystore = folder.path("out/keys");
    let report = import(
        "opendkim",
        &folder.path("opendkim.conf"),
        &out,
        &["--keystore", keystore.to_str().unwrap()],
    );
    assert_eq!(report.status, 0, "{}", report.json);
    let loaded = zegel::config::load(&out.join("zegel.toml")).unwrap();
    let settings = loaded.settings;
    assert_eq!(settings.keystore_path, keystore);
    assert_eq!(
        settings.signing.canonicalisation.to_string(),
        "relaxed/simple"
    );
    assert_eq!(settings.signing.expire.unwrap().as_secs(), 604_800);
    let names = |names: &[zegel::names::FieldName]| -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    };
    assert_eq!(names(&settings.signing.headers.sign), ["x-also"]);
    assert!(names(&settings.signing.headers.oversign).ends_with(&["date".into(), "x-ours".into()]));
    let if_present = names(&settings.signing.headers.oversign_if_present);
    assert!(
        !if_present
            .iter()
            .any(|name| name == "sender" || name == "date")
    );
    let text = fs::read_to_string(out.join("zegel.toml")).unwrap();
    assert!(
        text.contains(
            "networks = [\"10.0.0.0/8\", \"127.0.0.1/32\", \"::1/128\", \"2001:db8::1/128\"]"
        ),
        "{text}"
    );
    let checked = Command::new(env!("CARGO_BIN_EXE_zegel"))
        .arg("--config")
        .arg(out.join("zegel.toml"))
        .arg("check")
        .status()
        .unwrap();
    assert_eq!(checked.code(), Some(0));
}

#[test]
fn keys_stand_in_tables_in_several_forms() {
    let folder = Folder::with_keys(3);
    let der = Command::new("openssl")
        .args(["pkey", "-outform", "DER", "-in"])
        .arg(folder.path("keys/2.pem"))
        .output()
        .unwrap();
    let base64 = {
        use std::fmt::Write as _;
        let mut text = String::new();
        let encoded = Command::new("openssl")
            .args(["pkey", "-in"])
            .arg(folder.path("keys/2.pem"))
            .output()
            .unwrap();
        assert!(der.status.success());
        for line in String::from_utf8(encoded.stdout).unwrap().lines() {
            if !line.starts_with('-') {
                write!(text, "{line}").unwrap();
            }
        }
        text
    };
    folder.write(
        "KeyTable",
        &format!("k %:mail:{{}}/keys/%.pem\ninline binnen.example:in:{base64}\n"),
    );
    fs::rename(folder.path("keys/0.pem"), folder.path("keys/a.example.pem")).unwrap();
    fs::rename(folder.path("keys/1.pem"), folder.path("keys/b.example.pem")).unwrap();
    folder.write("more.conf", "Mode s\nCanonicalization simple/simple\n");
    folder.write(
        "opendkim.conf",
        "Include more.conf\nKeyTable {}/KeyTable\n\
         SigningTable csl:a.example=k, B.example=k:post@b.example, info@binnen.example=inline, \
         .c.example=k, *@d.example=k, e.example=nergens\n",
    );
    let report = import(
        "opendkim",
        &folder.path("opendkim.conf"),
        &folder.path("out"),
        &["--dry-run"],
    );
    let table = "opendkim.conf:3";
    report.expect_findings(&[
        ("dropped_option", table, "i=post@b.example"),
        ("single_address", table, "only info@binnen.example"),
        ("wildcard_pattern", table, "every domain below c.example"),
        ("never_matches", table, "*@d.example"),
        ("unknown_key_name", table, "\"nergens\""),
        ("no_key", "", "e-example"),
    ]);
    for (id, selector) in [
        ("a-example", "mail"),
        ("b-example", "mail"),
        ("binnen-example", "in"),
    ] {
        assert_eq!(report.organisation(id)["keys"][0]["selector"], selector);
    }
}

#[test]
fn what_opendkim_does_and_zegel_does_not_is_named() {
    let folder = Folder::with_keys(1);
    single_key(
        &folder,
        "SubDomains yes\nMaximumSignedBytes 5000\nSignatureAlgorithm rsa-sha1\n\
         TestPublicKeys {}/test\nInternalHosts ldap://ldap.example/x\nDiagnostics no\n\
         FinalPolicyScript /x.lua\nVerbose yes\nSignatureTTL 5\nInclude nowhere.conf\n\
         LogWhy yes\nSocket inet:8891@localhost\nUserID opendkim\nCanonicalization fancy\n",
    );
    let report = import(
        "opendkim",
        &folder.path("opendkim.conf"),
        &folder.path("out"),
        &["--dry-run"],
    );
    assert_eq!(report.status, 1);
    report.expect_findings(&[
        ("dropped_option", "", "LogWhy, Socket, UserID"),
        ("subdomains", "opendkim.conf:1", "subdomain of voorbeeld.nl"),
        (
            "subdomains",
            "opendkim.conf:1",
            "subdomain of nieuws.voorbeeld.nl",
        ),
        ("body_length", "opendkim.conf:6", "the whole body"),
        ("sha1", "opendkim.conf:7", "rsa-sha256"),
        ("testing", "opendkim.conf:8", "TestPublicKeys"),
        ("data_set", "opendkim.conf:9", "LDAP"),
        (
            "unsupported_option",
            "opendkim.conf:11",
            "FinalPolicyScript",
        ),
        ("unknown_option", "opendkim.conf:12", "Verbose"),
        ("unsupported_option", "opendkim.conf:13", "SignatureTTL"),
        ("unreadable_file", "opendkim.conf:14", "nowhere.conf"),
        ("bad_entry", "opendkim.conf:18", "fancy"),
    ]);
}

#[test]
fn what_is_there_is_left_as_it_is() {
    let folder = Folder::with_keys(2);
    single_key(&folder, "Canonicalization relaxed/relaxed\n");
    folder.write("out/zegel.toml", "[keystore]\npath = \"{}/out/keys\"\n");
    folder.write(
        "out/orgs.d/voorbeeld.toml",
        "domains = [\"voorbeeld.nl\"]\n",
    );
    let (file, out) = (folder.path("opendkim.conf"), folder.path("out"));
    let report = import("opendkim", &file, &out, &[]);
    assert_eq!(report.status, 1);
    report.expect_findings(&[(
        "domain_taken",
        "",
        "voorbeeld.nl is a domain of voorbeeld already",
    )]);
    let organisation = report.organisation("nieuws-voorbeeld-nl");
    assert_eq!(organisation["domains"].as_array().unwrap().len(), 1);
    assert_eq!(
        fs::read_to_string(folder.path("out/orgs.d/voorbeeld.toml")).unwrap(),
        "domains = [\"voorbeeld.nl\"]\n"
    );
    // The key of an organisation that is there is no other's.
    folder.write(
        "second.conf",
        "Domain ander.nl\nSelector x\nKeyFile {}/keys/0.pem\nMode s\nCanonicalization relaxed/relaxed\n",
    );
    let report = import("opendkim", &folder.path("second.conf"), &out, &[]);
    report.expect_findings(&[(
        "keystore_refusal",
        "",
        "already that of nieuws-voorbeeld-nl",
    )]);
}

/// The options of opendkim.conf(5), as Debian installs it.
fn options() -> Vec<String> {
    const PAGE: &str = "/usr/share/man/man5/opendkim.conf.5.gz";
    let page = Command::new("zcat").arg(PAGE).output().unwrap();
    assert!(page.status.success(), "{PAGE}: {page:?}");
    let page = String::from_utf8(page.stdout).unwrap();
    let heads = page.lines().filter_map(|line| line.strip_prefix(".I "));
    let options = heads.filter_map(|head| head.split_once(" (")?.1.strip_suffix(')').map(|_| head));
    options
        .filter_map(|head| head.split(' ').next())
        .filter(|name| !name.starts_with(|letter: char| letter.is_ascii_lowercase()))
        .filter(|name| !name.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

/// Options that are taken over in full, so that there is nothing to say. Other tests show what
/// becomes of them.
const TAKEN: [&str; 16] = [
    "BaseDirectory",
    "Canonicalization",
    "Domain",
    "Include",
    "InternalHosts",
    "KeyFile",
    "KeyTable",
    "MultipleSignatures",
    "OmitHeaders",
    "OversignHeaders",
    "Selector",
    "SenderHeaders",
    "SignatureAlgorithm",
    "SignatureTTL",
    "SigningTable",
    "SubDomains",
];

#[test]
fn no_option_of_opendkim_conf_goes_unmentioned() {
    let options = options();
    assert!(options.len() > 120, "{options:?}");
    let folder = Folder::with_keys(1);
    let mut more = String::new();
    for option in options
        .iter()
        .filter(|option| !TAKEN.contains(&option.as_str()))
    {
        let value = if option == "Mode" { "sv" } else { "1" };
        writeln!(more, "{option} {value}").unwrap();
    }
    single_key(&folder, &more);
    let (file, out) = (folder.path("opendkim.conf"), folder.path("out"));
    let findings = import("opendkim", &file, &out, &["--dry-run"]).findings();
    for option in options
        .iter()
        .filter(|option| !TAKEN.contains(&option.as_str()))
    {
        let names = |(code, _, words): &&(String, String, String)| {
            let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
            let mut all = words.split(|letter| !is_word(letter));
            code != "unknown_option" && all.any(|word| word.eq_ignore_ascii_case(option))
        };
        assert!(
            findings.iter().any(|one| names(&one)),
            "{option}: {findings:#?}"
        );
    }
    // What is no option is not taken for one.
    assert!(
        !findings.iter().any(|(code, ..)| code == "unknown_option"),
        "{findings:#?}"
    );
}

#[test]
fn what_is_done_with_mail_that_cannot_be_signed_is_taken_over() {
    for (text, action, octets) in [
        (
            "On-SignatureError reject\nMaximumHeaders 32768",
            "reject",
            32768,
        ),
        ("On-Default accept", "accept", 1_048_576),
        (
            "On-Default accept\nOn-SignatureError tempfail",
            "tempfail",
            1_048_576,
        ),
        (
            "On-SignatureError quarantine\nMaximumHeaders 0",
            "tempfail",
            1_048_576,
        ),
        (
            "On-SignatureError discard\nOn-Default r\nMaximumHeaders 4096",
            "tempfail",
            4096,
        ),
        ("MaximumHeaders 99999999999999", "tempfail", 1_048_576),
    ] {
        let folder = Folder::with_keys(1);
        single_key(
            &folder,
            &format!("Canonicalization relaxed/relaxed\n{text}\n"),
        );
        let (file, out) = (folder.path("opendkim.conf"), folder.path("out"));
        let keystore = folder.path("out/keys");
        let report = import(
            "opendkim",
            &file,
            &out,
            &["--keystore", keystore.to_str().unwrap()],
        );
        let settings = zegel::config::load(&out.join("zegel.toml"))
            .unwrap()
            .settings;
        assert_eq!(settings.policy.signing_failure.as_str(), action, "{text}");
        assert_eq!(settings.limits.header_bytes, octets, "{text}");
        let findings = report.findings();
        for line in text.lines() {
            assert!(
                findings.iter().any(|(_, _, words)| words.starts_with(line)),
                "{findings:?}"
            );
        }
    }
}

#[test]
fn one_key_for_everything_beside_tables_is_named() {
    let folder = Folder::with_keys(2);
    folder.write("KeyTable", "k a.example:s:{}/keys/0.pem\n");
    folder.write(
        "opendkim.conf",
        "Mode s\nCanonicalization relaxed/relaxed\nDomain b.example\nSelector t\n\
         KeyFile {}/keys/1.pem\nKeyTable {}/KeyTable\nSigningTable csl:a.example=k\n",
    );
    let (file, out) = (folder.path("opendkim.conf"), folder.path("out"));
    let report = import("opendkim", &file, &out, &["--dry-run"]);
    report.expect_findings(&[
        (
            "dropped_option",
            "opendkim.conf:3",
            "Domain b.example stands beside",
        ),
        (
            "dropped_option",
            "opendkim.conf:4",
            "Selector t stands beside",
        ),
        ("dropped_option", "opendkim.conf:5", "KeyFile"),
    ]);
}

#[test]
fn nothing_signs_on_a_word_that_no_key_was_imported_for() {
    for (key, assumes, says, does_not_say) in [
        (
            "keys/weak.pem",
            true,
            "No key was taken over",
            "because you say",
        ),
        (
            "keys/weak.pem",
            false,
            "No key was taken over",
            "do not sign yet",
        ),
        (
            "keys/nowhere.pem",
            true,
            "No key was taken over",
            "because you say",
        ),
        (
            "keys/0.pem",
            true,
            "sign because you say",
            "No key was taken over",
        ),
        ("keys/0.pem", false, "do not sign yet", "because you say"),
    ] {
        let folder = Folder::with_keys(1);
        fs::copy(crate::setup::WEAK_KEY, folder.path("keys/weak.pem")).unwrap();
        folder.write(
            "opendkim.conf",
            &format!("Mode s\nDomain a.example\nSelector s\nKeyFile {{}}/{key}\n"),
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_zegel"));
        command
            .args(["import", "opendkim", "--config"])
            .arg(folder.path("opendkim.conf"));
        command.arg("--out").arg(folder.path("out"));
        command.arg("--keystore").arg(folder.path("out/keys"));
        command.args(assumes.then_some("--assume-published"));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains(says) && !text.contains(does_not_say),
            "{key} {assumes}: {text}"
        );
    }
}

/// The lines of a table above others that OpenDKIM never comes to.
#[test]
fn the_line_that_takes_the_mail_of_a_domain_gives_it_its_key() {
    for (table, multiple, signs, finding) in [
        (
            "*alpha.example k0\n*@alpha.example k1",
            "no",
            "s0",
            "several_keys",
        ),
        (
            "news@alpha.example k1\n*@alpha.example k0",
            "no",
            "s0",
            "single_address",
        ),
        (
            "news@alpha.example k1\nn*@alpha.example k0",
            "no",
            "s1",
            "single_address",
        ),
        (
            " *@alpha.example k1\n*@alpha.example k0",
            "no",
            "s0",
            "never_matches",
        ),
        (
            "*@alpha.exampl? k1\n*@alpha.example k0",
            "no",
            "",
            "wildcard_pattern",
        ),
        (
            "*@alpha.example nowhere\n*@alpha.example k0",
            "no",
            "",
            "unknown_key_name",
        ),
        (
            "*@alpha.example K0\n*@alpha.example k1",
            "no",
            "",
            "unknown_key_name",
        ),
        (
            "*@*.example k1\nnews@alpha.example k0",
            "no",
            "s1",
            "never_matches",
        ),
        (
            "*@alpha.example k0\n*@alpha.example ed",
            "no",
            "s0",
            "never_matches",
        ),
        ("*@alpha.example k0\n*@alpha.example ed", "yes", "s0 ed", ""),
    ] {
        let folder = Folder::with_keys(2);
        let ed25519 = crate::support::checkout().join("tests/fixtures/keys/unsafe-ed25519-v1.pem");
        fs::copy(ed25519, folder.path("keys/ed.pem")).unwrap();
        folder.set_mode("keys/ed.pem", 0o600);
        folder.write(
            "KeyTable",
            "k0 alpha.example:s0:{}/keys/0.pem\nk1 alpha.example:s1:{}/keys/1.pem\n\
             ed alpha.example:ed:{}/keys/ed.pem\n",
        );
        folder.write("SigningTable", table);
        folder.write(
            "opendkim.conf",
            &format!(
                "Mode s\nCanonicalization relaxed/relaxed\nKeyTable {{}}/KeyTable\n\
                 SigningTable refile:{{}}/SigningTable\nMultipleSignatures {multiple}\n"
            ),
        );
        let (file, out) = (folder.path("opendkim.conf"), folder.path("out"));
        let report = import(
            "opendkim",
            &file,
            &out,
            &["--dry-run", "--assume-published"],
        );
        let keys = report.organisation("alpha-example")["keys"].clone();
        let signing = keys.as_array().unwrap().iter();
        let signing = signing.filter(|key| !key["signs_for"].as_array().unwrap().is_empty());
        let signing: Vec<&str> = signing
            .map(|key| key["selector"].as_str().unwrap())
            .collect();
        assert_eq!(signing.join(" "), signs, "{table}");
        let findings = report.findings();
        let is_said = findings.iter().any(|(code, ..)| code == finding);
        assert!(is_said || finding.is_empty(), "{table}: {findings:#?}");
    }
}

#[test]
fn keys_are_sealed_as_the_settings_that_are_there_say() {
    let folder = Folder::with_keys(1);
    single_key(&folder, "Canonicalization relaxed/relaxed\n");
    folder.write(
        "out/zegel.toml",
        "[keystore]\npath = \"{}/keystore\"\nmark = \"{}/elsewhere.mark\"\n\
         sealing_keys = [\"{}/sealing.key\"]\n",
    );
    let (file, out) = (folder.path("opendkim.conf"), folder.path("out"));
    let import = || {
        Command::new(env!("CARGO_BIN_EXE_zegel"))
            .args(["import", "opendkim", "--config"])
            .arg(&file)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap()
    };
    // Without the sealing key nothing is written, least of all in the clear.
    let refused = import();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("sealing.key: it does not exist"), "{said}");
    assert!(!folder.path("keystore/voorbeeld-nl/mail.pem").exists());

    let id = zegel::keystore::make_sealing_key(&folder.path("sealing.key")).unwrap();
    let done = import();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let key = fs::read_to_string(folder.path("keystore/voorbeeld-nl/mail.pem")).unwrap();
    let first_line = format!("zegel-sealed-key 1 sealing-key={id}\n");
    assert!(key.starts_with(&first_line));
    assert!(folder.path("elsewhere.mark").exists());

    // Settings that are not there name no sealing key.
    let new = folder.path("new");
    let refused = Command::new(env!("CARGO_BIN_EXE_zegel"))
        .args(["import", "opendkim", "--config"])
        .arg(&file)
        .arg("--out")
        .arg(&new)
        .arg("--keystore")
        .arg(folder.path("keystore"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("keystore has sealed keys"), "{said}");
    assert!(!new.exists());
}
