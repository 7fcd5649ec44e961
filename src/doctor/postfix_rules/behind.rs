//! What changes mail when it has been signed.

use super::{Cause, Examination, Service, said};
use crate::words::Severity;

/// What an SMTP or LMTP client may change, behind `smtp_` or `lmtp_`.
const CHANGES: [&str; 5] = [
    "header_checks",
    "mime_header_checks",
    "nested_header_checks",
    "body_checks",
    "generic_maps",
];

impl Examination<'_> {
    pub(super) fn behind_the_milter(&mut self) {
        let services = self.postfix.services.iter();
        let mut clients: Vec<_> = services.filter(|one| one.is_client()).map(Some).collect();
        if clients.is_empty() {
            clients.push(None);
        }
        for client in clients {
            let program = client.map_or("smtp", |client| &client.program);
            for change in CHANGES {
                self.changed_by(client, &format!("{program}_{change}"));
            }
            self.downgraded_by(client, &format!("{program}_discard_ehlo_keywords"));
        }
    }

    fn changed_by(&mut self, client: Option<&Service>, name: &str) {
        let value = self.postfix.value(client, name);
        if value.is_empty() {
            return;
        }
        let cause = self.postfix.cause(client, name);
        self.findings.add(
            Severity::Warning,
            "changed_behind",
            said(cause, name, &value),
            "it changes mail when it has been signed; the fields that are signed, and the body, must \
             stay as they are",
            format!(
                "{} # or see that it touches nothing that is signed",
                self.without(client, name)
            ),
        );
    }

    fn downgraded_by(&mut self, client: Option<&Service>, name: &str) {
        let mut words = self.postfix.words(client, name);
        let count = words.len();
        words.retain(|word| !word.eq_ignore_ascii_case("8bitmime"));
        if words.len() == count {
            return;
        }
        let cause = self.postfix.cause(client, name);
        let command = if words.is_empty() {
            self.without(client, name)
        } else {
            self.postfix.set(cause, name, &words.join(", "))
        };
        self.findings.add(
            Severity::Warning,
            "eight_bit_downgrade",
            said(cause, name, &self.postfix.value(client, name)),
            "8-bit bodies are recoded when they have been signed",
            command,
        );
    }

    /// The command that leaves a setting of a service empty.
    pub(super) fn without(&self, service: Option<&Service>, name: &str) -> String {
        match self.postfix.cause(service, name) {
            Cause::Service(_) => self.postfix.correct(service, name, "", str::is_empty),
            cause => self.postfix.unset(cause, name),
        }
    }
}
