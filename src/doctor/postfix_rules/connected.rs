//! Whether mail comes to us at all, by whichever way it comes in.

use super::{Cause, Examination, Service, said};
use crate::words::Severity;

/// Services that take mail from users, by their names.
const SUBMISSION: [&str; 5] = ["submission", "smtps", "submissions", "587/", "465/"];

impl Examination<'_> {
    pub(super) fn connected(&mut self) {
        let services = self.smtpd();
        if services.iter().all(|service| !self.is_named(*service)) {
            let list = self.behind(None, "smtpd_milters", &self.address());
            self.findings.add(
                Severity::Act,
                "not_connected",
                "smtpd_milters names no listener of Zegel",
                "mail that comes by SMTP leaves unsigned",
                self.postfix.set(Cause::Main, "smtpd_milters", &list),
            );
        } else {
            for service in services.into_iter().flatten() {
                self.passed_by(service);
            }
        }
        self.switched_off();
        self.local_mail();
        self.bounces();
    }

    fn is_named(&self, service: Option<&Service>) -> bool {
        !self.links(service, "smtpd_milters").is_empty() || !self.mapped(service).is_empty()
    }

    /// A service whose milters are others than those of main.cf.
    fn passed_by(&mut self, service: &Service) {
        let name = "smtpd_milters";
        let some = Some(service);
        if self.is_named(some) || self.is_way_back(service) {
            return;
        }
        let users = SUBMISSION.iter().any(|word| service.name.contains(word))
            || self.postfix.value(some, "smtpd_sasl_auth_enable") == "yes";
        let value = self.postfix.value(some, name);
        let is_right = !self.links(None, name).is_empty();
        let command = if value.is_empty() && is_right {
            self.postfix.unset(self.postfix.cause(some, name), name)
        } else {
            let list = self.behind(some, name, &self.address());
            self.postfix.set(Cause::Service(service), name, &list)
        };
        let found = format!(
            "the service {} {} smtpd_milters without a listener of Zegel",
            service.name,
            if service.sets(name) { "sets" } else { "has" }
        );
        if users {
            self.findings.add(
                Severity::Warning,
                "submission_unsigned",
                found,
                "mail of users that have logged in leaves unsigned",
                command,
            );
        } else {
            self.findings.add(
                Severity::Note,
                "service_unsigned",
                found,
                "right if it takes mail from strangers only: mail of your own networks that comes \
                 to it leaves unsigned",
                command,
            );
        }
    }

    /// Milters that `receive_override_options` switches off.
    fn switched_off(&mut self) {
        let name = "receive_override_options";
        for service in self.smtpd() {
            let cause = self.postfix.cause(service, name);
            let is_meant = service.is_some_and(|service| self.is_way_back(service));
            let is_empty = service.is_some() && self.links(service, "smtpd_milters").is_empty();
            if !self.is_without_milters(service) || is_meant || is_empty {
                continue;
            }
            let found = said(cause, name, &self.postfix.value(service, name));
            self.findings.add(
                Severity::Act,
                "no_milters",
                found,
                "no_milters switches the milters off: mail that comes in there leaves unsigned",
                self.with_milters(service),
            );
        }
    }

    /// The command that takes `no_milters` away and leaves the rest.
    fn with_milters(&self, service: Option<&Service>) -> String {
        let name = "receive_override_options";
        let mut options = self.postfix.words(service, name);
        options.retain(|option| option != "no_milters");
        let cause = self.postfix.cause(service, name);
        if options.is_empty() && (service.is_none() || !self.is_without_milters(None)) {
            self.postfix.unset(cause, name)
        } else {
            self.postfix.set(cause, name, &options.join(", "))
        }
    }

    /// Mail of sendmail(1), which pickup takes to a cleanup service.
    fn local_mail(&mut self) {
        const WHY: &str = "mail of sendmail(1), cron and web applications leaves unsigned";
        let pickup = self.postfix.running("pickup").next();
        let cleanup = self.local_cleanup();
        let name = "non_smtpd_milters";
        if self.links(cleanup, name).is_empty() {
            let cause = self.postfix.cause(cleanup, name);
            let list = self.behind(cleanup, name, "$smtpd_milters");
            let command =
                if matches!(cause, Cause::Service(_)) && !self.links(None, name).is_empty() {
                    self.postfix.unset(cause, name)
                } else {
                    self.postfix.set(cause, name, &list)
                };
            let found = match cause {
                Cause::Service(_) => {
                    format!(
                        "non_smtpd_milters {} names no listener of Zegel",
                        cause.place()
                    )
                }
                _ => "non_smtpd_milters names no listener of Zegel".to_owned(),
            };
            self.findings.add(
                Severity::Warning,
                "local_mail_unsigned",
                found,
                WHY,
                command,
            );
        } else if pickup.is_some() && self.is_without_milters(pickup) {
            let name = "receive_override_options";
            let cause = self.postfix.cause(pickup, name);
            if matches!(cause, Cause::Service(_)) {
                let found = said(cause, name, &self.postfix.value(pickup, name));
                let command = self.with_milters(pickup);
                self.findings.add(
                    Severity::Warning,
                    "local_mail_unsigned",
                    found,
                    WHY,
                    command,
                );
            }
        }
    }

    fn bounces(&mut self) {
        let name = "internal_mail_filter_classes";
        for service in self.running("bounce") {
            let mut classes = self.postfix.words(service, name);
            if classes.iter().any(|class| class == "bounce") {
                continue;
            }
            let cause = self.postfix.cause(service, name);
            let value = self.postfix.value(service, name);
            classes.push("bounce".to_owned());
            let command = self
                .postfix
                .correct(service, name, &classes.join(", "), |value| {
                    value.contains("bounce")
                });
            let found = match cause {
                Cause::Service(_) => said(cause, name, &value),
                _ => "internal_mail_filter_classes is without bounce".to_owned(),
            };
            self.findings.add(
                Severity::Note,
                "bounces_unsigned",
                found,
                "bounces of this host leave unsigned",
                command,
            );
        }
    }

    /// Each process of smtpd and cleanup may hold a connection.
    pub(super) fn processes(&mut self) {
        let limit = self.postfix.get(None, "default_process_limit");
        let limit: usize = limit.and_then(|text| text.parse().ok()).unwrap_or(100);
        let opens = |service: &&Service, listener: &str| {
            let links = match service.program.as_str() {
                "smtpd" => self.linked(Some(service)),
                "cleanup" => self.links(Some(service), "non_smtpd_milters"),
                _ => return false,
            };
            links.iter().any(|link| link.listener.name == listener)
        };
        let sums = self.ours.listeners.iter().map(|listener| {
            let services = self.postfix.services.iter();
            let sum =
                services
                    .filter(|one| opens(one, &listener.name))
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
}
