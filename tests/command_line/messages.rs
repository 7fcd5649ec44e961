//! `zegel sign` and `zegel verify`

use std::{collections::HashMap, fs};

use serde_json::Value;

use crate::{
    dns_server::{Answer, serve},
    setup::{Done, MESSAGE, RSA_KEY, Setup, finish, zegel},
};

const RFC_8463: &str = "tests/fixtures/messages/rfc8463.eml";
const RFC_8463_ED25519: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const RFC_8463_RSA: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiG\
     s5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL\
     6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";

fn verify(arguments: &[&str], message: &str) -> Done {
    finish(zegel().arg("verify").args(arguments), message.as_bytes())
}

fn results(done: &Done) -> Vec<String> {
    let report = done.json();
    let signatures = report["signatures"].as_array().unwrap();
    let result = |signature: &Value| signature["result"].as_str().unwrap().to_owned();
    signatures.iter().map(result).collect()
}

#[test]
fn a_message_keeps_its_line_ends() {
    let setup = Setup::with_key();
    let with_crlf = MESSAGE.replace('\n', "\r\n");
    let signed = setup.run_with(&["sign"], MESSAGE.as_bytes()).expect(0).out;
    assert!(signed.starts_with("DKIM-Signature: v=1; a=rsa-sha256;"));
    assert!(signed.ends_with(MESSAGE));
    assert!(!signed.contains('\r'));
    let signed_crlf = setup
        .run_with(&["sign", "-"], with_crlf.as_bytes())
        .expect(0)
        .out;
    assert!(signed_crlf.ends_with(&with_crlf));
    assert_eq!(
        signed_crlf.matches('\n').count(),
        signed_crlf.matches("\r\n").count()
    );
    for signed in [&signed, &signed_crlf] {
        verify(&["--key", RSA_KEY], signed)
            .expect(0)
            .says(&["pass"]);
    }
    // A message for one is a message for the other.
    verify(&["--key", RSA_KEY], &signed.replace('\n', "\r\n")).expect(0);
    // What is signed is not signed again.
    setup
        .run_with(&["sign"], signed.as_bytes())
        .expect(1)
        .complains(&["not signed: already_signed: "]);
    let header = setup
        .run_with(&["sign", "--header-only"], MESSAGE.as_bytes())
        .expect(0);
    assert_eq!(header.out.matches("DKIM-Signature:").count(), 1);
    assert!(!header.out.contains("\nFrom:"));
}

#[test]
fn refusals_name_the_reason() {
    let setup = Setup::with_key();
    setup.write(
        "orgs.d/streng.toml",
        "domains = [\"streng.example\"]\n[senders]\nauth = [\"crm\"]\n[policy]\nunauthorised_sender = \"reject\"\n",
    );
    let message = |from: &str| format!("{from}Subject: x\n\nx\n");
    for (from, reason, advice) in [
        ("", "from_missing", "has no From field"),
        (
            "From: a@voorbeeld.nl\nFrom: a@voorbeeld.nl\n",
            "from_repeated",
            "several",
        ),
        (
            "From: a@voorbeeld.nl, b@voorbeeld.nl\n",
            "from_several_mailboxes",
            "exactly one",
        ),
        ("From: voorbeeld.nl\n", "from_unparsable", "RFC 5322"),
        (
            "From: a@mail.voorbeeld.nl\n",
            "unknown_domain",
            "a subdomain must be there",
        ),
        (
            "From: a@oud-voorbeeld.nl\n",
            "parked_domain",
            "is parked by voorbeeld",
        ),
        (
            "From: a@streng.example\n",
            "unauthorised_sender",
            "rejected (550)",
        ),
    ] {
        let done = setup
            .run_with(&["sign"], message(from).as_bytes())
            .expect(1);
        assert_eq!(done.out, "");
        done.complains(&[&format!("not signed: {reason}: "), advice]);
    }
    let from_streng = message("From: a@streng.example\n");
    setup
        .run_with(&["sign", "--auth", "crm"], from_streng.as_bytes())
        .expect(1)
        .complains(&[
            "awaiting_key",
            "streng has no key in use for streng.example",
        ]);
}

#[test]
fn the_listener_decides_what_is_outbound() {
    let setup = Setup::with_key();
    let sign = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["sign"].iter().chain(arguments).copied().collect();
        setup.run_with(&arguments, MESSAGE.as_bytes())
    };
    sign(&["--client", "192.0.2.1"])
        .expect(1)
        .complains(&["not_outbound"]);
    sign(&["--client", "::1"]).expect(0);
    sign(&["--client", "192.0.2.1", "--auth", "crm"]).expect(0);
    sign(&["--listener", "relai"])
        .expect(2)
        .complains(&["there is no listener relai; did you mean relay?"]);
    sign(&["--client", "localhost"]).expect(2);
}

#[test]
fn what_is_no_message() {
    let setup = Setup::with_key();
    for (text, expected) in [
        ("", "standard input: the message is empty"),
        (
            "From een@voorbeeld.nl Thu Jan  1 00:00:00 1970\nFrom: x\n\n",
            "mailbox file",
        ),
        (
            "From: x\nno colon\n\n",
            "line 2 of the message is not a header field",
        ),
    ] {
        for command in ["sign", "verify"] {
            setup
                .run_with(&[command], text.as_bytes())
                .expect(2)
                .complains(&[expected]);
        }
    }
    setup
        .run(["sign", "/nowhere/message"])
        .expect(2)
        .complains(&["/nowhere/message: No such file"]);
}

