//! Any text at all is read, or refused.

use proptest::prelude::*;

use super::{super::signing_table::Pattern, *};

/// Pieces that such files are made of.
fn text() -> impl Strategy<Value = String> {
    let pieces = [
        "KeyTable",
        "SigningTable",
        "file:/t",
        "refile:/t",
        "csl:",
        " ",
        "\t",
        "\n",
        "\r\n",
        "#",
        "*@*",
        "*",
        "%",
        ":",
        "a.example",
        "*@a.example",
        ".a.example",
        "a b:c:/d",
        "=",
        ",",
        ";",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        "/*",
        "*/",
        ".include",
        "(try=true)",
        "domain",
        "selectors",
        "path",
        "selector",
        "$domain",
        "é",
        "\u{0}",
        "Include /t",
        "Domain",
        "Selector",
        "KeyFile",
        "InternalHosts",
        "!10.0.0.0/8",
        "::/0",
        "signing_table",
        "key_table",
        "<<",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_that_is_written_makes_it_fall_over(one in text(), other in text()) {
        let files = Memory::with(&[("/c", &one), ("/t", &other)]);
        for read in [opendkim::read, rspamd::read] {
            if let Ok(setup) = read(Path::new("/c"), &files) {
                let plan = plan(setup, &std::collections::BTreeMap::new(), &Taken::default());
                for organisation in &plan.organisations {
                    prop_assert!(!organisation.domains.is_empty());
                    organisation_file(organisation).parse::<toml::Table>().unwrap();
                }
                let settings = settings_file(&plan.hints, Path::new("/k \"\n")).unwrap();
                prop_assert!(settings.parse::<toml::Table>().is_ok(), "{settings}");
            }
        }
    }
}

#[test]
fn whose_mail_a_pattern_is_about() {
    let domain = |text: &str| text.parse().unwrap();
    for (text, wildcards, lookup) in [
        ("*@a.nl", Pattern::Domain(domain("a.nl")), Pattern::Nothing),
        (
            "x@a.nl",
            Pattern::Address(domain("a.nl")),
            Pattern::Address(domain("a.nl")),
        ),
        ("a.nl", Pattern::Nothing, Pattern::Domain(domain("a.nl"))),
        ("*", Pattern::Everything, Pattern::Everything),
        ("*@*", Pattern::Everything, Pattern::Nothing),
        ("x@*", Pattern::Other, Pattern::Other),
        (
            "*@*.a.nl",
            Pattern::Subdomains("a.nl".into()),
            Pattern::Nothing,
        ),
        (
            ".a.nl",
            Pattern::Nothing,
            Pattern::Subdomains("a.nl".into()),
        ),
        ("*a.nl", Pattern::Ending(domain("a.nl")), Pattern::Nothing),
        ("*@*a.nl", Pattern::Ending(domain("a.nl")), Pattern::Nothing),
        ("**@a.nl", Pattern::Domain(domain("a.nl")), Pattern::Nothing),
        ("**", Pattern::Everything, Pattern::Nothing),
        (
            "*.a.nl",
            Pattern::Subdomains("a.nl".into()),
            Pattern::Nothing,
        ),
        ("x*@*a.nl", Pattern::Other, Pattern::Nothing),
        ("*@a?.nl", Pattern::Regular, Pattern::Nothing),
        ("*@a_b", Pattern::BadDomain("a_b".into()), Pattern::Nothing),
    ] {
        assert_eq!(Pattern::of_wildcards(text), wildcards, "{text}");
        assert_eq!(Pattern::of_lookup(text), lookup, "{text}");
    }
}

#[test]
fn files_that_include_each_other_end() {
    let many = "Include /d\n".repeat(50);
    let files = Memory::with(&[("/c", &many), ("/d", &many)]);
    let setup = opendkim::read(Path::new("/c"), &files).unwrap();
    let said = |text: &str| setup.findings.iter().any(|one| one.found.contains(text));
    assert!(said("there are more than five levels"));
    assert!(said("there are more than 100 files"));
    let many = ".include \"/d\"\n".repeat(50);
    let files = Memory::with(&[("/c", &many), ("/d", &many)]);
    assert!(rspamd::read(Path::new("/c"), &files).is_err());
    let files = Memory::with(&[("/c", &".include \"/d\"\n".repeat(101)), ("/d", "a = b;\n")]);
    let error = rspamd::read(Path::new("/c"), &files).unwrap_err();
    assert!(error.to_string().contains("more than 100 files"), "{error}");
}

#[test]
fn networks_are_read_as_in_zegel_toml() {
    let written = "::ffff:10.0.0.0/104, [::1]/128, ::ffff:192.0.2.1, [::ffff:192.0.2.2], \
        198.51.100.7/24";
    let expected = "[10.0.0.0/8, 192.0.2.1/32, 192.0.2.2/32, 198.51.100.0/24, ::1/128]";
    let files = Memory::with(&[("/c", &format!("InternalHosts {written}\n"))]);
    let opendkim = opendkim::read(Path::new("/c"), &files).unwrap();
    // OpenDKIM finds only what is written as it writes it, and in a list: with brackets.
    assert_eq!(
        format!("{:?}", opendkim.hints.networks.unwrap()),
        "[::1/128]"
    );
    let written = format!("198.51.100.0/24, {written}");
    let list: Vec<String> = written.split(", ").map(|one| format!("{one:?}")).collect();
    let text = format!(
        "sign_local = false;\nsign_networks = [{}];\n",
        list.join(", ")
    );
    let rspamd = rspamd::read(Path::new("/c"), &Memory::with(&[("/c", &text)])).unwrap();
    assert_eq!(format!("{:?}", rspamd.hints.networks.unwrap()), expected);
}
