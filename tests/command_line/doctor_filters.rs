//! `zegel doctor` around content filters: whatever the lay-out is, its advice leads to one that
//! signs our mail once and no forgery, and of which nothing is left to say.

use super::{
    doctor::codes,
    doctor_services::{Files, MAIN},
};
use crate::setup::Done;

const MASTER: &str = "\
smtp       inet  n - y - - smtpd
submission inet  n - y - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
pickup     unix  n - y 60 1 pickup
cleanup    unix  n - y - 0 cleanup
bounce     unix  - - y - 0 bounce
smtp       unix  - - y - - smtp
amavis     unix  - - y - 2 smtp
  -o smtp_send_xforward_command=yes
dspam      unix  - n n - 10 pipe
  flags=Ru user=dspam argv=/usr/bin/dspam --deliver=innocent --user ${recipient} -i -f ${sender}
";
/// As amavis has it in its README for Postfix.
const WAY_BACK: &str = "\
127.0.0.1:10025 inet n - y - - smtpd
  -o content_filter=
  -o mynetworks=127.0.0.0/8
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8
";
const WITHOUT_MILTER: &str = "  -o smtpd_milters=\n";

struct Layout {
    name: &'static str,
    main: &'static str,
    master: String,
    /// What is said at first.
    said: &'static [&'static str],
    /// What is still said when it has been done.
    left: &'static [&'static str],
}

fn service(name: &str, line: &str) -> String {
    let (before, behind) = MASTER.split_once(name).expect("a service");
    let (first, rest) = behind.split_once('\n').expect("a line");
    format!("{before}{name}{first}\n  {line}\n{rest}")
}

const AMAVIS: &str = "content_filter = amavis:[127.0.0.1]:10024\n";
const SIGNED_IN_FRONT: &[&str] = &["note before_content_filter"];

fn filters_after_the_queue() -> Vec<Layout> {
    vec![
        Layout {
            name: "as shipped",
            main: AMAVIS,
            master: format!("{MASTER}{WAY_BACK}{WITHOUT_MILTER}"),
            said: SIGNED_IN_FRONT,
            left: SIGNED_IN_FRONT,
        },
        Layout {
            name: "signed in front and behind",
            main: AMAVIS,
            master: format!("{MASTER}{WAY_BACK}"),
            said: &["act forgeries_signed", "note before_content_filter"],
            left: SIGNED_IN_FRONT,
        },
        Layout {
            name: "signed behind alone, as doctor once said",
            main: "content_filter = amavis:[127.0.0.1]:10024\nsmtpd_milters =\nnon_smtpd_milters =\n",
            master: format!("{MASTER}{WAY_BACK}  -o smtpd_milters=unix:zegel/relay.sock\n"),
            said: &[
                "act forgeries_signed",
                "warning unsigned_before_filter",
                "warning submission_unsigned",
                "warning local_mail_unsigned",
            ],
            left: SIGNED_IN_FRONT,
        },
        Layout {
            name: "our own mail has a filter of its own",
            main: AMAVIS,
            master: format!(
                "{}{WAY_BACK}{WITHOUT_MILTER}{}",
                service(
                    "submission",
                    "-o content_filter=amavis:[127.0.0.1]:10026 -o smtpd_milters="
                ),
                WAY_BACK.replace("10025", "10027")
            ),
            said: &["note signs_behind_filter", "note before_content_filter"],
            left: &["note signs_behind_filter", "note before_content_filter"],
        },
        Layout {
            name: "nothing but our own mail is filtered, and signed behind",
            main: "",
            master: format!(
                "{}{WAY_BACK}",
                service(
                    "submission",
                    "-o content_filter=amavis:[127.0.0.1]:10024 -o smtpd_milters="
                )
            ),
            said: &["note signs_behind_filter"],
            left: &["note signs_behind_filter"],
        },
        Layout {
            name: "nothing but our own mail is filtered, and signed twice",
            main: "",
            master: format!(
                "{}{WAY_BACK}",
                service("submission", "-o content_filter=amavis:[127.0.0.1]:10024")
            ),
            said: &["warning signed_twice", "note before_content_filter"],
            left: SIGNED_IN_FRONT,
        },
    ]
}

