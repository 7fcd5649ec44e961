//! `zegel doctor`: what master.cf says counts for its service, and the advice is for the place
//! where the cause is. Every command is run by a shell, on real files and with the real postconf.

use std::{
    fs,
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use super::doctor::{codes, set_mode};
use crate::setup::{Done, Setup};

pub(super) const MAIN: &str = "\
compatibility_level = 3.6
mail_owner = postfix
internal_mail_filter_classes = bounce
message_strip_characters = \\0
milter_default_action = tempfail
smtpd_forbid_bare_newline = normalize
smtpd_milters = unix:zegel/relay.sock
non_smtpd_milters = $smtpd_milters
";
const MASTER: &str = "\
smtp       inet  n - y - - smtpd
submission inet  n - y - - smtpd
  -o smtpd_sasl_auth_enable=yes
pickup     unix  n - y 60 1 pickup
cleanup    unix  n - y - 0 cleanup
second     unix  n - y - 0 cleanup
bounce     unix  - - y - 0 bounce
smtp       unix  - - y - - smtp
relay      unix  - - y - - smtp
lmtp       unix  - - y - - lmtp
";

/// A Postfix of which nothing is to be said.
pub(super) struct Files {
    pub(super) setup: Setup,
    _listener: UnixListener,
}

impl Files {
    pub(super) fn new() -> Self {
        Self::of(MAIN, MASTER)
    }

    pub(super) fn of(main: &str, master: &str) -> Self {
        let setup = Setup::new();
        let text = fs::read_to_string(setup.path("zegel.toml")).unwrap();
        let listener = "[[listener]]\nname = \"relay\"\nsocket = \"fd:relay\"\n";
        setup.write("zegel.toml", &format!("{text}{listener}"));
        let spool = setup.path("spool");
        fs::create_dir_all(spool.join("zegel")).unwrap();
        fs::create_dir(setup.path("postfix")).unwrap();
        let queue = format!("queue_directory = {}\n", spool.display());
        setup.write("postfix/main.cf", &format!("{main}{queue}"));
        setup.write("postfix/master.cf", master);
        let socket = spool.join("zegel/relay.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        set_mode(&socket, 0o660);
        set_mode(&setup.path(""), 0o755);
        let mut chown = Command::new("chown");
        succeeded(&chown.arg("postfix").arg(&socket).output().unwrap());
        Self {
            setup,
            _listener: listener,
        }
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.setup.path("postfix")
    }

    pub(super) fn doctor(&self) -> Done {
        let folder = self.folder();
        let folder = folder.to_str().unwrap();
        self.setup.run(["doctor", "--json", "--postfix", folder])
    }

    /// `-P service/name=value` or `-e name=value`, as an administrator would.
    pub(super) fn postconf(&self, option: &str, text: &str) {
        let mut command = Command::new("/usr/sbin/postconf");
        command.arg("-c").arg(self.folder()).args([option, text]);
        succeeded(&command.output().unwrap());
    }

    /// Does what each finding says.
    fn do_as_told(done: &Done) -> Vec<String> {
        run_commands(done, |_| true)
    }

    /// Does what each finding says that is more than a note.
    pub(super) fn do_what_must_be_done(done: &Done) -> Vec<String> {
        run_commands(done, |finding| finding["severity"] != "note")
    }

    fn without_folder(&self, command: &str) -> String {
        command.replace(&format!(" -c {}", self.folder().display()), "")
    }
}

fn run_commands(done: &Done, is_meant: impl Fn(&Value) -> bool) -> Vec<String> {
    let report = done.json();
    let findings = report["findings"].as_array().unwrap().iter();
    let commands: Vec<String> = findings
        .filter(|one| is_meant(one))
        .map(|one| one["command"].as_str().unwrap().to_owned())
        .collect();
    for command in &commands {
        let path = "PATH=/usr/sbin:/usr/bin:/bin";
        let shell = format!("{path}; {command}");
        succeeded(&Command::new("sh").args(["-c", &shell]).output().unwrap());
    }
    commands
}

#[track_caller]
fn succeeded(output: &Output) {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
}

/// What is put in, by `-P` or `-e`; what is said then; the command that puts it right.
type Case = (&'static str, &'static str, &'static str);

/// Doctor says of each what it has to, and nothing is left to say when it has been done.
#[track_caller]
fn all_are_put_right(cases: &[Case]) {
    let files = Files::new();
    let checks = files.setup.write("checks", "/^DKIM-Signature:/ IGNORE\n");
    for (planted, ..) in cases {
        let planted = planted.replace("CHECKS", &checks);
        let is_of_service = planted.split('=').next().unwrap().contains('/');
        files.postconf(if is_of_service { "-P" } else { "-e" }, &planted);
    }
    let done = files.doctor();
    let report = done.json();
    let findings = report["findings"].as_array().unwrap().iter();
    let mut found: Vec<[String; 2]> = findings
        .map(|one| {
            let command = files.without_folder(one["command"].as_str().unwrap());
            let command = command.split(" # ").next().unwrap().to_owned();
            [one["code"].as_str().unwrap().to_owned(), command]
        })
        .collect();
    let expected = cases
        .iter()
        .map(|(_, code, command)| [(*code).to_owned(), (*command).to_owned()]);
    let mut expected: Vec<[String; 2]> = expected.collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{report:#}");
    Files::do_as_told(&done);
    assert_eq!(codes(&files.doctor().expect(0)), [""; 0]);
}

#[test]
fn what_master_cf_says_is_found_and_put_right_there() {
    all_are_put_right(&[
        (
            "smtp/inet/receive_override_options=no_milters",
            "no_milters",
            "postconf -PX smtp/inet/receive_override_options",
        ),
        (
            "submission/inet/smtpd_milters=",
            "submission_unsigned",
            "postconf -PX submission/inet/smtpd_milters",
        ),
        (
            "smtp/inet/smtpd_forbid_bare_newline=no",
            "bare_newline",
            "postconf -PX smtp/inet/smtpd_forbid_bare_newline",
        ),
        (
            "smtp/inet/smtputf8_enable=no",
            "no_smtputf8",
            "postconf -PX smtp/inet/smtputf8_enable",
        ),
        (
            "pickup/unix/receive_override_options=no_milters",
            "local_mail_unsigned",
            "postconf -PX pickup/unix/receive_override_options",
        ),
        (
            "relay/unix/smtp_header_checks=regexp:CHECKS",
            "changed_behind",
            "postconf -PX relay/unix/smtp_header_checks",
        ),
        (
            "relay/unix/smtp_generic_maps=inline:{a@b.example=c@d.example}",
            "changed_behind",
            "postconf -PX relay/unix/smtp_generic_maps",
        ),
        (
            "smtp/unix/smtp_mime_header_checks=regexp:CHECKS",
            "changed_behind",
            "postconf -PX smtp/unix/smtp_mime_header_checks",
        ),
        (
            "lmtp/unix/lmtp_body_checks=regexp:CHECKS",
            "changed_behind",
            "postconf -PX lmtp/unix/lmtp_body_checks",
        ),
        (
            "smtp/unix/smtp_discard_ehlo_keywords=8bitmime,chunking",
            "eight_bit_downgrade",
            "postconf -P smtp/unix/smtp_discard_ehlo_keywords=chunking",
        ),
        (
            "cleanup/unix/milter_header_checks=regexp:CHECKS",
            "signature_dropped",
            "postconf -PX cleanup/unix/milter_header_checks",
        ),
        (
            "cleanup/unix/milter_default_action=accept",
            "default_action",
            "postconf -PX cleanup/unix/milter_default_action",
        ),
        (
            "cleanup/unix/message_strip_characters=",
            "nul",
            "postconf -PX cleanup/unix/message_strip_characters",
        ),
        (
            "bounce/unix/internal_mail_filter_classes=",
            "bounces_unsigned",
            "postconf -PX bounce/unix/internal_mail_filter_classes",
        ),
    ]);
}

#[test]
fn how_a_service_deals_with_the_milter_is_found_and_put_right_there() {
    all_are_put_right(&[
        (
            "smtp/inet/smtpd_milters={unix:zegel/relay.sock,default_action=accept}",
            "default_action",
            "postconf -P 'smtp/inet/smtpd_milters={unix:zegel/relay.sock,default_action=tempfail}'",
        ),
        (
            "smtp/inet/milter_protocol=4",
            "old_protocol",
            "postconf -PX smtp/inet/milter_protocol",
        ),
        (
            "submission/inet/milter_default_action=accept",
            "default_action",
            "postconf -PX submission/inet/milter_default_action",
        ),
        (
            "submission/inet/milter_content_timeout=1s",
            "timeout",
            "postconf -PX submission/inet/milter_content_timeout",
        ),
        (
            "submission/inet/milter_macro_defaults=auth_authen=crm",
            "login_for_everyone",
            "postconf -PX submission/inet/milter_macro_defaults",
        ),
    ]);
    all_are_put_right(&[
        (
            "smtp/inet/receive_override_options=no_header_body_checks,no_milters",
            "no_milters",
            "postconf -P smtp/inet/receive_override_options=no_header_body_checks",
        ),
        (
            "smtp/inet/smtpd_milters=unix:zegel/relay.sock,inet:localhost:11332",
            "milter_behind",
            "postconf -P smtp/inet/smtpd_milters=inet:localhost:11332,unix:zegel/relay.sock",
        ),
        (
            "submission/inet/smtpd_milters=inet:localhost:11332",
            "submission_unsigned",
            "postconf -P submission/inet/smtpd_milters=inet:localhost:11332,unix:zegel/relay.sock",
        ),
        (
            "cleanup/unix/non_smtpd_milters=",
            "local_mail_unsigned",
            "postconf -PX cleanup/unix/non_smtpd_milters",
        ),
    ]);
}

#[test]
fn what_main_cf_says_is_put_right_there_and_keeps_what_is_not_meant() {
    all_are_put_right(&[
        (
            "receive_override_options=no_address_mappings no_milters",
            "no_milters",
            "postconf -e 'receive_override_options = no_address_mappings'",
        ),
        (
            "milter_header_checks=regexp:CHECKS",
            "signature_dropped",
            "postconf -X milter_header_checks",
        ),
        (
            "smtpd_milters={ unix:zegel/relay.sock, default_action=reject, connect_timeout=5s }",
            "default_action",
            "postconf -e 'smtpd_milters = { unix:zegel/relay.sock, connect_timeout=5s, \
             default_action=tempfail }'",
        ),
        (
            "milter_macro_defaults={auth_authen}=x, {other=y}",
            "login_for_everyone",
            "postconf -e 'milter_macro_defaults = {other=y}'",
        ),
        (
            "smtp_discard_ehlo_keywords=8BITMIME",
            "eight_bit_downgrade",
            "postconf -X smtp_discard_ehlo_keywords",
        ),
    ]);
    all_are_put_right(&[(
        "smtpd_milters=unix:zegel/relay.sock { inet:localhost:11332, default_action=accept }",
        "milter_behind",
        "postconf -e 'smtpd_milters = { inet:localhost:11332, default_action=accept }, \
         unix:zegel/relay.sock'",
    )]);
}

/// A service may have its own cleanup service, or names of its own for values.
#[test]
fn a_service_is_resolved_with_what_it_names() {
    let files = Files::new();
    let checks = files.setup.write("checks", "/^DKIM-/ IGNORE\n");
    let table = format!("second/unix/milter_header_checks=regexp:{checks}");
    files.postconf("-P", &table);
    assert_eq!(
        codes(&files.doctor().expect(0)),
        [""; 0],
        "nothing comes to it"
    );
    files.postconf("-P", "smtp/inet/cleanup_service_name=second");
    let done = files.doctor().expect(1);
    assert_eq!(codes(&done), ["act signature_dropped"]);
    let commands = Files::do_as_told(&done);
    assert!(commands[0].contains("-PX second/unix/milter_header_checks"));
    assert_eq!(codes(&files.doctor().expect(0)), [""; 0]);

    for (value, expected) in [
        ("${no_such_setting?x}${no_such_setting:$outer}", &[][..]),
        ("${outer?{}:{x}}", &["warning submission_unsigned"]),
    ] {
        files.postconf("-e", "outer=unix:zegel/relay.sock");
        files.postconf("-P", &format!("submission/inet/smtpd_milters={value}"));
        assert_eq!(codes(&files.doctor()), expected, "{value}");
    }
}

/// The fields that a pattern leaves alone are none of our business.
#[test]
fn tables_are_asked_as_postfix_asks_them() {
    let files = Files::new();
    for (pattern, expected) in [
        ("/^X-Spam:/ IGNORE", &[][..]),
        ("/^DKIM-Signature:/ WARN seen", &[]),
        (
            "/^DKIM-Signature:/ REPLACE X: y",
            &["act signature_dropped"],
        ),
        ("/^D/ REJECT", &["act signature_dropped"]),
        ("/^D/ DUNNO\n/^DKIM/ IGNORE", &[]),
    ] {
        let checks = files.setup.write("checks", &format!("{pattern}\n"));
        files.postconf("-e", &format!("milter_header_checks=regexp:{checks}"));
        assert_eq!(codes(&files.doctor()), expected, "{pattern}");
    }
    files.postconf("-e", "milter_header_checks=regexp:/does/not/exist");
    let found = codes(&files.doctor().expect(1));
    assert_eq!(found, ["warning milter_header_checks"]);
    files.postconf("-X", "milter_header_checks");

    for (line, expected) in [
        ("127.0.0.0/30 DISABLE", "act milter_maps"),
        ("127.0.0.0/8 inet:localhost:11332", "act milter_maps"),
        ("::1 disable", "act milter_maps"),
        ("198.51.100.0/24 DISABLE", "note milter_maps"),
        ("127.0.0.0/8 unix:zegel/relay.sock", "note milter_maps"),
    ] {
        let clients = files.setup.write("clients", &format!("{line}\n"));
        files.postconf("-P", &format!("smtp/inet/smtpd_milter_maps=cidr:{clients}"));
        assert_eq!(codes(&files.doctor()), [expected], "{line}");
    }
    files.postconf("-PX", "smtp/inet/smtpd_milter_maps");
    files.postconf("-e", "smtpd_milter_maps=cidr:{{127.0.0.1 DISABLE}}");
    assert_eq!(codes(&files.doctor()), ["act milter_maps"]);
    // The table alone may name us.
    files.postconf(
        "-e",
        "smtpd_milter_maps=cidr:{{127.0.0.0/8 unix:zegel/relay.sock}, {::1 unix:zegel/relay.sock}}",
    );
    files.postconf("-P", "smtp/inet/smtpd_milters=");
    // What is left concerns the service that has both.
    assert_eq!(codes(&files.doctor().expect(0)), ["note milter_maps"]);
}

#[test]
fn each_instance_is_looked_at_on_its_own() {
    let files = Files::new();
    files.postconf(
        "-e",
        "multi_instance_directories=/etc/postfix-in /etc/postfix-out",
    );
    let done = files.doctor().expect(0);
    let report = done.json();
    for (index, name) in ["in", "out"].into_iter().enumerate() {
        let command = &report["findings"][index]["command"];
        assert_eq!(
            command,
            &format!("zegel doctor --postfix /etc/postfix-{name}")
        );
    }
}
