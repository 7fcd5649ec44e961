//! The settings of an instance, from m4 to .cf.

use std::path::Path;
use std::process::Command;

use super::super::process::program;
use super::super::{fragment, logins};
use super::{HOST_NAME, SendmailOptions, root};

/// The socket that the fragment names.
const SOCKET: &str = "local:/run/zegel-socket/relay.sock";

/// Another one, in a comment of the fragment.
const SUBMISSION_SOCKET: &str = "local:/run/zegel-socket/submission.sock";
const COMMENT: &str = "dnl #     ";
const SUBMISSION_FILTER: &str = "dnl #     MAIL_FILTER(`zegel-submission'";

/// The fragment that users copy, with the addresses of the milters in it.
pub(super) fn milter_fragment(options: &SendmailOptions) -> String {
    let mut fragment = fragment("sendmail/zegel.mc");
    for text in [SOCKET, SUBMISSION_SOCKET, SUBMISSION_FILTER] {
        assert!(fragment.contains(text), "conf/sendmail/zegel.mc has {text}");
    }
    if let Some(milter) = &options.submission_milter {
        let filter = SUBMISSION_FILTER.trim_start_matches(COMMENT);
        fragment = fragment
            .replace(SUBMISSION_FILTER, filter)
            .replace(SUBMISSION_SOCKET, &socket(milter));
    }
    fragment.replace(SOCKET, &socket(&options.milter))
}

/// The address of a milter in the words of Sendmail.
fn socket(milter: &str) -> String {
    if let Some(path) = milter.strip_prefix("unix:") {
        let name = Path::new(path).file_name().expect("a socket has a name");
        format!("local:/run/zegel/{}", name.display())
    } else {
        let (host, port) = milter
            .strip_prefix("inet:")
            .and_then(|address| address.rsplit_once(':'))
            .unwrap_or_else(|| panic!("{milter} is neither unix:/path nor inet:address:port"));
        format!("inet:{port}@{host}")
    }
}

/// The settings of the server, which listens on these two ports.
pub(super) fn sendmail_mc(options: &SendmailOptions, [relay, submission]: [u16; 2]) -> String {
    let filters = match options.submission_milter {
        Some(_) => ", InputMailFilters=zegel-submission",
        None => "",
    };
    format!(
        "VERSIONID(`the test bed of Zegel')dnl
OSTYPE(`linux')dnl
undefine(`ALIAS_FILE')dnl
define(`HELP_FILE', `')dnl
define(`STATUS_FILE', `/run/testbed/statistics')dnl
define(`QUEUE_DIR', `/run/testbed/queue')dnl
define(`confPID_FILE', `/run/testbed/sendmail.pid')dnl
define(`confSERVICE_SWITCH_FILE', `/run/testbed/service.switch')dnl
define(`confDOMAIN_NAME', `{HOST_NAME}')dnl
define(`confDEF_USER_ID', `8:8')dnl
define(`confLOG_LEVEL', `14')dnl
define(`confTO_IDENT', `0')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confDELAY_LA', `0')dnl
define(`confMIN_QUEUE_AGE', `0')dnl
define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl
define(`confAUTH_REALM', `{realm}')dnl
TRUST_AUTH_MECH(`PLAIN LOGIN')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {sink}')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`MAIL_HUB', `relay:[127.0.0.1]')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
DAEMON_OPTIONS(`Name=relay, Family=inet, Addr=127.0.0.1, Port={relay}')dnl
DAEMON_OPTIONS(`Name=submission, Family=inet, Addr=127.0.0.1, Port={submission}, M=Ea{filters}')dnl
{extra}
include(`zegel.mc')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
LOCAL_CONFIG
ESASL_CONF_PATH=/run/testbed/sasl
{last}",
        last = options.last.concat(),
        realm = logins::REALM,
        sink = options.sink_port,
        extra = options.mc.join("\n"),
    )
}

/// The settings of `sendmail -t`: everything goes to the relay port.
pub(super) fn submit_mc(relay: u16) -> String {
    format!(
        "VERSIONID(`the test bed of Zegel, submission')dnl
OSTYPE(`linux')dnl
define(`MSP_QUEUE_DIR', `/run/testbed/client-queue')dnl
define(`STATUS_FILE', `')dnl
define(`confRUN_AS_USER', `mail:mail')dnl
define(`confSERVICE_SWITCH_FILE', `/run/testbed/service.switch')dnl
define(`confDOMAIN_NAME', `{HOST_NAME}')dnl
define(`confTO_IDENT', `0')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {relay}')dnl
define(`SMTP_MAILER_ARGS', `TCP $h {relay}')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {relay}')dnl
FEATURE(`msp', `[127.0.0.1]')dnl
"
    )
}

/// Makes the .cf file of `NAME.mc`.
pub(super) fn expand(folder: &Path, name: &str) -> Vec<u8> {
    let sources = root().join("usr/share/sendmail/cf");
    let made = Command::new(program("/usr/bin/m4"))
        .current_dir(folder)
        .arg(format!("-D_CF_DIR_={}/", sources.display()))
        .arg(sources.join("m4/cf.m4"))
        .arg(format!("{name}.mc"))
        .output()
        .expect("m4 runs");
    let complaints = String::from_utf8_lossy(&made.stderr);
    assert!(
        made.status.success() && complaints.is_empty(),
        "m4 does not take {name}.mc: {complaints}"
    );
    made.stdout
}