fn programs_proxies_and_second_passes() -> Vec<Layout> {
    vec![
        Layout {
            name: "dspam gives mail back by sendmail",
            main: "",
            master: service("smtp ", "-o content_filter=dspam:dummy"),
            said: &["act forgeries_signed", "note before_content_filter"],
            left: &["note local_mail_unsigned", "note before_content_filter"],
        },
        Layout {
            name: "dspam gives mail back by SMTP",
            main: "content_filter = dspam:dummy\n",
            master: format!("{MASTER}{}", WAY_BACK.replace("10025", "10026")),
            said: &["act forgeries_signed", "note before_content_filter"],
            left: SIGNED_IN_FRONT,
        },
        Layout {
            name: "a proxy before the queue",
            main: "",
            master: format!(
                "{}{WAY_BACK}",
                service("smtp ", "-o smtpd_proxy_filter=127.0.0.1:10024")
            ),
            said: &["act forgeries_signed", "note proxy_filter_unsigned"],
            left: &["note proxy_filter_unsigned"],
        },
        Layout {
            name: "a proxy before the queue for users too",
            main: "smtpd_proxy_filter = 127.0.0.1:10024\n",
            master: format!("{MASTER}{WAY_BACK}  -o smtpd_proxy_filter=\n"),
            said: &[
                "act forgeries_signed",
                "act proxy_filter_unsigned",
                "note proxy_filter_unsigned",
            ],
            left: &["note proxy_filter_unsigned"],
        },
        Layout {
            name: "addresses are mapped on the way back",
            main: "content_filter = amavis:[127.0.0.1]:10024\nmasquerade_domains = voorbeeld.nl\n\
                   receive_override_options = no_address_mappings\n",
            master: format!(
                "{MASTER}{WAY_BACK}{WITHOUT_MILTER}  -o receive_override_options=no_milters\n"
            ),
            said: &["warning changed_behind", "note before_content_filter"],
            left: SIGNED_IN_FRONT,
        },
        Layout {
            name: "the way back has a cleanup service with checks",
            main: AMAVIS,
            master: format!(
                "{MASTER}{WAY_BACK}{WITHOUT_MILTER}  -o cleanup_service_name=second\n\
                 second unix n - y - 0 cleanup\n  -o header_checks=regexp:/etc/postfix/checks\n"
            ),
            said: &["warning changed_behind", "note before_content_filter"],
            left: SIGNED_IN_FRONT,
        },
    ]
}

/// The codes, each once.
fn all_codes(done: &Done) -> Vec<String> {
    let mut codes = codes(done);
    let mut seen = Vec::new();
    codes.retain(|code| {
        let is_new = !seen.contains(code);
        seen.push(code.clone());
        is_new
    });
    codes
}

#[test]
fn the_advice_for_each_lay_out_leads_to_one_that_signs_once_and_no_forgery() {
    let mut wrong = Vec::new();
    let layouts = filters_after_the_queue().into_iter();
    for layout in layouts.chain(programs_proxies_and_second_passes()) {
        let is_named = |line: &&str| {
            let name = line.split(' ').next();
            layout.main.lines().any(|own| own.split(' ').next() == name)
        };
        let rest: Vec<&str> = MAIN.lines().filter(|line| !is_named(line)).collect();
        let main = format!("{}\n{}", rest.join("\n"), layout.main);
        let files = Files::of(&main, &layout.master);
        let done = files.doctor();
        let commands = Files::do_what_must_be_done(&done);
        let after = files.doctor();
        let is_right = all_codes(&done) == layout.said
            && all_codes(&after) == layout.left
            && after.status == 0;
        if !is_right {
            let name = layout.name;
            wrong.push(format!(
                "{name}:\n{}\n{commands:#?}\n{}",
                done.out, after.out
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// It is what is dangerous there.
#[test]
fn loopback_is_called_what_must_not_be_outbound() {
    let files = Files::of(&format!("{MAIN}{AMAVIS}"), &format!("{MASTER}{WAY_BACK}"));
    let report = files.doctor().expect(1).json();
    let finding = &report["findings"][0];
    for (part, text) in [
        (
            "found",
            "127.0.0.1:10025/inet counts as outbound on the listener relay",
        ),
        ("why", "127.0.0.1 must not be outbound on its way back"),
        ("command", "-P 127.0.0.1:10025/inet/smtpd_milters="),
    ] {
        assert!(finding[part].as_str().unwrap().contains(text), "{finding}");
    }
    // A listener that takes no mail of this host for ours signs none of it.
    let text = std::fs::read_to_string(files.setup.path("zegel.toml")).unwrap();
    let rule = "outbound = { authenticated = true, networks = [\"192.0.2.0/24\"] }\n";
    files.setup.write("zegel.toml", &format!("{text}{rule}"));
    assert_eq!(codes(&files.doctor().expect(0)), SIGNED_IN_FRONT);
}
