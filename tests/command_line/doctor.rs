//! `zegel doctor`: planted settings, and those of the Postfix that is here.

use std::{fs, os::unix::fs::PermissionsExt, os::unix::net::UnixListener, path::Path};

use crate::setup::{Done, Setup};

/// A set-up with nothing to be said of it, as postconf shows it.
const PARAMETERS: &str = "\
internal_mail_filter_classes = bounce
message_strip_characters = \\0
milter_content_timeout = 60s
milter_default_action = tempfail
non_smtpd_milters = $smtpd_milters
queue_directory = /var/spool/postfix
smtpd_forbid_bare_newline = normalize
smtpd_milters = unix:zegel/relay.sock
";
const SERVICES: &str = "\
smtp       inet  n       -       y       -       -       smtpd
submission inet  n       -       y       -       50      smtpd
    -o syslog_name=postfix/submission -o smtpd_sasl_auth_enable=yes
cleanup    unix  n       -       y       -       0       cleanup
smtp       unix  -       -       y       -       -       smtp
";

fn setup() -> Setup {
    let setup = Setup::new();
    let text = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let listeners = "[[listener]]\nname = \"relay\"\nsocket = \"fd:relay\"\n\
                     [[listener]]\nname = \"news\"\nsocket = \"inet:127.0.0.1:8891\"\n\
                     [[listener]]\nname = \"file\"\nsocket = \"unix:/run/zegel/file.sock\"\n\
                     [[listener]]\nname = \"trial\"\nsocket = \"inet:127.0.0.1:8892\"\nobserve = true\n";
    setup.write("zegel.toml", &format!("{text}{listeners}"));
    setup
}

fn examine(setup: &Setup, parameters: &str, services: &str, version: &str) -> Done {
    let parameters = setup.write("postconf-n", parameters);
    let services = setup.write("postconf-m", services);
    let files = ["--postconf-n", &parameters, "--postconf-m", &services];
    let arguments = ["doctor", "--json", "--postfix-version", version];
    setup.run(arguments.iter().chain(&files))
}

pub(super) fn codes(done: &Done) -> Vec<String> {
    let report = done.json();
    let findings = report["findings"].as_array().unwrap().iter();
    let code = |finding: &serde_json::Value| {
        for part in ["found", "why", "command"] {
            assert!(!finding[part].as_str().unwrap().is_empty(), "{finding}");
        }
        let severity = finding["severity"].as_str().unwrap();
        format!("{severity} {}", finding["code"].as_str().unwrap())
    };
    let mut codes: Vec<String> = findings.map(code).collect();
    // Several services may have the same.
    codes.dedup();
    codes
}

#[test]
fn a_sound_postfix_has_nothing_said_of_it() {
    let setup = setup();
    for version in ["3.5.25", "3.7.11", "3.9.1", "3.11.0", "3.12-20260821"] {
        let done = examine(&setup, PARAMETERS, SERVICES, version).expect(0);
        assert_eq!(codes(&done), [""; 0], "{version}");
    }
}

