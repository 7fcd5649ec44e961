//! Content filters: mail leaves Postfix, and comes back to it.
//!
//! Mail is to be signed once, and only if it is ours. Who sent it is known on its way in alone: a
//! service that takes it back from a filter shows milters the address of the filter, with XFORWARD
//! too, and no login. So it is signed on its way in, where 127.0.0.1 is this host, and nowhere on
//! its way back, where 127.0.0.1 is everybody. A filter in front of the queue (a proxy) lets no
//! milter see the mail on its way in: our own mail needs a service without it.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    Cause, Examination, Link, Service,
    layout::{is_closed, takes_users},
    said,
};
use crate::{
    config::ListenerSettings,
    organisation::{Client, Sender},
    words::Severity,
};

/// What cleanup does to mail on its way back, and the option of the service that spares it.
const SECOND_PASS: [(&str, &str); 8] = [
    ("header_checks", "no_header_body_checks"),
    ("mime_header_checks", "no_header_body_checks"),
    ("nested_header_checks", "no_header_body_checks"),
    ("body_checks", "no_header_body_checks"),
    ("canonical_maps", "no_address_mappings"),
    ("sender_canonical_maps", "no_address_mappings"),
    ("recipient_canonical_maps", "no_address_mappings"),
    ("masquerade_domains", "no_address_mappings"),
];

