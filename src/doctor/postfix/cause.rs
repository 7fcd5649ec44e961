//! Where a setting that counts for a service stands, and the command that changes it there.

use super::{Postfix, Service};
use crate::shell;

/// Where a setting stands.
#[derive(Clone, Copy, Debug)]
pub(in crate::doctor) enum Cause<'a> {
    /// Behind `-o` in a line of master.cf.
    Service(&'a Service),
    /// In main.cf.
    Main,
    /// Nowhere: it is the default of Postfix.
    Default,
}

impl Cause<'_> {
    /// As in `in main.cf`.
    pub(in crate::doctor) fn place(self) -> String {
        match self {
            Self::Service(service) => format!("in master.cf, service {}", service.name),
            Self::Main => "in main.cf".to_owned(),
            Self::Default => "by default".to_owned(),
        }
    }
}

impl Postfix {
    /// Where what counts for a service stands.
    pub(in crate::doctor) fn cause<'a>(
        &self,
        service: Option<&'a Service>,
        name: &str,
    ) -> Cause<'a> {
        match service.filter(|service| service.sets(name)) {
            Some(service) => Cause::Service(service),
            None if self.settings.contains_key(name) => Cause::Main,
            None => Cause::Default,
        }
    }

    /// The setting that a list comes from: `non_smtpd_milters = $smtpd_milters` is not changed
    /// where it stands.
    pub(in crate::doctor) fn origin<'a>(
        &self,
        service: Option<&Service>,
        name: &'a str,
        others: &[&'a str],
    ) -> &'a str {
        let raw = self.raw(service, name).unwrap_or_default().trim();
        let named = raw
            .strip_prefix('$')
            .map(|rest| rest.trim_matches(['{', '}', '(', ')']));
        let other = others.iter().find(|other| named == Some(**other));
        other.copied().unwrap_or(name)
    }

    /// `postconf`, with the folder if it has to be named.
    pub(in crate::doctor) fn postconf(&self) -> String {
        match &self.folder {
            Some(folder) => format!("postconf -c {}", shell::quoted_path(folder)),
            None => "postconf".to_owned(),
        }
    }

    /// The command that takes a setting away where it stands.
    pub(in crate::doctor) fn unset(&self, cause: Cause<'_>, name: &str) -> String {
        let postconf = self.postconf();
        match cause {
            Cause::Service(service) => {
                let place = shell::quoted(&format!("{}/{name}", service.name));
                format!("{postconf} -PX {place}")
            }
            Cause::Main | Cause::Default => format!("{postconf} -X {name}"),
        }
    }

    /// The command that gives a setting a value where it stands.
    pub(in crate::doctor) fn set(&self, cause: Cause<'_>, name: &str, value: &str) -> String {
        let postconf = self.postconf();
        match cause {
            Cause::Service(service) => {
                let value = without_blanks(value);
                let place = shell::quoted(&format!("{}/{name}={value}", service.name));
                format!("{postconf} -P {place}")
            }
            Cause::Main | Cause::Default => format!("{postconf} -e {}", set(name, value)),
        }
    }

    /// The command that gives a service a value, whatever holds for others: takes its own away if
    /// main.cf has what is wanted.
    pub(in crate::doctor) fn correct(
        &self,
        service: Option<&Service>,
        name: &str,
        value: &str,
        is_right: impl Fn(&str) -> bool,
    ) -> String {
        let cause = self.cause(service, name);
        if matches!(cause, Cause::Service(_)) && is_right(&self.value(None, name)) {
            self.unset(cause, name)
        } else {
            self.set(cause, name, value)
        }
    }
}

/// A setting as postconf(1) takes it.
fn set(name: &str, value: &str) -> String {
    shell::quoted(&format!("{name} = {value}"))
}

/// A list without the blanks between its items, which `postconf -P` takes none of.
fn without_blanks(value: &str) -> String {
    let words: Vec<&str> = value.split_whitespace().collect();
    let text = words.join(",").replace(",,", ",");
    text.replace("{,", "{").replace(",}", "}")
}
