//! How Postfix deals with our milter and with those beside it.

use super::{Answer, Cause, Examination, Link, Service, said};
use crate::{
    config::Outbound,
    doctor::postfix::{Milter, list, seconds},
    shell,
    words::Severity,
};

/// Lists of milters, one of which often names another.
const LISTS: [&str; 2] = ["smtpd_milters", "non_smtpd_milters"];

/// What is put into the hands of `milter_header_checks`.
const SIGNATURE: &str = "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; \
                         s=selector; t=1767225600; h=From:To:Subject:Date; bh=bm90aGluZw==; \
                         b=bm90aGluZw==";

impl<'a> Examination<'a> {
    pub(super) fn milters(&mut self) {
        for service in self.smtpd() {
            for link in self.linked(service) {
                self.link(service, LISTS[0], &link);
                self.chroot(service, &link);
            }
            self.others(service, LISTS[0]);
            self.maps(service);
            if !self.signing(service).is_empty() {
                self.macro_defaults(service);
                self.header_checks(self.postfix.cleanup_of(service));
            }
        }
        let cleanup = self.local_cleanup();
        let links = self.links(cleanup, LISTS[1]);
        for link in &links {
            self.link(cleanup, LISTS[1], link);
            self.chroot(cleanup, link);
        }
        self.others(cleanup, LISTS[1]);
        if !links.is_empty() {
            self.macro_defaults(cleanup);
            self.header_checks(cleanup);
        }
    }

    /// One listener of ours in a list.
    fn link(&mut self, service: Option<&Service>, name: &str, link: &Link<'_>) {
        self.default_action(service, name, link);
        self.protocol(service, name, link);
        for (option, least, most, good) in [
            ("connect_timeout", 2, 60, "10s"),
            ("command_timeout", 5, 120, "15s"),
            ("content_timeout", 10, 300, "60s"),
        ] {
            let value = self.postfix.of_milter(service, &link.milter, option);
            let time = value.as_deref().and_then(seconds);
            if time.is_some_and(|time| time < least || time > most) {
                let is_right = |value: &str| {
                    value.is_empty()
                        || seconds(value).is_some_and(|time| (least..=most).contains(&time))
                };
                self.findings.add(
                    Severity::Warning,
                    "timeout",
                    self.found(service, link, option, &value.unwrap_or_default()),
                    "too short, and a busy moment puts mail off; too long, and SMTP clients give up \
                     before Postfix does",
                    self.corrected(service, name, link, (option, good), is_right),
                );
            }
        }
    }

    /// `milter_protocol = 4`, or the same of one milter, and where that stands.
    fn found(
        &self,
        service: Option<&Service>,
        link: &Link<'_>,
        option: &str,
        value: &str,
    ) -> String {
        if link.milter.option(option).is_some() {
            return format!("{option} of {} is {value}", link.milter.address);
        }
        let name = format!("milter_{option}");
        said(self.postfix.cause(service, &name), &name, value)
    }

    /// The command that gives one milter, or all of a service, a good value.
    fn corrected(
        &self,
        service: Option<&Service>,
        name: &str,
        link: &Link<'_>,
        (option, good): (&str, &str),
        is_right: impl Fn(&str) -> bool,
    ) -> String {
        if link.milter.option(option).is_none() {
            let setting = format!("milter_{option}");
            return self.postfix.correct(service, &setting, good, is_right);
        }
        self.rewritten(service, name, &link.milter, |milter| {
            milter.with(option, good)
        })
    }

    /// The command that changes one milter in the list where it stands.
    fn rewritten(
        &self,
        service: Option<&Service>,
        name: &str,
        of: &Milter,
        change: impl Fn(&Milter) -> Milter,
    ) -> String {
        let origin = self.postfix.origin(service, name, &LISTS);
        let milters = self.postfix.milters(service, origin);
        let changed: Vec<Milter> = milters
            .iter()
            .map(|milter| {
                if milter == of {
                    change(milter)
                } else {
                    milter.clone()
                }
            })
            .collect();
        let cause = self.postfix.cause(service, origin);
        self.postfix.set(cause, origin, &list(&changed))
    }

