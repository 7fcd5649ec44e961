//! `zegel explain`

use serde_json::Value;

use crate::setup::{Done, MESSAGE, RSA_KEY, Setup, finish, zegel};

const STEPS: [&str; 11] = [
    "outbound",
    "from",
    "organisation",
    "sender",
    "keys",
    "limits",
    "already_signed",
    "hazards",
    "signature",
    "verification",
    "reply",
];

fn setup() -> Setup {
    let setup = Setup::with_key();
    setup.write(
        "orgs.d/streng.toml",
        "domains = [\"streng.example\"]\n[senders]\nauth = [\"crm\", \"crm+nieuws\"]\nnetworks = [\"10.1.0.0/16\"]\n\
         [policy]\nunauthorised_sender = \"reject\"\nhazard = \"tempfail\"\n",
    );
    let arguments = ["key", "generate", "streng", "--algorithm", "ed25519-sha256"];
    setup.run(arguments).expect(0);
    setup
}

fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap()
}

/// That the message is refused at this step and at no other, and nothing is told of those
/// behind it.
#[track_caller]
fn expect_refused_at(report: &Value, refused_at: &str) {
    let steps = report["steps"].as_array().unwrap();
    let names: Vec<&str> = steps
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(names, STEPS);
    let place = STEPS.iter().position(|name| *name == refused_at).unwrap();
    for (number, step) in steps[..10].iter().enumerate() {
        let expected = match number.cmp(&place) {
            std::cmp::Ordering::Less => Value::Bool(true),
            std::cmp::Ordering::Equal => Value::Bool(false),
            std::cmp::Ordering::Greater => Value::Null,
        };
        assert_eq!(step["passed"], expected, "{step}");
    }
    assert_eq!(report["signatures"], Value::Array(Vec::new()));
}

#[test]
fn a_signed_message_has_every_step_and_a_signature_that_verifies() {
    let setup = setup();
    let done = setup
        .run_with(&["explain", "--json"], MESSAGE.as_bytes())
        .expect(0);
    let report = done.json();
    assert_eq!(report["result"], "signed");
    assert_eq!(report["from_domain"], "voorbeeld.nl");
    assert_eq!(report["organisation"], "voorbeeld");
    let file = setup.path("orgs.d/voorbeeld.toml").display().to_string();
    assert_eq!(report["file"], file);
    assert_eq!(report["hazards"], Value::Array(Vec::new()));
    for name in STEPS {
        assert_eq!(step(&report, name)["passed"], true, "{name}");
    }
    let outbound = step(&report, "outbound")["text"].as_str().unwrap();
    assert!(
        outbound.contains("127.0.0.1 lies in 127.0.0.0/8"),
        "{outbound}"
    );
    assert_eq!(report["keys"][0]["selector"], "s1");
    assert_eq!(report["keys"][0]["state"], "active");
    let signature = &report["signatures"][0];
    assert_eq!(signature["verifies"], true);
    let names = signature["signed_fields"].as_array().unwrap();
    let from = |name: &&Value| name.as_str().unwrap().eq_ignore_ascii_case("from");
    assert_eq!(names.iter().filter(from).count(), 2);
    // It is a real one: verified by another way, and what `sign` would have made.
    let field = signature["field"].as_str().unwrap().replace("\r\n", "\n");
    let signed = format!("{field}{MESSAGE}");
    finish(
        zegel().args(["verify", "--key", RSA_KEY]),
        signed.as_bytes(),
    )
    .expect(0);

    let text = setup.run_with(&["explain"], MESSAGE.as_bytes()).expect(0);
    text.says(&[
        "voorbeeld.toml)",
        "s1 (rsa-sha256, active) signs",
        "DKIM-Signature: v=1;",
    ]);

    let again = setup
        .run_with(&["explain", "--json"], signed.as_bytes())
        .expect(1)
        .json();
    expect_refused_at(&again, "already_signed");
    assert_eq!(again["result"], "unsigned");
}

