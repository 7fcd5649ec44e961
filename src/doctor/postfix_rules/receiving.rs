//! What smtpd and cleanup let pass in front of us.

use super::{Cause, Examination, Service, said};
use crate::words::Severity;

impl Examination<'_> {
    pub(super) fn receiving(&mut self) {
        for service in self.smtpd() {
            self.bare_newline(service);
            self.without_smtputf8(service);
            if !self.signing(service).is_empty() {
                self.nul(self.postfix.cleanup_of(service));
            }
        }
        self.nul(self.local_cleanup());
    }

    fn bare_newline(&mut self, service: Option<&Service>) {
        const WHY: &str = "a bare LF can smuggle a second message into one that is signed \
                           (CVE-2023-51764)";
        let name = "smtpd_forbid_bare_newline";
        let value = self.postfix.get(service, name);
        // Since 3.9 it is the default.
        let version = self.postfix.version;
        let safe_by_default = version.is_some_and(|version| version >= (3, 9, 0));
        let (knows_normalize, knows_yes) = match version {
            Some((3, 5, patch)) => (patch >= 24, patch >= 23),
            Some((3, 6, patch)) => (patch >= 14, patch >= 13),
            Some((3, 7, patch)) => (patch >= 10, patch >= 9),
            Some((3, 8, patch)) => (patch >= 5, patch >= 4),
            Some(version) => (version > (3, 8, 5), version > (3, 8, 5)),
            None => (true, true),
        };
        let is_off = |value: &str| match value {
            "" => !safe_by_default,
            value => value == "no" || !knows_yes,
        };
        if !is_off(value.as_deref().unwrap_or_default()) {
            return;
        }
        let good = if knows_normalize { "normalize" } else { "yes" };
        let command = if knows_yes {
            let is_right = |value: &str| !is_off(value);
            self.postfix.correct(service, name, good, is_right)
        } else {
            "upgrade Postfix: this release has no smtpd_forbid_bare_newline".to_owned()
        };
        let found = match value {
            Some(value) => said(self.postfix.cause(service, name), name, &value),
            None => "smtpd_forbid_bare_newline is not set".to_owned(),
        };
        self.findings
            .add(Severity::Act, "bare_newline", found, WHY, command);
    }

    fn without_smtputf8(&mut self, service: Option<&Service>) {
        let name = "smtputf8_enable";
        if self.postfix.value(service, name) == "no" {
            self.findings.add(
                Severity::Note,
                "no_smtputf8",
                said(self.postfix.cause(service, name), name, "no"),
                "mail with addresses beyond ASCII passes without the checks of RFC 6531, and may be \
                 refused or changed on its way",
                self.postfix.correct(service, name, "yes", |value| value != "no"),
            );
        }
    }

    fn nul(&mut self, cleanup: Option<&Service>) {
        let name = "message_strip_characters";
        let value = self.postfix.value(cleanup, name);
        if value.contains("\\0") {
            return;
        }
        let found = match self.postfix.cause(cleanup, name) {
            cause @ Cause::Service(_) => said(cause, name, &value),
            _ => "message_strip_characters is without \\0".to_owned(),
        };
        self.findings.add(
            Severity::Note,
            "nul",
            found,
            "the milter protocol cuts a header field at a NUL, so that what is signed is not what is \
             sent",
            self.postfix.correct(cleanup, name, "\\0", |value| value.contains("\\0")),
        );
    }
}
