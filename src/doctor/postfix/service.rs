//! A line of master.cf.

use std::collections::BTreeMap;

use super::text::split;

/// A service of master.cf.
#[derive(Clone, Debug)]
pub struct Service {
    /// `smtp/inet`, as `postconf -P` wants it.
    pub name: String,
    /// Whether it says `y` for chroot.
    pub chroot: bool,
    /// The most processes, if it says so; 0 is no limit.
    pub processes: Option<usize>,
    /// The program, such as `smtpd`.
    pub program: String,
    /// What it sets with `-o`.
    pub(super) options: BTreeMap<String, String>,
}

impl Service {
    /// Of a logical line of `postconf -M`; none if it is no service.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let words = split(line, char::is_whitespace);
        let [
            name,
            kind,
            _,
            _,
            chroot,
            _,
            processes,
            program,
            arguments @ ..,
        ] = words.as_slice()
        else {
            return None;
        };
        let mut options = BTreeMap::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let option = match argument.strip_prefix("-o") {
                Some("") => arguments.next().map(String::as_str),
                other => other,
            };
            if let Some((name, value)) = option.and_then(|option| option.split_once('=')) {
                options.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        Some(Self {
            name: format!("{name}/{kind}"),
            chroot: chroot == "y",
            processes: processes.parse().ok(),
            program: program.clone(),
            options,
        })
    }

    /// Whether it takes mail by SMTP.
    pub(in crate::doctor) fn is_smtpd(&self) -> bool {
        self.program == "smtpd"
    }

    /// Whether it hands mail on by SMTP or LMTP.
    pub(in crate::doctor) fn is_client(&self) -> bool {
        self.program == "smtp" || self.program == "lmtp"
    }

    /// Whether it says something of this setting itself.
    pub(in crate::doctor) fn sets(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// What a transport or a service is called by others.
    pub(in crate::doctor) fn short_name(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Whether only this host can come to its port.
    pub(in crate::doctor) fn is_on_loopback(&self) -> bool {
        let Some((address, "inet")) = self.name.rsplit_once('/') else {
            return false;
        };
        let host = address.rsplit_once(':').map_or("", |(host, _)| host);
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.starts_with("127.") || host == "::1"
    }
}
