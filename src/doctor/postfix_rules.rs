//! What is dangerous in the settings of a Postfix from 3.5 to 3.11.

use super::{
    Finding, Findings, Ours, milter_address,
    postfix::{Milter, Postfix, Service, seconds},
};
use crate::{config::ListenerSettings, shell, words::Severity};

/// Everything that is to be said.
pub fn examine(postfix: &Postfix, ours: Ours<'_>) -> Vec<Finding> {
    let mut examination = Examination {
        postfix,
        ours,
        findings: Findings::default(),
    };
    examination.connected();
    examination.services();
    examination.processes();
    examination.bare_newline();
    examination.behind_the_milter();
    examination.findings.worst_first()
}

struct Examination<'a> {
    postfix: &'a Postfix,
    ours: Ours<'a>,
    findings: Findings,
}

/// A milter of the MTA that is a listener of ours.
struct Link<'a> {
    milter: Milter,
    listener: &'a ListenerSettings,
}

impl<'a> Examination<'a> {
    fn links(&self, service: Option<&Service>, name: &str) -> Vec<Link<'a>> {
        let milters = self.postfix.milters(service, name);
        let links = milters.into_iter().filter_map(|milter| {
            let listener = self
                .ours
                .listeners
                .iter()
                .find(|listener| self.postfix.is(&milter, listener))?;
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
        let services: Vec<_> = self
            .postfix
            .services
            .iter()
            .filter(|one| one.is_smtpd())
            .map(Some)
            .collect();
        if services.is_empty() {
            vec![None]
        } else {
            services
        }
    }

    /// Whether mail comes to us at all.
    fn connected(&mut self) {
        let mut listeners = self.ours.listeners.iter();
        let address = listeners
            .find(|one| !one.observe)
            .map(|one| milter_address(&one.socket))
            .unwrap_or_default();
        let mut services = self.smtpd().into_iter();
        if services.all(|service| self.links(service, "smtpd_milters").is_empty()) {
            self.findings.add(
                Severity::Act,
                "not_connected",
                "smtpd_milters names no listener of Zegel",
                "mail that comes by SMTP leaves unsigned",
                format!(
                    "postconf -e {}",
                    set("smtpd_milters", &self.behind("smtpd_milters", &address))
                ),
            );
        }
        if self.links(None, "non_smtpd_milters").is_empty() {
            self.findings.add(
                Severity::Warning,
                "local_mail_unsigned",
                "non_smtpd_milters names no listener of Zegel",
                "mail of sendmail(1), cron and web applications leaves unsigned",
                format!(
                    "postconf -e {}",
                    set(
                        "non_smtpd_milters",
                        &self.behind("non_smtpd_milters", "$smtpd_milters")
                    )
                ),
            );
        }
        if self
            .setting("receive_override_options")
            .contains("no_milters")
        {
            self.findings.add(
                Severity::Act,
                "no_milters",
                "receive_override_options in main.cf has no_milters",
                "it switches the milters off for all mail",
                "postconf -X receive_override_options",
            );
        }
        if !self
            .setting("internal_mail_filter_classes")
            .contains("bounce")
        {
            self.findings.add(
                Severity::Note,
                "bounces_unsigned",
                "internal_mail_filter_classes is without bounce",
                "bounces of this host leave unsigned",
                "postconf -e 'internal_mail_filter_classes = bounce'",
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
                self.findings.add(
                    Severity::Warning,
                    "submission_unsigned",
                    format!("the service {name} sets smtpd_milters without a listener of Zegel"),
                    "mail of users that have logged in leaves unsigned",
                    format!("postconf -PX {name}/smtpd_milters"),
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
                self.findings.add(
                    Severity::Warning,
                    "before_content_filter",
                    format!(
                        "the service {name} signs, then hands mail to content_filter = {filter}"
                    ),
                    "whatever the filter changes breaks the signature; sign where the mail comes \
                     back from it if it changes mail",
                    format!(
                        "postconf -P '{name}/smtpd_milters=' # and leave it in behind the filter"
                    ),
                );
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
        let get = |name| self.postfix.of_milter(service, &link.milter, name);
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
            self.findings.add(
                Severity::Warning,
                "old_protocol",
                format!("milter_protocol = {version}"),
                "below 6 Postfix hides the blank behind the colon of a field, and simple header \
                 canonicalisation cannot be used",
                "postconf -e 'milter_protocol = 6'",
            );
        }
        for (name, value, least, most) in timeouts {
            let Some(value) = value else { continue };
            let Some(time) = seconds(&value) else {
                continue;
            };
            if time < least || time > most {
                self.findings.add(Severity::Warning, "timeout", 
                    format!("milter_{name} = {value}"),
                    "too short, and a busy moment puts mail off; too long, and SMTP clients give up \
                     before Postfix does",
                    format!("postconf -e 'milter_{name} = {}'", match name {
                        "connect_timeout" => "10s",
                        "command_timeout" => "15s",
                        _ => "60s",
                    }),
                );
            }
        }
    }

    fn default_action(&mut self, link: &Link<'_>, action: &str) {
        if link.listener.observe {
            if action != "accept" {
                self.findings.add(
                    Severity::Warning,
                    "trial_stops_mail",
                    format!("default_action of {} is {action}", link.milter.address),
                    "the listener only looks on (observe = true): mail must not wait for it",
                    format!(
                        "in smtpd_milters write {{ {}, default_action=accept }}",
                        link.milter.address
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
        self.findings.add(
            severity,
            "default_action",
            format!("default_action of {} is {action}", link.milter.address),
            why,
            "postconf -e 'milter_default_action = tempfail'".to_owned(),
        );
    }

    /// In a chroot an absolute path is another one.
    fn chroot(&mut self, service: Option<&Service>, link: &Link<'_>) {
        let Some(service) = service.filter(|service| service.chroot) else {
            return;
        };
        if link.milter.address.starts_with("unix:/") {
            self.findings.add(
                Severity::Act,
                "socket_outside_chroot",
                format!(
                    "{} has chroot = y, and the milter is {}",
                    service.name, link.milter.address
                ),
                "the path is looked up inside the queue directory, where the socket is not",
                format!("postconf -F {}/chroot=n", shell::quoted(&service.name)),
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
            self.findings.add(
                Severity::Act,
                "connections",
                format!(
                    "Postfix may open {sum} connections to the listener {listener}, and \
                         limits.connections is {}",
                    self.ours.connections
                ),
                "one too many is closed at once, and its mail has milter_default_action",
                format!("in zegel.toml write [limits] connections = {sum}"),
            );
        }
    }

    fn bare_newline(&mut self) {
        const WHY: &str = "a bare LF can smuggle a second message into one that is signed \
                           (CVE-2023-51764)";
        let value = self.postfix.get(None, "smtpd_forbid_bare_newline");
        // Since 3.9 it is the default.
        let version = self.postfix.version;
        let safe_by_default = version.is_some_and(|version| version >= (3, 9, 0));
        let (knows_normalize, knows_yes) = match version {
            Some((3, 5, patch)) => (patch >= 24, patch >= 23),
            Some((3, 6, patch)) => (patch >= 14, patch >= 13),
            Some((3, 7, patch)) => (patch >= 10, patch >= 9),
            Some((3, 8, patch)) => (patch >= 5, patch >= 4),
            Some(version) => (version > (3, 8, 5), version > (3, 8, 5)),
            None => (true, true),
        };
        let command = if knows_normalize {
            "postconf -e 'smtpd_forbid_bare_newline = normalize'"
        } else if knows_yes {
            "postconf -e 'smtpd_forbid_bare_newline = yes'"
        } else {
            "upgrade Postfix: this release has no smtpd_forbid_bare_newline"
        };
        let is_off = match value.as_deref() {
            Some(value) => value == "no" || !knows_yes,
            None => !safe_by_default,
        };
        if is_off {
            let found = match value {
                Some(value) => format!("smtpd_forbid_bare_newline = {value}"),
                None => "smtpd_forbid_bare_newline is not set".to_owned(),
            };
            self.findings
                .add(Severity::Act, "bare_newline", found, WHY, command);
        }
    }

    /// What changes mail when it has been signed.
    fn behind_the_milter(&mut self) {
        for name in [
            "smtp_header_checks",
            "smtp_mime_header_checks",
            "smtp_body_checks",
            "smtp_generic_maps",
        ] {
            let value = self.setting(name);
            if !value.is_empty() {
                self.findings.add(
                    Severity::Warning,
                    "changed_behind",
                    format!("{name} = {value}"),
                    "it changes mail when it has been signed; the fields that are signed, and the \
                     body, must stay as they are",
                    format!("postconf -X {name} # or see that it touches nothing that is signed"),
                );
            }
        }
        if self
            .setting("smtp_discard_ehlo_keywords")
            .to_ascii_lowercase()
            .contains("8bitmime")
        {
            self.findings.add(
                Severity::Warning,
                "eight_bit_downgrade",
                "smtp_discard_ehlo_keywords has 8bitmime",
                "8-bit bodies are recoded when they have been signed",
                "postconf -X smtp_discard_ehlo_keywords",
            );
        }
        if self.setting("smtputf8_enable") == "no" {
            self.findings.add(Severity::Note, "no_smtputf8", 
                "smtputf8_enable = no",
                "mail with addresses beyond ASCII passes without the checks of RFC 6531, and may be \
                 refused or changed on its way",
                "postconf -e 'smtputf8_enable = yes'",
            );
        }
        if !self.setting("message_strip_characters").contains("\\0") {
            self.findings.add(
                Severity::Note,
                "nul",
                "message_strip_characters is without \\0",
                "the milter protocol cuts a header field at a NUL, so that what is signed is not \
                 what is sent",
                "postconf -e 'message_strip_characters = \\0'",
            );
        }
    }
}

/// A setting as postconf(1) takes it.
fn set(name: &str, value: &str) -> String {
    shell::quoted(&format!("{name} = {value}"))
}
