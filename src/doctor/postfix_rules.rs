//! What is dangerous in the settings of a Postfix from 3.5 to 3.11.

mod mail;

use std::cmp::Reverse;

use super::{
    Finding, Ours, milter_address,
    postfix::{Milter, Postfix, Service, seconds},
};
use crate::{config::ListenerSettings, shell, words::Severity};

/// Everything that is to be said.
pub fn examine(postfix: &Postfix, ours: Ours<'_>) -> Vec<Finding> {
    let mut examination = Examination {
        postfix,
        ours,
        findings: Vec::new(),
    };
    examination.connected();
    examination.services();
    examination.processes();
    examination.bare_newline();
    examination.behind_the_milter();
    let mut findings = Vec::new();
    for finding in examination.findings {
        // What holds for both lists of milters is found in each.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings.sort_by_key(|finding| Reverse(finding.severity));
    findings
}

struct Examination<'a> {
    postfix: &'a Postfix,
    ours: Ours<'a>,
    findings: Vec<Finding>,
}

/// A milter of the MTA that is a listener of ours.
struct Link<'a> {
    milter: Milter,
    listener: &'a ListenerSettings,
}

impl<'a> Examination<'a> {
    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        (found, why, command): (String, &'static str, String),
    ) {
        self.findings.push(Finding {
            severity,
            code,
            found,
            why,
            command,
        });
    }

