//! Content filters: mail leaves Postfix, and comes back to it.

use super::{Examination, Service};
use crate::words::Severity;

impl Examination<'_> {
    /// Whether mail comes back there from a content filter.
    pub(super) fn is_way_back(&self, service: &Service) -> bool {
        let some = Some(service);
        let passes_on = ["content_filter", "smtpd_proxy_filter"]
            .iter()
            .any(|name| !self.postfix.value(some, name).is_empty());
        let is_marked = service.sets("content_filter")
            || service.is_on_loopback() && service.sets("smtpd_authorized_xforward_hosts");
        service.is_smtpd() && !passes_on && is_marked
    }

    pub(super) fn around_filters(&mut self) {
        for service in self.smtpd() {
            let filter = self.postfix.value(service, "content_filter");
            if !self.signing(service).is_empty() && !filter.is_empty() {
                let name = service.map_or("smtp/inet", |service| &service.name);
                self.findings.add(
                    Severity::Warning,
                    "before_content_filter",
                    format!(
                        "the service {name} signs, then hands mail to content_filter = {filter}"
                    ),
                    "whatever the filter changes breaks the signature; sign where the mail comes \
                     back from it if it changes mail",
                    format!(
                        "postconf -P '{name}/smtpd_milters=' # and leave it in behind the filter"
                    ),
                );
            }
        }
    }
}