#[test]
fn each_planted_danger_is_named() {
    let setup = setup();
    // What is put in the place of what, and what is said then.
    let changed = |old: &str, new: &str| {
        assert!(PARAMETERS.contains(old), "{old}");
        PARAMETERS.replace(old, new)
    };
    let added = |line: &str| format!("{PARAMETERS}{line}\n");
    let milters = "smtpd_milters = unix:zegel/relay.sock";
    for (parameters, expected) in [
        (
            changed("action = tempfail", "action = accept"),
            "act default_action",
        ),
        (
            changed("action = tempfail", "action = reject"),
            "act default_action",
        ),
        (
            changed("action = tempfail", "action = quarantine"),
            "warning default_action",
        ),
        (
            changed(
                milters,
                "smtpd_milters = { unix:zegel/relay.sock, default_action=accept }",
            ),
            "act default_action",
        ),
        (
            changed(
                milters,
                "smtpd_milters = unix:zegel/relay.sock, { inet:localhost:8892, default_action=tempfail }",
            ),
            "warning trial_stops_mail",
        ),
        (
            changed("non_smtpd_milters = $smtpd_milters", ""),
            "warning local_mail_unsigned",
        ),
        (added("milter_protocol = 4"), "warning old_protocol"),
        (
            changed("content_timeout = 60s", "content_timeout = 2s"),
            "warning timeout",
        ),
        (added("milter_connect_timeout = 10m"), "warning timeout"),
        (
            changed("filter_classes = bounce", "filter_classes ="),
            "note bounces_unsigned",
        ),
        (
            changed("newline = normalize", "newline = no"),
            "act bare_newline",
        ),
        (added("default_process_limit = 1000"), "act connections"),
        (
            added("content_filter = smtp:[127.0.0.1]:10024"),
            "note before_content_filter",
        ),
        (changed("message_strip_characters = \\0", ""), "note nul"),
        (
            added("smtp_header_checks = regexp:/etc/postfix/checks"),
            "warning changed_behind",
        ),
        (
            added("smtp_discard_ehlo_keywords = chunking, 8BITMIME"),
            "warning eight_bit_downgrade",
        ),
        (added("smtputf8_enable = no"), "note no_smtputf8"),
        (
            added("receive_override_options = no_milters"),
            "act no_milters",
        ),
    ] {
        let done = examine(&setup, &parameters, SERVICES, "3.7.11");
        assert_eq!(
            done.status,
            i32::from(!expected.starts_with("note")),
            "{expected}"
        );
        assert_eq!(codes(&done), [expected], "{parameters}");
    }
    let none = changed(milters, "smtpd_milters = inet:localhost:11332");
    let found = codes(&examine(&setup, &none, SERVICES, "3.7.11").expect(1));
    assert_eq!(found, ["act not_connected", "warning local_mail_unsigned"]);
    // A port by its name, and a file by its path: which a chroot hides.
    let port = changed(
        milters,
        "smtpd_milters = { inet:localhost:8891, connect_timeout=5s }",
    );
    examine(&setup, &port, SERVICES, "3.7.11").expect(0);
    let file = changed(milters, "smtpd_milters = unix:/run/zegel/file.sock");
    let found = codes(&examine(&setup, &file, SERVICES, "3.7.11").expect(1));
    assert_eq!(found, ["act socket_outside_chroot"]);
    let outside = SERVICES.replace("-       y ", "-       n ");
    examine(&setup, &file, &outside, "3.7.11").expect(0);
}

/// A setting that holds for both lists of milters is found for each.
#[test]
fn nothing_is_said_twice() {
    let parameters = format!("{PARAMETERS}milter_protocol = 2\nmilter_command_timeout = 1s\n");
    let done = examine(&setup(), &parameters, SERVICES, "3.7.11").expect(1);
    let report = done.json();
    let findings = report["findings"].as_array().unwrap();
    for (index, finding) in findings.iter().enumerate() {
        assert!(
            !findings[..index].contains(finding),
            "{finding} comes again"
        );
    }
    assert_eq!(findings.len(), 2, "{report}");
}

#[test]
fn what_a_service_says_counts_for_it() {
    let setup = setup();
    let without = SERVICES.replace("smtpd_sasl_auth_enable=yes", "smtpd_milters=");
    let found = codes(&examine(&setup, PARAMETERS, &without, "3.7.11").expect(1));
    assert_eq!(found, ["warning submission_unsigned"]);
    let other = SERVICES.replace("smtpd_sasl_auth_enable=yes", "milter_default_action=accept");
    let found = codes(&examine(&setup, PARAMETERS, &other, "3.7.11").expect(1));
    assert_eq!(found, ["act default_action"]);
}

#[test]
fn the_advice_on_bare_newlines_is_for_the_version() {
    let setup = setup();
    let unset = PARAMETERS.replace("smtpd_forbid_bare_newline = normalize\n", "");
    examine(&setup, &unset, SERVICES, "3.9.0").expect(0);
    for (version, advice) in [
        ("3.7.11", "= normalize"),
        ("3.7.9", "= yes"),
        ("3.5.1", "upgrade"),
    ] {
        let done = examine(&setup, &unset, SERVICES, version).expect(1);
        let report = done.json();
        let command = report["findings"][0]["command"].as_str().unwrap();
        assert!(command.contains(advice), "{version}: {command}");
    }
}