#[test]
fn the_example_of_rfc_8463() {
    let message = fs::read_to_string(RFC_8463).unwrap();
    let both = [
        "--record",
        RFC_8463_ED25519,
        "--record",
        RFC_8463_RSA,
        "--json",
    ];
    let done = verify(&both, &message).expect(0);
    assert_eq!(results(&done), ["pass", "pass"]);
    let report = done.json();
    assert_eq!(report["from_domain"], "football.example.com");
    let first = &report["signatures"][0];
    assert_eq!(first["selector"], "brisbane");
    assert_eq!(first["algorithm"], "ed25519-sha256");
    assert_eq!(first["bits"], 256);
    assert_eq!(first["aligned"], true);
    assert_eq!(report["signatures"][1]["bits"], 1024);
    // Without its key a signature counts for nothing.
    let one = verify(&["--record", RFC_8463_ED25519, "--json"], &message).expect(0);
    assert_eq!(results(&one), ["pass", "skipped"]);
    let changed = message.replace("hungry", "angry");
    let done = verify(&["--record", RFC_8463_ED25519], &changed).expect(1);
    done.says(&["FAIL", "the body hash does not match"]);
    let changed = message.replace("From: Joe SixPack <joe@football.", "From: Joe <joe@soccer.");
    verify(&["--record", RFC_8463_ED25519], &changed)
        .expect(1)
        .complains(&["there is no signature with d=soccer.example.com"]);
    verify(&["--record", "v=DKIM1; p="], &message)
        .expect(2)
        .complains(&["--record: the key is revoked"]);
}

#[test]
fn signatures_that_are_none() {
    verify(&["--record", RFC_8463_ED25519], MESSAGE)
        .expect(1)
        .complains(&["no DKIM-Signature field"]);
    let message = format!("DKIM-Signature: v=1; d=voorbeeld.nl; s=x; a=rsa-sha1\n{MESSAGE}");
    let done = verify(&["--record", RFC_8463_ED25519, "--json"], &message).expect(1);
    let signature = &done.json()["signatures"][0];
    assert_eq!(signature["result"], "fail");
    assert_eq!(signature["domain"], "voorbeeld.nl");
    assert_eq!(signature["algorithm"], "rsa-sha1");
    assert_eq!(signature["aligned"], true);
}

#[test]
fn keys_from_the_dns() {
    let setup = Setup::with_key();
    let key = setup
        .run(["key", "list", "--json"])
        .expect(0)
        .member("keys");
    assert_eq!(key[0]["selector"], "s1");
    let signed = setup.run_with(&["sign"], MESSAGE.as_bytes()).expect(0).out;
    let record = {
        let other = Setup::new();
        let arguments = [
            "key",
            "import",
            "voorbeeld",
            RSA_KEY,
            "--selector",
            "s1",
            "--json",
        ];
        let added = other.run(arguments).expect(0).json();
        added["record"].as_str().unwrap().to_owned()
    };
    // Longer than one string of a TXT record may be.
    assert!(record.len() > 255);
    let testing = record.replace("v=DKIM1;", "v=DKIM1; t=y;");
    let twice = vec![record.clone(), record.clone()];
    for (answer, status, result, reason) in [
        (Some(Answer::Texts(vec![record])), 0, "pass", ""),
        (Some(Answer::Texts(vec![testing])), 0, "pass", ""),
        (
            Some(Answer::Texts(vec!["v=DKIM1; p=".into()])),
            1,
            "fail",
            "the key is revoked",
        ),
        (
            Some(Answer::Texts(twice)),
            1,
            "fail",
            "there are 2 TXT records",
        ),
        (Some(Answer::NoRecord), 1, "fail", "no such record"),
        (Some(Answer::Failure), 1, "unknown", "get no answer"),
        (
            None,
            1,
            "fail",
            "s1._domainkey.voorbeeld.nl: the name does not exist",
        ),
    ] {
        let name = "s1._domainkey.voorbeeld.nl".to_owned();
        let answers: HashMap<String, Answer> =
            answer.map(|answer| (name, answer)).into_iter().collect();
        let address = serve(answers).to_string();
        let done = verify(&["--resolver", &address, "--json"], &signed).expect(status);
        assert_eq!(results(&done), [result]);
        let found = &done.json()["signatures"][0]["reason"];
        assert!(
            found.as_str().unwrap_or_default().contains(reason),
            "{found}"
        );
    }
}

#[test]
fn the_resolvers_of_the_configuration_are_asked() {
    let setup = Setup::with_key();
    let signed = setup.run_with(&["sign"], MESSAGE.as_bytes()).expect(0).out;
    let address = serve(HashMap::new());
    let keys = setup.path("keys");
    setup.write(
        "zegel.toml",
        &format!(
            "[keystore]\npath = \"{}\"\n[keeper]\nlocal_servers = true\nresolvers = [\"{address}\"]\n",
            keys.display()
        ),
    );
    setup
        .run_with(&["verify"], signed.as_bytes())
        .expect(1)
        .says(&["the name does not exist"])
        .complains(&["not every signature of the From domain voorbeeld.nl passes"]);
}
