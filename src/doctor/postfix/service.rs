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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_each_form_that_master_cf_has() {
        let line = "[::1]:10025 inet n - y - 7 smtpd -o { smtpd_milters = { unix:a, x=y } inet:b } \
                    -o content_filter= -omynetworks=127.0.0.0/8 -v -o content_filter=again";
        let service = Service::parse(line).unwrap();
        assert_eq!(service.name, "[::1]:10025/inet");
        assert_eq!((service.chroot, service.processes), (true, Some(7)));
        let options: Vec<(&str, &str)> = service
            .options
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let expected = [
            ("content_filter", "again"),
            ("mynetworks", "127.0.0.0/8"),
            ("smtpd_milters", "{ unix:a, x=y } inet:b"),
        ];
        assert_eq!(options, expected);
    }

    #[test]
    fn who_can_come_to_a_port_is_read_from_its_name() {
        for (name, expected) in [
            ("127.0.0.1:10025 inet", true),
            ("[::1]:10025 inet", true),
            ("localhost:10026 inet", true),
            ("10025 inet", false),
            ("192.0.2.1:25 inet", false),
            ("smtp inet", false),
            ("smtpd pass", false),
        ] {
            let service = Service::parse(&format!("{name} n - n - - smtpd")).unwrap();
            assert_eq!(service.is_on_loopback(), expected, "{name}");
        }
    }
}
