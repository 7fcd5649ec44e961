//! What is dangerous in the settings of a Postfix from 3.5 to 3.11.
//!
//! Each setting is looked at in the daemon that reads it: what `-o` says in master.cf counts for
//! its service, what main.cf says for the others. The command is for the place where it stands.

mod behind;
mod connected;
mod filters;
mod layout;
mod milters;
mod receiving;
mod tables;

use self::layout::Layout;
pub use self::tables::{Answer, NoTables, Tables};
use super::{
    Finding, Findings, Ours, milter_address,
    postfix::{Cause, Milter, Postfix, Service},
};
use crate::{
    config::{ListenerSettings, Outbound},
    shell,
    words::Severity,
};

/// Everything that is to be said. `tables` answers for the lookup tables that settings name.
pub fn examine(postfix: &Postfix, ours: Ours<'_>, tables: &dyn Tables) -> Vec<Finding> {
    let mut examination = Examination {
        postfix,
        ours,
        tables,
        layout: Layout::of(postfix),
        findings: Findings::default(),
    };
    examination.other_instances();
    examination.connected();
    examination.milters();
    examination.processes();
    examination.receiving();
    examination.behind_the_milter();
    examination.around_filters();
    examination.findings.worst_first()
}

/// What smtpd and pickup leave out for their mail.
const OPTIONS: &str = "receive_override_options";

struct Examination<'a> {
    postfix: &'a Postfix,
    ours: Ours<'a>,
    tables: &'a dyn Tables,
    layout: Layout<'a>,
    findings: Findings,
}

/// A milter of the MTA that is a listener of ours.
struct Link<'a> {
    milter: Milter,
    listener: &'a ListenerSettings,
}

impl<'a> Examination<'a> {
    /// Each instance of Postfix has files of its own.
    fn other_instances(&mut self) {
        let folders = self.postfix.other_instances();
        for folder in folders {
            self.findings.add(
                Severity::Note,
                "other_instance",
                format!("multi_instance_directories has {folder}"),
                "it is a Postfix of its own, with its own main.cf and master.cf",
                format!("zegel doctor --postfix {}", shell::quoted(&folder)),
            );
        }
    }

    /// Our listeners in a list of milters.
    fn links(&self, service: Option<&Service>, name: &str) -> Vec<Link<'a>> {
        let milters = self.postfix.milters(service, name);
        let link = |milter| {
            let listener = self.listener(&milter)?;
            Some(Link { milter, listener })
        };
        milters.into_iter().filter_map(link).collect()
    }

    fn listener(&self, milter: &Milter) -> Option<&'a ListenerSettings> {
        let mut listeners = self.ours.listeners.iter();
        listeners.find(|listener| self.postfix.is(milter, listener))
    }

    /// Our listeners that a service of smtpd connects to.
    fn linked(&self, service: Option<&Service>) -> Vec<Link<'a>> {
        if self.is_without_milters(service) {
            return Vec::new();
        }
        let mut links = self.links(service, "smtpd_milters");
        links.extend(self.mapped(service));
        links
    }

    /// Our listeners that see the mail of a service of smtpd, and may change it.
    fn signing(&self, service: Option<&Service>) -> Vec<Link<'a>> {
        // What goes on to a proxy is shown to no milter.
        if self.postfix.value(service, "smtpd_proxy_filter").is_empty() {
            let mut links = self.linked(service);
            links.retain(|link| !link.listener.observe);
            links
        } else {
            Vec::new()
        }
    }

    fn is_without_milters(&self, service: Option<&Service>) -> bool {
        self.has_option(service, "no_milters")
    }

    /// Whether `receive_override_options` has a word for a service.
    fn has_option(&self, service: Option<&Service>, option: &str) -> bool {
        let options = self.postfix.words(service, OPTIONS);
        options.iter().any(|one| one == option)
    }

    /// The command that takes a word of `receive_override_options` away and leaves the rest.
    fn without_option(&self, service: Option<&Service>, option: &str) -> String {
        let mut options = self.postfix.words(service, OPTIONS);
        options.retain(|one| one != option);
        let cause = self.postfix.cause(service, OPTIONS);
        let is_own = matches!(cause, Cause::Service(_));
        if options.is_empty() && !(is_own && self.has_option(None, option)) {
            self.postfix.unset(cause, OPTIONS)
        } else {
            self.postfix.set(cause, OPTIONS, &options.join(", "))
        }
    }

    /// The command that gives a service one more word of `receive_override_options`.
    fn with_option(&self, service: &Service, option: &str) -> String {
        let mut options = self.postfix.words(Some(service), OPTIONS);
        options.push(option.to_owned());
        let cause = Cause::Service(service);
        self.postfix.set(cause, OPTIONS, &options.join(", "))
    }

    /// The address of a listener that signs; rather of one that knows whose mail is outbound.
    fn address(&self) -> String {
        let signing = || self.ours.listeners.iter().filter(|one| !one.observe);
        let knowing = signing().find(|one| one.outbound != Outbound::All);
        knowing
            .or_else(|| signing().next())
            .map_or(String::new(), |one| milter_address(&one.socket))
    }

    /// The value of a list with one more item behind those that are there.
    fn behind(&self, service: Option<&Service>, name: &str, item: &str) -> String {
        match self.postfix.value(service, name).trim() {
            "" => item.to_owned(),
            others => format!("{others}, {item}"),
        }
    }

    fn smtpd(&self) -> Vec<Option<&'a Service>> {
        self.running("smtpd")
    }

    /// The services that run a program; main.cf alone if master.cf has none.
    fn running(&self, program: &str) -> Vec<Option<&'a Service>> {
        let services = self.postfix.services.iter();
        let mut found: Vec<_> = services
            .filter(|one| one.program == program)
            .map(Some)
            .collect();
        if found.is_empty() {
            found.push(None);
        }
        found
    }

    /// The cleanup service of mail that does not come by SMTP.
    fn local_cleanup(&self) -> Option<&'a Service> {
        let pickup = self.postfix.running("pickup").next();
        self.postfix.cleanup_of(pickup)
    }
}

/// `name = value`, and where it stands if that is not main.cf.
fn said(cause: Cause<'_>, name: &str, value: &str) -> String {
    let text = format!("{name} = {value}");
    match cause {
        Cause::Service(_) => format!("{} {}", text.trim_end(), cause.place()),
        Cause::Main | Cause::Default => text.trim_end().to_owned(),
    }
}
