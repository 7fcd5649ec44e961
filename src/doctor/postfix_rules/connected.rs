//! Whether mail comes to us at all, by whichever way it comes in.

use super::{
    Cause, Examination, OPTIONS, Service,
    layout::{is_closed, takes_users},
    said,
};
use crate::words::Severity;

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
        if self.is_named(some) || self.layout.is_way_back(service) {
            return;
        }
        let is_feeder = self.layout.is_feeder(service);
        if is_feeder && is_closed(self.postfix, service) && self.signs_behind() {
            return;
        }
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
        let (severity, code, why) = if takes_users(self.postfix, service) {
            (
                Severity::Warning,
                "submission_unsigned",
                "mail of users that have logged in leaves unsigned",
            )
        } else if is_feeder && self.signs_on_a_way_back() {
            (
                Severity::Warning,
                "unsigned_before_filter",
                "your own mail has to be signed on its way in: behind the filter nobody knows its \
                 client",
            )
        } else {
            (
                Severity::Note,
                "service_unsigned",
                "right if it takes mail from strangers only: mail of your own networks that comes \
                 to it leaves unsigned",
            )
        };
        self.findings.add(severity, code, found, why, command);
    }

    /// Milters that `receive_override_options` switches off.
    fn switched_off(&mut self) {
        for service in self.smtpd() {
            let cause = self.postfix.cause(service, OPTIONS);
            let is_meant = service.is_some_and(|service| {
                self.layout.is_way_back(service)
                    || self.layout.is_feeder(service) && self.signs_behind()
            });
            let is_empty = service.is_some() && self.links(service, "smtpd_milters").is_empty();
            if !self.is_without_milters(service) || is_meant || is_empty {
                continue;
            }
            let found = said(cause, OPTIONS, &self.postfix.value(service, OPTIONS));
            self.findings.add(
                Severity::Act,
                "no_milters",
                found,
                "no_milters switches the milters off: mail that comes in there leaves unsigned",
                self.without_option(service, "no_milters"),
            );
        }
    }

    /// Mail of sendmail(1), which pickup takes to a cleanup service.
    fn local_mail(&mut self) {
        const WHY: &str = "mail of sendmail(1), cron and web applications leaves unsigned";
        let pickup = self.postfix.running("pickup").next();
        let cleanup = self.local_cleanup();
        let name = "non_smtpd_milters";
        let is_named = !self.links(cleanup, name).is_empty();
        let is_off = pickup.is_some() && self.is_without_milters(pickup);
        if is_named && !is_off {
            return;
        }
        if self.is_given_back_by_sendmail() {
            self.findings.add(
                Severity::Note,
                "local_mail_unsigned",
                "mail of sendmail(1) is not signed: a filter gives mail back that way",
                "mail of this host and mail from outside cannot be told from each other there",
                "have the programs of this host hand their mail to 127.0.0.1 by SMTP: it is signed",
            );
            return;
        }
        if self.is_filtered(pickup) && self.signs_behind() {
            return;
        }
        if is_named {
            let cause = self.postfix.cause(pickup, OPTIONS);
            // What main.cf says is found for smtpd.
            if matches!(cause, Cause::Service(_)) {
                let found = said(cause, OPTIONS, &self.postfix.value(pickup, OPTIONS));
                let command = self.without_option(pickup, "no_milters");
                self.local_mail_unsigned(found, WHY, command);
            }
            return;
        }
        let cause = self.postfix.cause(cleanup, name);
        let is_own = matches!(cause, Cause::Service(_));
        let command = if is_own && !self.links(None, name).is_empty() {
            self.postfix.unset(cause, name)
        } else {
            let is_elsewhere = self.links(cleanup, "smtpd_milters").is_empty()
                && self.smtpd().iter().any(|service| self.is_named(*service));
            let list = if is_elsewhere {
                self.behind(cleanup, name, &self.address())
            } else {
                self.behind(cleanup, name, "$smtpd_milters")
            };
            self.postfix.set(cause, name, &list)
        };
        let place = if is_own {
            format!(" {}", cause.place())
        } else {
            String::new()
        };
        let found = format!("non_smtpd_milters{place} names no listener of Zegel");
        self.local_mail_unsigned(found, WHY, command);
    }

    fn local_mail_unsigned(&mut self, found: String, why: &'static str, command: String) {
        let code = "local_mail_unsigned";
        self.findings
            .add(Severity::Warning, code, found, why, command);
    }

    fn is_filtered(&self, service: Option<&Service>) -> bool {
        !self.postfix.value(service, "content_filter").is_empty()
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