    fn default_action(&mut self, service: Option<&Service>, name: &str, link: &Link<'_>) {
        let option = "default_action";
        let value = self.postfix.of_milter(service, &link.milter, option);
        let action = value.unwrap_or_else(|| "tempfail".to_owned());
        let found = match self.postfix.cause(service, "milter_default_action") {
            cause @ Cause::Service(_) if link.milter.option(option).is_none() => {
                said(cause, "milter_default_action", &action)
            }
            _ => format!("default_action of {} is {action}", link.milter.address),
        };
        if link.listener.observe {
            if action != "accept" {
                self.findings.add(
                    Severity::Warning,
                    "trial_stops_mail",
                    found,
                    "the listener only looks on (observe = true): mail must not wait for it",
                    self.rewritten(service, name, &link.milter, |milter| {
                        milter.with(option, "accept")
                    }),
                );
            }
            return;
        }
        let (severity, why) = match action.as_str() {
            "accept" => (
                Severity::Act,
                "whenever Zegel does not answer, mail leaves unsigned",
            ),
            "reject" => (
                Severity::Act,
                "whenever Zegel does not answer, mail is lost to its senders (550)",
            ),
            "quarantine" => (
                Severity::Warning,
                "whenever Zegel does not answer, mail stays in the hold queue unsigned until \
                 somebody releases it",
            ),
            _ => return,
        };
        let is_right = |value: &str| ["", "tempfail", "shutdown"].contains(&value);
        let command = self.corrected(service, name, link, (option, "tempfail"), is_right);
        self.findings
            .add(severity, "default_action", found, why, command);
    }