    fn links(&self, service: Option<&Service>, name: &str) -> Vec<Link<'a>> {
        let milters = self.postfix.milters(service, name);
        let links = milters.into_iter().filter_map(|milter| {
            let mut listeners = self.ours.listeners.iter();
            let listener = listeners.find(|listener| self.postfix.is(&milter, listener))?;
            Some(Link { milter, listener })
        });
        links.collect()
    }

    /// A setting with one more milter behind those that are there.
    fn behind(&self, name: &str, milter: &str) -> String {
        match self.setting(name).trim() {
            "" => milter.to_owned(),
            others => format!("{others}, {milter}"),
        }
    }

    fn smtpd(&self) -> Vec<Option<&'a Service>> {
        let services = self.postfix.services.iter().filter(|one| one.is_smtpd());
        let services: Vec<_> = services.map(Some).collect();
        if services.is_empty() {
            vec![None]
        } else {
            services
        }
    }

    /// Whether mail comes to us at all.
    fn connected(&mut self) {
        let address = self
            .ours
            .listeners
            .iter()
            .find(|one| !one.observe)
            .map(|one| milter_address(&one.socket));
        let address = address.unwrap_or_default();
        let services = self.smtpd();
        let mut all = services.iter();
        if all.all(|service| self.links(*service, "smtpd_milters").is_empty()) {
            self.add(
                Severity::Act,
                "not_connected",
                (
                    "smtpd_milters names no listener of Zegel".to_owned(),
                    "mail that comes by SMTP leaves unsigned",
                    format!(
                        "postconf -e {}",
                        set("smtpd_milters", &self.behind("smtpd_milters", &address))
                    ),
                ),
            );
        }
        if self.links(None, "non_smtpd_milters").is_empty() {
            self.add(
                Severity::Warning,
                "local_mail_unsigned",
                (
                    "non_smtpd_milters names no listener of Zegel".to_owned(),
                    "mail of sendmail(1), cron and web applications leaves unsigned",
                    format!(
                        "postconf -e {}",
                        set(
                            "non_smtpd_milters",
                            &self.behind("non_smtpd_milters", "$smtpd_milters")
                        )
                    ),
                ),
            );
        }
        if self
            .setting("receive_override_options")
            .contains("no_milters")
        {
            self.add(
                Severity::Act,
                "no_milters",
                (
                    "receive_override_options in main.cf has no_milters".to_owned(),
                    "it switches the milters off for all mail",
                    "postconf -X receive_override_options".to_owned(),
                ),
            );
        }
        if !self
            .setting("internal_mail_filter_classes")
            .contains("bounce")
        {
            self.add(
                Severity::Note,
                "bounces_unsigned",
                (
                    "internal_mail_filter_classes is without bounce".to_owned(),
                    "bounces of this host leave unsigned",
                    "postconf -e 'internal_mail_filter_classes = bounce'".to_owned(),
                ),
            );
        }
    }

    fn setting(&self, name: &str) -> String {
        self.postfix.get(None, name).unwrap_or_default()
    }

    fn services(&mut self) {
        for service in self.smtpd() {
            let links = self.links(service, "smtpd_milters");
            let name = service.map_or("smtp/inet", |service| &service.name);
            let submits = ["submission", "smtps", "587/", "465/"];
            if links.is_empty()
                && submits.iter().any(|word| name.contains(word))
                && service.is_some_and(|service| service.sets("smtpd_milters"))
            {
                self.add(
                    Severity::Warning,
                    "submission_unsigned",
                    (
                        format!(
                            "the service {name} sets smtpd_milters without a listener of Zegel"
                        ),
                        "mail of users that have logged in leaves unsigned",
                        format!("postconf -PX {name}/smtpd_milters"),
                    ),
                );
            }
            for link in &links {
                self.link(service, link);
                self.chroot(service, link);
            }
            let filter = self
                .postfix
                .get(service, "content_filter")
                .unwrap_or_default();
            if !links.is_empty() && !filter.is_empty() {
                self.add(Severity::Warning, "before_content_filter", (
                    format!("the service {name} signs, then hands mail to content_filter = {filter}"),
                    "whatever the filter changes breaks the signature; sign where the mail comes \
                     back from it if it changes mail",
                    format!("postconf -P '{name}/smtpd_milters=' # and leave it in behind the filter"),
                ));
            }
        }
        for link in self.links(None, "non_smtpd_milters") {
            self.link(None, &link);
            let services = &self.postfix.services;
            let cleanup = services.iter().find(|one| one.program == "cleanup");
            self.chroot(cleanup, &link);
        }
    }

    /// How Postfix deals with one milter.
    fn link(&mut self, service: Option<&Service>, link: &Link<'_>) {
        let get = |name| self.postfix.of_milter(service, (&link.milter, name));
        let action = get("default_action").unwrap_or_else(|| "tempfail".to_owned());
        let protocol = get("protocol");
        let timeouts = [
            ("connect_timeout", 2, 60),
            ("command_timeout", 5, 120),
            ("content_timeout", 10, 300),
        ];
        let timeouts = timeouts.map(|(name, least, most)| (name, get(name), least, most));
        self.default_action(link, action.as_str());
        if let Some(version) =
            protocol.filter(|text| text.parse().is_ok_and(|number: u32| number < 6))
        {
            self.add(Severity::Warning, "old_protocol", (
                format!("milter_protocol = {version}"),
                "below 6 Postfix hides the blank behind the colon of a field, and simple header \
                 canonicalisation cannot be used",
                "postconf -e 'milter_protocol = 6'".to_owned(),
            ));
        }
        for (name, value, least, most) in timeouts {
            let Some(value) = value else { continue };
            let Some(time) = seconds(&value) else {
                continue;
            };
            if time < least || time > most {
                self.add(Severity::Warning, "timeout", (
                    format!("milter_{name} = {value}"),
                    "too short, and a busy moment puts mail off; too long, and SMTP clients give up \
                     before Postfix does",
                    format!("postconf -e 'milter_{name} = {}'", match name {
                        "connect_timeout" => "10s",
                        "command_timeout" => "15s",
                        _ => "60s",
                    }),
                ));
            }
        }
    }

    fn default_action(&mut self, link: &Link<'_>, action: &str) {
        let of_all = "postconf -e 'milter_default_action = tempfail'".to_owned();
        if link.listener.observe {
            if action != "accept" {
                self.add(
                    Severity::Warning,
                    "trial_stops_mail",
                    (
                        format!("default_action of {} is {action}", link.milter.address),
                        "the listener only looks on (observe = true): mail must not wait for it",
                        format!(
                            "in smtpd_milters write {{ {}, default_action=accept }}",
                            link.milter.address
                        ),
                    ),
                );
            }
            return;
        }
        let why = match action {
            "accept" => "whenever Zegel does not answer, mail leaves unsigned",
            "reject" => "whenever Zegel does not answer, mail is lost to its senders (550)",
            "quarantine" => {
                "whenever Zegel does not answer, mail stays in the hold queue unsigned \
                             until somebody releases it"
            }
            _ => return,
        };
        let severity = if action == "quarantine" {
            Severity::Warning
        } else {
            Severity::Act
        };
        self.add(
            severity,
            "default_action",
            (
                format!("default_action of {} is {action}", link.milter.address),
                why,
                of_all,
            ),
        );
    }

    /// In a chroot an absolute path is another one.
    fn chroot(&mut self, service: Option<&Service>, link: &Link<'_>) {
        let Some(service) = service.filter(|service| service.chroot) else {
            return;
        };
        if link.milter.address.starts_with("unix:/") {
            self.add(
                Severity::Act,
                "socket_outside_chroot",
                (
                    format!(
                        "{} has chroot = y, and the milter is {}",
                        service.name, link.milter.address
                    ),
                    "the path is looked up inside the queue directory, where the socket is not",
                    format!("postconf -F {}/chroot=n", shell::quoted(&service.name)),
                ),
            );
        }
    }

    /// Each process of smtpd and cleanup may hold a connection.
    fn processes(&mut self) {
        let limit = self.postfix.get(None, "default_process_limit");
        let limit: usize = limit.and_then(|text| text.parse().ok()).unwrap_or(100);
        let opens = |service: &&Service, listener: &ListenerSettings| {
            let list = if service.is_smtpd() {
                "smtpd_milters"
            } else {
                "non_smtpd_milters"
            };
            let uses = service.is_smtpd() || service.program == "cleanup";
            let mut links = self.links(Some(service), list).into_iter();
            uses && links.any(|link| link.listener.name == listener.name)
        };
        let sums = self.ours.listeners.iter().map(|listener| {
            let services = self.postfix.services.iter();
            let sum = services
                .filter(|one| opens(one, listener))
                .fold(0, |sum: usize, one| {
                    let processes = one.processes.filter(|processes| *processes > 0);
                    sum.saturating_add(processes.unwrap_or(limit))
                });
            (sum, listener.name.as_str())
        });
        let (sum, listener) = sums.max().unwrap_or_default();
        if sum > self.ours.connections {
            self.add(
                Severity::Act,
                "connections",
                (
                    format!(
                        "Postfix may open {sum} connections to the listener {listener}, and \
                         limits.connections is {}",
                        self.ours.connections
                    ),
                    "one too many is closed at once, and its mail has milter_default_action",
                    format!("in zegel.toml write [limits] connections = {sum}"),
                ),
            );
        }
    }
}

/// A setting as postconf(1) takes it.
fn set(name: &str, value: &str) -> String {
    shell::quoted(&format!("{name} = {value}"))
}
