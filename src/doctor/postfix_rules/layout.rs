//! Which services hand mail to content filters, and which take it back.

use crate::doctor::postfix::{Postfix, Service};

/// Services that take mail from users, by their names.
const SUBMISSION: [&str; 5] = ["submission", "smtps", "submissions", "587/", "465/"];

/// Where filters give mail back by custom; amavis has 10025.
const USUAL_PORTS: [&str; 4] = [":10025", ":10026", ":10027", ":10028"];

/// Restrictions that let known clients pass.
const KNOWN: [&str; 5] = [
    "permit_mynetworks",
    "permit_sasl_authenticated",
    "permit_tls_clientcerts",
    "permit_tls_all_clientcerts",
    "permit_inet_interfaces",
];

/// Where smtpd says whom it takes mail from; each has to let a client pass.
const RESTRICTIONS: [&str; 5] = [
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
];

/// How mail goes to filters, and comes back.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout<'a> {
    /// Services of smtpd that hand what they have taken to a filter.
    pub(super) after_queue: Vec<&'a Service>,
    /// Services of smtpd that hand mail to a filter while they take it.
    pub(super) before_queue: Vec<&'a Service>,
    /// Services of smtpd that take it back.
    pub(super) ways_back: Vec<&'a Service>,
}

impl<'a> Layout<'a> {
    pub(super) fn of(postfix: &'a Postfix) -> Self {
        let smtpd: Vec<&Service> = postfix.running("smtpd").collect();
        let with = |name: &str| {
            let has = |one: &&&Service| !postfix.value(Some(one), name).is_empty();
            smtpd.iter().filter(has).copied().collect::<Vec<_>>()
        };
        let mut layout = Self {
            after_queue: with("content_filter"),
            before_queue: with("smtpd_proxy_filter"),
            ways_back: Vec::new(),
        };
        let has_filter = layout.feeders().next().is_some();
        let ways_back = smtpd
            .iter()
            .filter(|one| is_way_back(postfix, one, has_filter));
        layout.ways_back = ways_back.copied().collect();
        layout
    }

    /// All that hand mail to a filter.
    pub(super) fn feeders(&self) -> impl Iterator<Item = &'a Service> {
        self.after_queue.iter().chain(&self.before_queue).copied()
    }

    pub(super) fn is_feeder(&self, service: &Service) -> bool {
        self.feeders().any(|one| one.name == service.name)
    }

    /// Whether mail comes back there from a filter.
    pub(super) fn is_way_back(&self, service: &Service) -> bool {
        self.ways_back.iter().any(|one| one.name == service.name)
    }
}

/// It hands nothing on to a filter, and only this host can use it.
fn is_way_back(postfix: &Postfix, service: &Service, has_filter: bool) -> bool {
    let some = Some(service);
    let is_set = |name: &str| !postfix.value(some, name).is_empty();
    if is_set("content_filter") || is_set("smtpd_proxy_filter") || takes_users(postfix, service) {
        return false;
    }
    let networks = postfix.words(some, "mynetworks");
    let is_local = |network: &String| network.starts_with("127.") || network.starts_with("[::1]");
    let trusts_this_host = service.sets("mynetworks") && networks.iter().all(is_local);
    let is_marked = service.sets("content_filter")
        || service.sets("smtpd_proxy_filter")
        || is_set("smtpd_authorized_xforward_hosts");
    if !service.is_on_loopback() {
        return is_marked && trusts_this_host;
    }
    let is_usual = USUAL_PORTS
        .iter()
        .any(|port| service.short_name().ends_with(port));
    let is_special = trusts_this_host || service.sets("receive_override_options") || is_usual;
    is_marked || has_filter && is_special
}

/// Whether a service takes mail from clients that it knows and from nobody else.
pub(super) fn is_closed(postfix: &Postfix, service: &Service) -> bool {
    let closes = |name: &&str| {
        for word in postfix.words(Some(service), name) {
            match word.as_str() {
                "reject" | "defer" => return true,
                word if KNOWN.contains(&word) || word.starts_with("reject_") => {}
                _ => return false,
            }
        }
        false
    };
    RESTRICTIONS.iter().any(closes)
}

/// Whether users log in there.
pub(super) fn takes_users(postfix: &Postfix, service: &Service) -> bool {
    SUBMISSION.iter().any(|word| service.name.contains(word))
        || postfix.value(Some(service), "smtpd_sasl_auth_enable") == "yes"
}
