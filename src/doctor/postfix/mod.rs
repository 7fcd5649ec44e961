//! What `postconf -n` and `postconf -M` print, resolved as each daemon of Postfix does.

mod cause;
mod expand;
mod milter;
mod service;
mod text;

use std::{collections::BTreeMap, path::PathBuf};

pub use self::service::Service;
pub(super) use self::{
    cause::Cause,
    milter::{Milter, list},
    text::seconds,
};
use self::{
    expand::expanded,
    text::{joined, numbers, separates, split, split_with_braces},
};
use crate::config::{ListenerSettings, Socket};

/// The settings of a Postfix.
#[derive(Clone, Debug, Default)]
pub struct Postfix {
    settings: BTreeMap<String, String>,
    /// The lines of master.cf.
    pub services: Vec<Service>,
    /// `mail_version`, if it is known: 3.7.11 as 3, 7, 11.
    pub version: Option<(u32, u32, u32)>,
    /// The folder of main.cf and master.cf, where postconf has to be told.
    folder: Option<PathBuf>,
}

impl Postfix {
    /// Of what `postconf -n` and `postconf -M` print, and `postconf -h mail_version`.
    pub fn parse(parameters: &str, services: &str, version: Option<&str>) -> Self {
        let settings = joined(parameters).into_iter().filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        });
        Self {
            settings: settings.collect(),
            services: joined(services)
                .iter()
                .filter_map(|line| Service::parse(line))
                .collect(),
            version: version.and_then(numbers),
            folder: None,
        }
    }

    /// The same, whose commands name the folder of its files.
    pub fn in_folder(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
            ..self
        }
    }

    /// A setting with what it names put in, for a service or for all; none if it is not set.
    pub(super) fn get(&self, service: Option<&Service>, name: &str) -> Option<String> {
        let value = |name: &str| {
            let raw = self.raw(service, name);
            raw.map_or_else(|| default(name), str::to_owned)
        };
        self.raw(service, name).map(|text| expanded(text, &value))
    }

    /// The same; what Postfix takes if it is not set, as far as the rules need that.
    pub(super) fn value(&self, service: Option<&Service>, name: &str) -> String {
        self.get(service, name).unwrap_or_else(|| default(name))
    }

    /// The words of a list.
    pub(super) fn words(&self, service: Option<&Service>, name: &str) -> Vec<String> {
        split(&self.value(service, name), separates)
    }

    /// The lookup tables of a list, with their braces.
    pub(super) fn tables(&self, service: Option<&Service>, name: &str) -> Vec<String> {
        split_with_braces(&self.value(service, name), separates)
    }

    fn raw<'a>(&'a self, service: Option<&'a Service>, name: &str) -> Option<&'a str> {
        let own = service.and_then(|service| service.options.get(name));
        own.or_else(|| self.settings.get(name)).map(String::as_str)
    }

    /// The milters of a list, for a service or for all.
    pub(super) fn milters(&self, service: Option<&Service>, name: &str) -> Vec<Milter> {
        Milter::list(&self.value(service, name))
    }

    /// A setting of one milter, or of all.
    pub(super) fn of_milter(
        &self,
        service: Option<&Service>,
        milter: &Milter,
        name: &str,
    ) -> Option<String> {
        let own = milter.option(name).map(str::to_owned);
        own.or_else(|| self.get(service, &format!("milter_{name}")))
    }

    /// The services that run a program.
    pub(super) fn running<'a>(&'a self, program: &'a str) -> impl Iterator<Item = &'a Service> {
        let services = self.services.iter();
        services.filter(move |service| service.program == program)
    }

    /// The cleanup service that a service hands mail to.
    pub(super) fn cleanup_of(&self, service: Option<&Service>) -> Option<&Service> {
        let name = self.value(service, "cleanup_service_name");
        self.running("cleanup")
            .find(|cleanup| cleanup.short_name() == name)
    }

    /// Where relative socket paths begin.
    pub fn queue_directory(&self) -> String {
        self.value(None, "queue_directory")
    }

    /// The user that Postfix connects as.
    pub fn mail_owner(&self) -> String {
        self.value(None, "mail_owner")
    }

    /// The folders of further instances on this host.
    pub fn other_instances(&self) -> Vec<String> {
        self.words(None, "multi_instance_directories")
    }

    /// The file that the socket of a listener is to be, if it is one and if that is known.
    pub fn socket_file(&self, listener: &ListenerSettings) -> Option<PathBuf> {
        if let Socket::Unix { path, .. } = &listener.socket {
            return Some(path.clone());
        }
        self.services
            .iter()
            .map(Some)
            .chain([None])
            .flat_map(|service| self.milters(service, "smtpd_milters"))
            .filter(|milter| self.is(milter, listener))
            .find_map(|milter| self.path(&milter))
            .map(PathBuf::from)
    }

    fn path(&self, milter: &Milter) -> Option<String> {
        let path = milter.address.strip_prefix("unix:")?;
        if path.starts_with('/') {
            return Some(path.to_owned());
        }
        Some(format!("{}/{path}", self.queue_directory()))
    }

    /// Whether a milter is this listener of ours.
    pub(super) fn is(&self, milter: &Milter, listener: &ListenerSettings) -> bool {
        let path = self.path(milter);
        match (&listener.socket, path) {
            (Socket::Unix { path: ours, .. }, Some(path)) => ours.as_os_str() == path.as_str(),
            // Only systemd knows where it is; this is where our unit has it.
            (Socket::Inherited(name), Some(path)) => path.ends_with(&format!("/{name}.sock")),
            (Socket::Tcp(ours), None) => {
                let address = milter.address.strip_prefix("inet:").unwrap_or_default();
                let (host, port) = address.rsplit_once(':').unwrap_or_default();
                let host = host.trim_matches(['[', ']']);
                let same = match host {
                    "localhost" => ours.ip().is_loopback(),
                    host => host.parse() == Ok(ours.ip()),
                };
                same && port == ours.port().to_string()
            }
            _ => false,
        }
    }
}

/// Defaults of Postfix that the rules need.
fn default(name: &str) -> String {
    let value = match name {
        "queue_directory" => "/var/spool/postfix",
        "mail_owner" => "postfix",
        "cleanup_service_name" => "cleanup",
        "smtpd_relay_restrictions" => {
            "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination"
        }
        _ => "",
    };
    value.to_owned()
}