    fn protocol(&mut self, service: Option<&Service>, name: &str, link: &Link<'_>) {
        let option = "protocol";
        let is_old = |value: &str| value.parse().is_ok_and(|number: u32| number < 6);
        let value = self.postfix.of_milter(service, &link.milter, option);
        if let Some(value) = value.filter(|value| is_old(value)) {
            self.findings.add(
                Severity::Warning,
                "old_protocol",
                self.found(service, link, option, &value),
                "below 6 Postfix hides the blank behind the colon of a field, and simple header \
                 canonicalisation cannot be used",
                self.corrected(service, name, link, (option, "6"), |value| !is_old(value)),
            );
        }
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
                format!(
                    "{} -F {}/chroot=n",
                    self.postfix.postconf(),
                    shell::quoted(&service.name)
                ),
            );
        }
    }

    /// Milters that get mail when we have signed it.
    fn others(&mut self, service: Option<&Service>, name: &str) {
        let milters = self.postfix.milters(service, name);
        let signs = |milter: &Milter| {
            let listener = self.listener(milter);
            listener.is_some_and(|listener| !listener.observe)
        };
        let Some(first) = milters.iter().position(signs) else {
            return;
        };
        let is_other = |milter: &&Milter| self.listener(milter).is_none();
        let behind: Vec<&Milter> = milters[first..].iter().filter(is_other).collect();
        if behind.is_empty() {
            return;
        }
        let mut order: Vec<Milter> = milters[..first].to_vec();
        order.extend(behind.iter().copied().cloned());
        order.extend(
            milters[first..]
                .iter()
                .filter(|one| !is_other(one))
                .cloned(),
        );
        let origin = self.postfix.origin(service, name, &LISTS);
        let cause = self.postfix.cause(service, origin);
        let addresses: Vec<&str> = behind.iter().map(|one| one.address.as_str()).collect();
        let found = format!("{origin} has {} behind Zegel", addresses.join(", "));
        let found = match cause {
            Cause::Service(_) => format!("{found}, {}", cause.place()),
            Cause::Main | Cause::Default => found,
        };
        self.findings.add(
            Severity::Warning,
            "milter_behind",
            found,
            "what a milter behind Zegel changes is changed when it has been signed",
            self.postfix.set(cause, origin, &list(&order)),
        );
    }

    /// A login that Postfix makes up for all who have none.
    fn macro_defaults(&mut self, service: Option<&Service>) {
        let name = "milter_macro_defaults";
        let mut words = self.postfix.words(service, name);
        let count = words.len();
        words.retain(|word| {
            let macro_name = word.split('=').next().unwrap_or_default();
            macro_name.trim().trim_matches(['{', '}']) != "auth_authen"
        });
        if words.len() == count {
            return;
        }
        let cause = self.postfix.cause(service, name);
        let value = self.postfix.value(service, name);
        let items: Vec<String> = words.iter().map(|word| format!("{{{word}}}")).collect();
        self.findings.add(
            Severity::Act,
            "login_for_everyone",
            said(cause, name, &value),
            "every stranger counts as logged in, and what comes from outside in your name is signed",
            if items.is_empty() {
                self.without(service, name)
            } else {
                self.postfix.set(cause, name, &items.join(", "))
            },
        );
    }

    /// Checks of the fields that milters add: our signature is one.
    fn header_checks(&mut self, cleanup: Option<&Service>) {
        let name = "milter_header_checks";
        let cause = self.postfix.cause(cleanup, name);
        for table in self.postfix.tables(cleanup, name) {
            let (severity, code, why) = match self.tables.look_up(&table, SIGNATURE) {
                Answer::Nothing => continue,
                Answer::Found(action) if spares(&action) => return,
                Answer::Found(_) => (
                    Severity::Act,
                    "signature_dropped",
                    "it takes hold of the DKIM-Signature that Zegel adds: mail leaves unsigned, or not \
                     at all",
                ),
                Answer::Unknown => (
                    Severity::Warning,
                    "milter_header_checks",
                    "a pattern in it that matches DKIM-Signature takes our signature away again",
                ),
            };
            let unset = self.without(cleanup, name);
            self.findings.add(
                severity,
                code,
                said(cause, name, &table),
                why,
                format!("{unset} # or let no pattern in it match DKIM-Signature"),
            );
            return;
        }
    }

    /// Our listeners that `smtpd_milter_maps` gives to clients that are outbound.
    pub(super) fn mapped(&self, service: Option<&Service>) -> Vec<Link<'a>> {
        let mut links: Vec<Link<'a>> = Vec::new();
        for client in self.outbound_clients() {
            let Some((_, value)) = self.map_result(service, &client) else {
                continue;
            };
            for milter in Milter::list(&value) {
                let is_known = links.iter().any(|link| link.milter == milter);
                if let Some(listener) = self.listener(&milter).filter(|_| !is_known) {
                    links.push(Link { milter, listener });
                }
            }
        }
        links
    }

    /// What takes the place of `smtpd_milters` for a client, and the table that says so.
    fn map_result(&self, service: Option<&Service>, client: &str) -> Option<(String, String)> {
        let tables = self.postfix.tables(service, "smtpd_milter_maps");
        tables
            .into_iter()
            .find_map(|table| match self.tables.look_up(&table, client) {
                Answer::Found(value) => Some((table, value)),
                Answer::Nothing | Answer::Unknown => None,
            })
    }

    /// Clients whose mail is outbound on one listener or another: the ends of each network.
    fn outbound_clients(&self) -> Vec<String> {
        let networks = self.ours.listeners.iter().filter(|one| !one.observe);
        let networks = networks.flat_map(|listener| match &listener.outbound {
            Outbound::All => &[][..],
            Outbound::Rule { networks, .. } => networks.as_slice(),
        });
        let mut clients: Vec<String> = networks
            .flat_map(|network| {
                let mut hosts = network.hosts();
                [hosts.next(), Some(network.broadcast())]
            })
            .flatten()
            .map(|address| address.to_string())
            .collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    /// Clients whose mail passes us by.
    fn maps(&mut self, service: Option<&Service>) {
        let name = "smtpd_milter_maps";
        let value = self.postfix.value(service, name);
        let is_ours = !self.links(service, "smtpd_milters").is_empty();
        if value.is_empty() || !is_ours || self.is_without_milters(service) {
            return;
        }
        let cause = self.postfix.cause(service, name);
        for client in self.outbound_clients() {
            let Some((table, result)) = self.map_result(service, &client) else {
                continue;
            };
            let milters = Milter::list(&result);
            if milters.iter().any(|milter| self.listener(milter).is_some()) {
                continue;
            }
            self.findings.add(
                Severity::Act,
                "milter_maps",
                format!("{}: {client} gets {result}", said(cause, name, &value)),
                "this client is outbound, and its mail passes Zegel by: it leaves unsigned",
                format!("take {client} out of {table}, then postfix reload"),
            );
            return;
        }
        self.findings.add(
            Severity::Note,
            "milter_maps",
            said(cause, name, &value),
            "mail of clients that it names passes Zegel by, unless it gives them our listener",
            format!("see that none of your own clients is in {value}"),
        );
    }
}

/// Whether an action of header_checks(5) leaves a field as it is.
fn spares(action: &str) -> bool {
    let word = action.split_whitespace().next().unwrap_or_default();
    let word = word.to_ascii_uppercase();
    [
        "DUNNO", "INFO", "WARN", "OK", "HOLD", "FILTER", "BCC", "REDIRECT", "DELAY",
    ]
    .contains(&word.as_str())
}