/// Whether mail is outbound because it comes from this host.
fn takes_loopback(listener: &ListenerSettings) -> bool {
    let sender = Sender {
        login: None,
        client: Client::At(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        listener: &listener.name,
    };
    listener.outbound.ground(&sender).is_some()
}

impl<'a> Examination<'a> {
    /// Whether signing behind the filter is right: nobody but our own clients hands mail to it.
    /// So it is as well if only our own have a filter of their own, with a way back of its own.
    pub(super) fn signs_behind(&self) -> bool {
        let layout = &self.layout;
        if !self.signs_on_a_way_back() {
            return false;
        }
        let is_signed_in_front = layout
            .feeders()
            .any(|feeder| !self.signing(Some(feeder)).is_empty());
        if layout.feeders().all(|one| is_closed(self.postfix, one)) {
            return layout.feeders().next().is_some() && !is_signed_in_front;
        }
        let (closed, open): (Vec<&Service>, Vec<&Service>) = layout
            .feeders()
            .partition(|one| is_closed(self.postfix, one));
        let has_own_filter = closed.iter().any(|one| {
            self.signing(Some(one)).is_empty()
                && open
                    .iter()
                    .all(|other| self.filter_port(other) != self.filter_port(one))
        });
        let has_other_way = layout
            .ways_back
            .iter()
            .any(|one| self.signing(Some(one)).is_empty());
        has_own_filter && has_other_way
    }

    /// What signs there because it comes from this host.
    fn loopback_links(&self, service: &Service) -> Vec<Link<'a>> {
        let mut links = self.signing(Some(service));
        links.retain(|link| takes_loopback(link.listener));
        links
    }

    /// Whether mail that comes back from a filter is signed for its client, this host.
    pub(super) fn signs_on_a_way_back(&self) -> bool {
        let mut ways_back = self.layout.ways_back.iter();
        ways_back.any(|one| self.gives_loopback_away(one))
    }

    fn gives_loopback_away(&self, service: &Service) -> bool {
        !self.loopback_links(service).is_empty()
    }

    /// What tells the filter of a service from others: its port, or its name behind the transport.
    fn filter_port(&self, service: &Service) -> String {
        let names = ["content_filter", "smtpd_proxy_filter"].iter();
        let values = names.map(|name| self.postfix.value(Some(service), name));
        let filter = values.filter(|value| !value.is_empty()).collect::<String>();
        filter.rsplit(':').next().unwrap_or_default().to_owned()
    }

    pub(super) fn around_filters(&mut self) {
        let layout = self.layout.clone();
        let signs_behind = self.signs_behind();
        for way_back in &layout.ways_back {
            self.way_back(way_back, signs_behind);
        }
        self.given_back_by_sendmail();
        for feeder in &layout.after_queue {
            self.before_filter(feeder);
            for way_back in &layout.ways_back {
                self.second_pass(feeder, way_back);
            }
        }
        for feeder in &layout.before_queue {
            self.before_proxy(feeder);
        }
    }

    /// A service that takes mail back, and signs it again or for strangers.
    fn way_back(&mut self, service: &Service, signs_behind: bool) {
        let links = self.loopback_links(service);
        let Some(link) = links.first() else {
            return;
        };
        let found = format!(
            "mail that a filter gives back to the service {} counts as outbound on the listener {}: \
             its client is 127.0.0.1",
            service.name, link.listener.name
        );
        let is_open = |feeder| !is_closed(self.postfix, feeder);
        let (severity, code, why) = if signs_behind {
            (
                Severity::Note,
                "signs_behind_filter",
                "right as long as nothing but your own mail comes that way; nobody knows there who \
                 had logged in",
            )
        } else if self.layout.feeders().any(is_open) || self.layout.feeders().next().is_none() {
            (
                Severity::Act,
                "forgeries_signed",
                "what comes in from outside in your name is signed when the filter gives it back; \
                 mail is signed on its way in, where its sender is known, and 127.0.0.1 must not be \
                 outbound on its way back",
            )
        } else {
            (
                Severity::Warning,
                "signed_twice",
                "it was signed on its way in; what the filter changed has a broken signature and \
                 another one",
            )
        };
        let command = if signs_behind {
            format!(
                "see that only your own clients reach {} through a filter",
                service.name
            )
        } else {
            self.without_milters(service)
        };
        self.findings.add(severity, code, found, why, command);
    }

    /// The command that leaves the milters out of a service.
    fn without_milters(&self, service: &Service) -> String {
        let cause = Cause::Service(service);
        if self
            .postfix
            .value(Some(service), "smtpd_milter_maps")
            .is_empty()
        {
            return self.postfix.set(cause, "smtpd_milters", "");
        }
        self.with_option(service, "no_milters")
    }

    /// Whether a filter that is a program gives mail back by sendmail(1), where it cannot be told
    /// from mail of this host.
    pub(super) fn is_given_back_by_sendmail(&self) -> bool {
        let is_program = |feeder: &&Service| {
            let filter = self.postfix.value(Some(feeder), "content_filter");
            let transport = filter.split(':').next().unwrap_or_default();
            self.postfix
                .running("pipe")
                .any(|one| one.short_name() == transport)
        };
        self.layout.ways_back.is_empty() && self.layout.after_queue.iter().any(is_program)
    }

    fn given_back_by_sendmail(&mut self) {
        let pickup = self.postfix.running("pickup").next();
        let links = self.links(self.local_cleanup(), "non_smtpd_milters");
        let mut signs = links.iter().filter(|one| !one.listener.observe);
        let takes = signs.any(|link| takes_loopback(link.listener));
        if !self.is_given_back_by_sendmail() || !takes || self.is_without_milters(pickup) {
            return;
        }
        let command = match pickup {
            Some(pickup) => self.with_option(pickup, "no_milters"),
            None => self.postfix.set(Cause::Main, "non_smtpd_milters", ""),
        };
        self.findings.add(
            Severity::Act,
            "forgeries_signed",
            "a filter of pipe(8) gives mail back by sendmail(1), and that counts as outbound: its \
             client is 127.0.0.1",
            "what comes in from outside in your name is signed when the filter gives it back; \
             programs of this host can hand their mail to 127.0.0.1 by SMTP, where it is signed",
            command,
        );
    }

    /// Mail that is signed, and then seen by a filter.
    fn before_filter(&mut self, service: &Service) {
        if self.signing(Some(service)).is_empty() {
            return;
        }
        let filter = self.postfix.value(Some(service), "content_filter");
        self.findings.add(
            Severity::Note,
            "before_content_filter",
            format!("mail is signed on its way in, then handed to content_filter = {filter}"),
            "right as long as the filter changes nothing that is signed: fields on top do no harm, \
             another Subject or body breaks the signature",
            "let the filter leave your own mail as it is: docs/postfix.md, Content filters",
        );
    }

    /// What Postfix itself changes when mail that is signed comes back from the filter.
    fn second_pass(&mut self, feeder: &Service, way_back: &Service) {
        if self.signing(Some(feeder)).is_empty() {
            return;
        }
        let has = |service: &Service, option: &str| self.has_option(Some(service), option);
        let value = |service: &Service, name: &str| {
            let cleanup = self.postfix.cleanup_of(Some(service));
            (
                self.postfix.value(cleanup, name),
                self.postfix.cause(cleanup, name),
            )
        };
        let mut found = Vec::new();
        for (name, option) in SECOND_PASS {
            let (text, cause) = value(way_back, name);
            // What has been done on the way in has nothing more to do.
            let is_done = !has(feeder, option) && value(feeder, name).0 == text;
            if !text.is_empty() && !has(way_back, option) && !is_done {
                found.push((said(cause, name, &text), option));
            }
        }
        for (text, option) in found {
            let mut command = self.with_option(way_back, option);
            if self.has_option(Some(feeder), option) {
                let taken = self.without_option(Some(feeder), option);
                command = format!("{command} && {taken}");
            }
            self.findings.add(
                Severity::Warning,
                "changed_behind",
                format!(
                    "{text} counts when the filter gives mail back to the service {}",
                    way_back.name
                ),
                "it changes mail when it has been signed",
                command,
            );
        }
    }

    /// Mail that goes to a filter while smtpd takes it, past the milter.
    fn before_proxy(&mut self, service: &Service) {
        let name = "smtpd_proxy_filter";
        let some = Some(service);
        let cause = self.postfix.cause(some, name);
        let found = format!(
            "the service {} hands mail to {}",
            service.name,
            said(cause, name, &self.postfix.value(some, name))
        );
        if self.is_for_users(service) {
            self.findings.add(
                Severity::Act,
                "proxy_filter_unsigned",
                found,
                "a proxy filter gets mail past the milters: mail of users that have logged in leaves \
                 unsigned",
                match cause {
                    Cause::Service(_) => self.without(some, name),
                    _ => self.postfix.set(Cause::Service(service), name, ""),
                },
            );
            return;
        }
        let is_elsewhere = self.postfix.running("smtpd").any(|one| {
            !self.layout.is_way_back(one)
                && (self.is_for_users(one) || !self.signing(Some(one)).is_empty())
        });
        let severity = if is_elsewhere {
            Severity::Note
        } else {
            Severity::Act
        };
        self.findings.add(
            severity,
            "proxy_filter_unsigned",
            found,
            "a proxy filter gets mail past the milters: right for mail from outside; mail of your own \
             clients needs a service without the filter, which signs",
            "take the service submission of conf/postfix/master.cf, with -o smtpd_proxy_filter=",
        );
    }

    fn is_for_users(&self, service: &Service) -> bool {
        is_closed(self.postfix, service)
            || takes_users(self.postfix, service) && service.short_name() != "smtp"
    }
}
