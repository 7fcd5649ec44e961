//! What is done to mail around the milter.

use super::Examination;
use crate::words::Severity;

impl Examination<'_> {
    pub(super) fn bare_newline(&mut self) {
        const WHY: &str = "a bare LF can smuggle a second message into one that is signed \
                           (CVE-2023-51764)";
        let value = self.postfix.get(None, "smtpd_forbid_bare_newline");
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
        let command = if knows_normalize {
            "postconf -e 'smtpd_forbid_bare_newline = normalize'"
        } else if knows_yes {
            "postconf -e 'smtpd_forbid_bare_newline = yes'"
        } else {
            "upgrade Postfix: this release has no smtpd_forbid_bare_newline"
        };
        let is_off = match value.as_deref() {
            Some(value) => value == "no" || !knows_yes,
            None => !safe_by_default,
        };
        if is_off {
            let found = match value {
                Some(value) => format!("smtpd_forbid_bare_newline = {value}"),
                None => "smtpd_forbid_bare_newline is not set".to_owned(),
            };
            self.add(
                Severity::Act,
                "bare_newline",
                (found, WHY, command.to_owned()),
            );
        }
    }

    /// What changes mail when it has been signed.
    pub(super) fn behind_the_milter(&mut self) {
        for name in [
            "smtp_header_checks",
            "smtp_mime_header_checks",
            "smtp_body_checks",
            "smtp_generic_maps",
        ] {
            let value = self.setting(name);
            if !value.is_empty() {
                self.add(Severity::Warning, "changed_behind", (
                    format!("{name} = {value}"),
                    "it changes mail when it has been signed; the fields that are signed, and the \
                     body, must stay as they are",
                    format!("postconf -X {name} # or see that it touches nothing that is signed"),
                ));
            }
        }
        if self
            .setting("smtp_discard_ehlo_keywords")
            .to_ascii_lowercase()
            .contains("8bitmime")
        {
            self.add(
                Severity::Warning,
                "eight_bit_downgrade",
                (
                    "smtp_discard_ehlo_keywords has 8bitmime".to_owned(),
                    "8-bit bodies are recoded when they have been signed",
                    "postconf -X smtp_discard_ehlo_keywords".to_owned(),
                ),
            );
        }
        if self.setting("smtputf8_enable") == "no" {
            self.add(Severity::Note, "no_smtputf8", (
                "smtputf8_enable = no".to_owned(),
                "mail with addresses beyond ASCII passes without the checks of RFC 6531, and may be \
                 refused or changed on its way",
                "postconf -e 'smtputf8_enable = yes'".to_owned(),
            ));
        }
        if !self.setting("message_strip_characters").contains("\\0") {
            self.add(Severity::Note, "nul", (
                "message_strip_characters is without \\0".to_owned(),
                "the milter protocol cuts a header field at a NUL, so that what is signed is not \
                 what is sent",
                "postconf -e 'message_strip_characters = \\0'".to_owned(),
            ));
        }
    }
}
