//! Whether a forged DMARC report can be told from a real one.

use crate::{config::Settings, evidence::Store};

/// The setting that is missing then.
pub(super) const KEY: &str = "reports.authserv_id";

/// What is to be said where reports come in by mail, which anybody can send. Where files are read
/// that somebody has fetched, the setting would make nothing better.
pub(super) fn hint(settings: &Settings) -> Option<String> {
    let reports = &settings.reports;
    let was_read = || Store::read(&reports.state).is_ok_and(|store| store.is_some());
    let come_by_mail = reports.maildir.is_some()
        || reports.address.is_some()
        || (settings.handover.rua.is_some() && was_read());
    let is_missing = reports.authserv_id.is_none() && come_by_mail;
    is_missing.then(|| {
        "without [reports] authserv_id nobody can tell a forged DMARC report from a real one: if \
         they come by mail, write the name that the MTA which receives them puts first in \
         Authentication-Results, such as mx.relay.example"
            .to_owned()
    })
}