#[test]
fn the_files_that_we_ship_are_sound_to_the_real_postconf() {
    let setup = setup();
    let folder = setup.path("postfix");
    fs::create_dir(&folder).unwrap();
    let spool = setup.path("spool");
    fs::create_dir_all(spool.join("zegel")).unwrap();
    let main = fs::read_to_string("conf/postfix/main.cf").unwrap();
    let queue = format!(
        "compatibility_level = 3.6\nqueue_directory = {}\nmail_owner = root\n",
        spool.display()
    );
    fs::write(folder.join("main.cf"), format!("{queue}{main}")).unwrap();
    let master = fs::read_to_string("conf/postfix/master.cf").unwrap();
    let more = "smtp inet n - y - - smtpd\ncleanup unix n - y - 0 cleanup\n";
    fs::write(folder.join("master.cf"), format!("{more}{master}")).unwrap();
    let text = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let relay = text.split("[[listener]]\nname = \"news\"").next().unwrap();
    setup.write("zegel.toml", relay);
    let run = || setup.run(["doctor", "--json", "--postfix", folder.to_str().unwrap()]);

    // The socket is not there yet.
    let missing = codes(&run().expect(1));
    assert_eq!(missing, ["act socket_missing", "note nul"]);
    let socket = spool.join("zegel/relay.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    set_mode(&socket, 0o660);
    assert_eq!(codes(&run().expect(0)), ["note nul"]);
    set_mode(&socket, 0o666);
    assert_eq!(
        codes(&run().expect(1)),
        ["act socket_for_everyone", "note nul"]
    );
    let text = setup
        .run(["doctor", "--postfix", folder.to_str().unwrap()])
        .expect(1);
    text.says(&[
        "danger: ",
        "why: every user of this host",
        "do:  chmod o-rwx",
        "Postfix 3.",
    ]);
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn sendmail_is_known_too() {
    let setup = setup();
    let examine = |text: &str| {
        let file = setup.write("sendmail.cf", text);
        setup.run(["doctor", "--json", "--sendmail-cf", &file])
    };
    let sound = "O InputMailFilters=zegel\n\
                 O Milter.macros.envfrom=i, {auth_type}, {auth_authen}\n\
                 Xzegel, S=local:/run/zegel/file.sock, F=T, T=C:10s;S:15s\n";
    examine(sound).expect(0);
    for (old, new, expected) in [
        ("F=T, ", "", "act default_action"),
        ("F=T", "F=R", "act default_action"),
        ("Filters=zegel", "Filters=", "act filter_not_used"),
        ("{auth_authen}", "{x}", "warning login_unknown"),
        ("file.sock", "other.sock", "act not_connected"),
        (
            "O Input",
            "DMexample.org\nO Input",
            "warning changed_behind",
        ),
    ] {
        let done = examine(&sound.replace(old, new)).expect(1);
        assert_eq!(codes(&done), [expected]);
    }
}

#[test]
fn reports_that_go_elsewhere_are_noted_with_the_record_that_adds_our_address() {
    let setup = setup();
    let text = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let reports = "[reports]\naddress = \"dmarc@relay.example\"\n";
    setup.write("zegel.toml", &format!("{text}{reports}"));
    // What the keeper would have seen.
    let seen = |record: &str| {
        let seen = format!(
            "{{\"domains\": {{\"voorbeeld.nl\": {{\"checked\": \"2026-01-02T00:00:00Z\", \
             \"spf\": [], \"dmarc\": [\"{record}\"], \"findings\": []}}}}}}"
        );
        setup.write("keys/keeper.seen/voorbeeld.json", &seen);
    };
    let examined = || examine(&setup, PARAMETERS, SERVICES, "3.9.1").expect(0);
    assert_eq!(codes(&examined()), [""; 0]);
    fs::create_dir_all(setup.path("keys/keeper.seen")).unwrap();
    seen("v=DMARC1; p=none; rua=mailto:dmarc@relay.example");
    assert_eq!(codes(&examined()), [""; 0]);
    seen("v=DMARC1; p=none; rua=mailto:a@elders.example");
    let done = examined();
    assert_eq!(codes(&done), ["note reports_elsewhere"]);
    let record = "_dmarc.voorbeeld.nl TXT \"v=DMARC1; p=none; \
                  rua=mailto:a@elders.example,mailto:dmarc@relay.example\"";
    let command = done.json()["findings"][0]["command"].to_string();
    assert!(command.contains(&record.replace('"', "\\\"")), "{command}");
}
