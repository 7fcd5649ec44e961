//! Mail of made-up parties, and what reporters write of it.

use std::fmt::Write as _;

use super::FROM;
use crate::evidence::streams::Class;

/// Numbers that look like chance, and are the same in each run.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Messages of one party on one day, as one reporter sees them.
#[derive(Clone, Default)]
pub(crate) struct Sent {
    pub(crate) truth: Option<Class>,
    pub(crate) from: &'static str,
    pub(crate) address: String,
    pub(crate) messages: u64,
    /// Domain, selector, result.
    pub(crate) dkim: Vec<(String, &'static str, &'static str)>,
    /// Domain, result.
    pub(crate) spf: Option<(String, &'static str)>,
    pub(crate) reason: &'static str,
}

impl Sent {
    pub(crate) fn new(truth: Class, address: impl Into<String>, messages: u64) -> Self {
        Self {
            truth: Some(truth),
            from: FROM,
            address: address.into(),
            messages,
            ..Self::default()
        }
    }

    pub(crate) fn from(mut self, from: &'static str) -> Self {
        self.from = from;
        self
    }

    pub(crate) fn signed(
        mut self,
        domain: &str,
        selector: &'static str,
        result: &'static str,
    ) -> Self {
        self.dkim.push((domain.to_owned(), selector, result));
        self
    }

    pub(crate) fn spf(mut self, domain: impl Into<String>, result: &'static str) -> Self {
        self.spf = Some((domain.into(), result));
        self
    }

    pub(crate) fn by_list(mut self) -> Self {
        self.reason = "mailing_list";
        self
    }

    /// By DKIM, and by SPF.
    pub(crate) fn is_aligned(&self) -> (bool, bool) {
        let aligned = |domain: &str| domain == FROM || domain.ends_with(".voorbeeld.nl");
        let dkim = self
            .dkim
            .iter()
            .any(|(domain, _, result)| *result == "pass" && aligned(domain));
        let spf = self.spf.as_ref();
        (
            dkim,
            spf.is_some_and(|(domain, result)| *result == "pass" && aligned(domain)),
        )
    }

    /// As a reporter writes it who treats mail that fails so.
    pub(crate) fn record(&self, has_selectors: bool, failing: &str) -> String {
        let word = |is: bool| if is { "pass" } else { "fail" };
        let (dkim, spf) = self.is_aligned();
        let disposition = if dkim || spf { "none" } else { failing };
        let mut results = String::new();
        for (domain, selector, result) in &self.dkim {
            let selector = if has_selectors {
                format!("<selector>{selector}</selector>")
            } else {
                String::new()
            };
            let _ = write!(
                results,
                "<dkim><domain>{domain}</domain>{selector}<result>{result}</result></dkim>"
            );
        }
        if let Some((domain, result)) = &self.spf {
            let _ = write!(
                results,
                "<spf><domain>{domain}</domain><result>{result}</result></spf>"
            );
        }
        let reason = if self.reason.is_empty() {
            String::new()
        } else {
            format!("<reason><type>{}</type></reason>", self.reason)
        };
        format!(
            "<record><row><source_ip>{}</source_ip><count>{}</count><policy_evaluated>\
             <disposition>{disposition}</disposition><dkim>{}</dkim><spf>{}</spf>{reason}\
             </policy_evaluated></row><identifiers><header_from>{}</header_from></identifiers>\
             <auth_results>{results}</auth_results></record>",
            self.address,
            self.messages,
            word(dkim),
            word(spf),
            self.from
        )
    }
}