#[test]
fn what_refuses_a_message_is_the_step_that_says_no() {
    let setup = setup();
    let explain = |from: &str, more: &[&str]| -> Done {
        let message = format!("{from}Subject: x\n\nx\n");
        let arguments = [&["explain", "--json"], more].concat();
        setup.run_with(&arguments, message.as_bytes()).expect(1)
    };
    let ours = "From: a@voorbeeld.nl\n";
    let bound = "From: a@streng.example\n";
    for (from, more, reason, refused_at, result) in [
        (
            ours,
            &["--client", "192.0.2.1"][..],
            "not_outbound",
            "outbound",
            "unsigned",
        ),
        ("", &[], "from_missing", "from", "unsigned"),
        (
            "From: a@voorbeeld.nl, b@voorbeeld.nl\n",
            &[],
            "from_several_mailboxes",
            "from",
            "unsigned",
        ),
        (
            "From: a@weg.example\n",
            &[],
            "unknown_domain",
            "organisation",
            "unsigned",
        ),
        (
            "From: a@oud-voorbeeld.nl\n",
            &[],
            "parked_domain",
            "organisation",
            "unsigned",
        ),
        (bound, &[], "unauthorised_sender", "sender", "rejected"),
        (
            bound,
            &["--auth", "crm"],
            "awaiting_key",
            "keys",
            "unsigned",
        ),
    ] {
        let report = explain(from, more).json();
        assert_eq!(report["reason"], reason, "{report:#}");
        assert_eq!(report["result"], result, "{report:#}");
        expect_refused_at(&report, refused_at);
    }
    let report = explain(bound, &["--auth", "crm"]).json();
    let text = |name| step(&report, name)["text"].as_str().unwrap().to_owned();
    assert!(text("outbound").contains("the login crm"), "{report:#}");
    assert!(text("sender").contains("the login crm"), "{report:#}");
    assert_eq!(report["keys"][0]["state"], "generated");
    // As Sendmail passes it on.
    let report = explain(bound, &["--auth", "crm+2Bnieuws"]).json();
    let text = step(&report, "sender")["text"].as_str().unwrap();
    assert!(text.contains("auth has crm+nieuws"), "{report:#}");
}

#[test]
fn hazards_and_broken_keys_are_told() {
    let setup = setup();
    let long = format!("From: a@voorbeeld.nl\n\n{}\n", "x".repeat(1200));
    let report = setup
        .run_with(&["explain", "--json"], long.as_bytes())
        .expect(0)
        .json();
    assert_eq!(report["hazards"][0], "long_line");
    std::fs::remove_file(setup.path("keys/voorbeeld/s1.pem")).unwrap();
    let report = setup
        .run_with(&["explain", "--json"], MESSAGE.as_bytes())
        .expect(1)
        .json();
    expect_refused_at(&report, "keys");
    assert_eq!(report["result"], "tempfailed");
    assert!(
        report["advice"].as_str().unwrap().contains("s1.pem"),
        "{report:#}"
    );
}

#[test]
fn a_client_without_an_address_is_explained() {
    let setup = setup();
    let explain = |rule: &str| {
        let text = std::fs::read_to_string(setup.path("zegel.toml")).unwrap();
        let listener = "[[listener]]\nname = \"relay\"\nsocket = \"unix:/run/zegel/a.sock\"\n";
        setup.write(
            "zegel.toml",
            &format!("{text}\n{listener}outbound = {rule}\n"),
        );
        let arguments = ["explain", "--json", "--client", "none"];
        let done = setup.run_with(&arguments, MESSAGE.as_bytes());
        setup.write("zegel.toml", &text);
        done
    };
    let report = explain("{ networks = [\"127.0.0.0/8\"] }").expect(1).json();
    assert_eq!(report["client"], Value::Null);
    assert_eq!(report["reason"], "not_outbound");
    expect_refused_at(&report, "outbound");
    let text = step(&report, "outbound")["text"].as_str().unwrap();
    for part in ["from a client without an address", "without_address = true"] {
        assert!(text.contains(part), "{text}");
    }
    let report = explain("{ without_address = true }").expect(0).json();
    assert_eq!(report["result"], "signed");
    let text = step(&report, "outbound")["text"].as_str().unwrap();
    assert!(text.ends_with("its client has no address"), "{text}");
}
