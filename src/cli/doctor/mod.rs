//! `zegel doctor`: what in the settings of the MTA, and around the sockets, is dangerous; and
//! whether DMARC reports go elsewhere.

mod postfix;
mod system;

use std::{
    cmp::Reverse,
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde::Serialize;

use self::postfix::{Postmap, postconf};
use super::{
    context::Context,
    failure::Failure,
    message,
    output::{Output, printable},
    status::Status,
};
use crate::{
    config::{ListenerSettings, Loaded, Socket},
    doctor::{self, Finding, NoTables, Ours, Postfix},
    words::Severity,
};

/// Where Sendmail has its settings.
const SENDMAIL_CF: &str = "/etc/mail/sendmail.cf";
/// A listener on this host answers at once.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Args, Debug)]
pub(super) struct DoctorArguments {
    /// The folder of main.cf and master.cf [default: that of postconf]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["postconf_n", "sendmail_cf"])]
    postfix: Option<PathBuf>,

    /// What `postconf -n` printed, perhaps on another host; sockets are not looked at then
    #[arg(long, value_name = "FILE", requires = "postconf_m")]
    postconf_n: Option<PathBuf>,

    /// What `postconf -M` printed
    #[arg(long, value_name = "FILE", requires = "postconf_n")]
    postconf_m: Option<PathBuf>,

    /// The version of that Postfix, such as 3.7.11
    #[arg(long, value_name = "VERSION", requires = "postconf_n")]
    postfix_version: Option<String>,

    /// A sendmail.cf; sockets are not looked at then
    #[arg(long, value_name = "FILE", conflicts_with = "postconf_n")]
    sendmail_cf: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    /// What was looked at.
    mta: String,
    /// Nothing but notes.
    good: bool,
    findings: Vec<Finding>,
}

pub(super) fn run(arguments: &DoctorArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let settings = &loaded.settings;
    let ours = Ours {
        listeners: &settings.listeners,
        connections: settings.limits.connections,
    };
    let (mta, mut findings) = look(arguments, ours)?;
    findings.extend(reports(&loaded));
    let report = Report {
        mta,
        good: findings.iter().all(|one| one.severity == Severity::Note),
        findings,
    };
    if arguments.json {
        context.output.json(&report);
    } else {
        report.print(&mut context.output);
    }
    Ok(Status::of_check(report.good))
}

fn look(arguments: &DoctorArguments, ours: Ours<'_>) -> Result<(String, Vec<Finding>), Failure> {
    if let Some(file) = &arguments.sendmail_cf {
        return sendmail(file, ours);
    }
    if let (Some(parameters), Some(services)) = (&arguments.postconf_n, &arguments.postconf_m) {
        let version = arguments.postfix_version.as_deref();
        let postfix = Postfix::parse(&text(parameters)?, &text(services)?, version);
        let findings = doctor::examine_postfix(&postfix, ours, &NoTables);
        return Ok((named(version), findings));
    }
    let folder = arguments.postfix.as_deref();
    let Some(version) = postconf(folder, &["-h", "mail_version"])? else {
        if Path::new(SENDMAIL_CF).exists() {
            let (mta, mut findings) = sendmail(Path::new(SENDMAIL_CF), ours)?;
            findings.extend(sockets(ours.listeners, None));
            return Ok((mta, findings));
        }
        return Err(Failure::Other(format!(
            "there is no postconf and no {SENDMAIL_CF}; name the settings with --postconf-n and \
             --postconf-m, or with --sendmail-cf"
        )));
    };
    let ask = |option| postconf(folder, &[option]).map(Option::unwrap_or_default);
    let mut postfix = Postfix::parse(&ask("-n")?, &ask("-M")?, Some(&version));
    if let Some(folder) = folder {
        postfix = postfix.in_folder(folder);
    }
    let mut findings = doctor::examine_postfix(&postfix, ours, &Postmap::new(folder));
    findings.extend(sockets(ours.listeners, Some(&postfix)));
    findings.sort_by_key(|finding| Reverse(finding.severity));
    Ok((named(Some(version.trim())), findings))
}

/// What is to be said of the DMARC records that the keeper saw. What can't be read says nothing:
/// this is about the MTA first.
fn reports(loaded: &Loaded) -> Vec<Finding> {
    let Some(address) = loaded.settings.report_address() else {
        return Vec::new();
    };
    let Ok(view) = loaded
        .settings
        .open_keystore()
        .and_then(|keystore| keystore.view())
    else {
        return Vec::new();
    };
    let organisations = loaded.organisations.iter();
    let seen = organisations.map(|one| {
        let sightings = view.sightings(&one.id).unwrap_or_default().0;
        (one, sightings)
    });
    let seen: Vec<_> = seen.collect();
    let records = seen.iter().flat_map(|(organisation, sightings)| {
        let sending = organisation.domains.iter().map(|domain| (domain, false));
        let parked = organisation.parked.iter().map(|domain| (domain, true));
        let all = sending.chain(parked);
        all.filter_map(|(domain, parked)| {
            let sighting = sightings.domains.get(domain)?;
            let owner = sighting.dmarc_owner.as_deref();
            let texts = sighting.dmarc.as_deref()?;
            let is_own = owner.is_none_or(|owner| owner == domain.as_str());
            is_own.then_some(doctor::Record {
                domain,
                parked,
                texts,
            })
        })
    });
    doctor::examine_reports(records, address)
}

fn named(version: Option<&str>) -> String {
    version.map_or("Postfix".to_owned(), |version| format!("Postfix {version}"))
}

fn sendmail(file: &Path, ours: Ours<'_>) -> Result<(String, Vec<Finding>), Failure> {
    let findings = doctor::examine_sendmail(&text(file)?, ours);
    Ok((format!("Sendmail ({})", file.display()), findings))
}

fn text(file: &Path) -> Result<String, Failure> {
    let octets = message::read(Some(file))?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// What is to be said of the sockets of this host.
fn sockets(listeners: &[ListenerSettings], postfix: Option<&Postfix>) -> Vec<Finding> {
    let account = postfix.and_then(|postfix| system::account(&postfix.mail_owner()));
    let mut findings = Vec::new();
    for listener in listeners {
        let file = match (&listener.socket, postfix) {
            (Socket::Tcp(address), _) => {
                if TcpStream::connect_timeout(address, PATIENCE).is_err() {
                    findings.push(doctor::unreachable(*address));
                }
                continue;
            }
            (Socket::Unix { path, .. }, None) => Some(path.clone()),
            (_, postfix) => postfix.and_then(|postfix| postfix.socket_file(listener)),
        };
        if let Some(file) = file {
            let seen = system::way_to(&file);
            findings.extend(doctor::examine_socket(&file, &seen, account.as_ref()));
        }
    }
    findings
}

impl Report {
    fn print(&self, output: &mut Output) {
        for finding in &self.findings {
            output.line(format_args!(
                "{}: {} [{}]\n    why: {}\n    do:  {}",
                match finding.severity {
                    Severity::Act => "danger",
                    other => other.as_str(),
                },
                printable(&finding.found),
                finding.code,
                finding.why,
                printable(&finding.command)
            ));
        }
        let count = |severity| {
            self.findings
                .iter()
                .filter(|one| one.severity == severity)
                .count()
        };
        output.line(format_args!(
            "{}: dangers: {}, warnings: {}, notes: {}",
            printable(&self.mta),
            count(Severity::Act),
            count(Severity::Warning),
            count(Severity::Note)
        ));
    }
}
