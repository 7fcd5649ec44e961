//! The `[handover]` table: what the packs for the DNS administrators say beside the keys.

use super::{
    problem::Fault,
    section::{Section, domain, owned_text, quoted, text},
    source::Node,
};
use crate::names::DomainName;

/// The longest sentence of the operator's own, in characters.
const MOST_CHARACTERS: usize = 1000;

/// The `[handover]` table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HandoverSettings {
    /// The terms that allow our relays in the SPF record of a customer, such as
    /// `include:_spf.relay.example`.
    pub spf: Option<String>,
    /// The address for DMARC reports that a new record names.
    pub rua: Option<String>,
    /// Who sends the packs.
    pub sender: Option<String>,
    /// Where a DNS administrator can ask.
    pub contact: Option<String>,
    /// A sentence of the operator's own.
    pub note: Option<String>,
    /// The operator's zone for keys, to which organisations point with CNAME or DNAME.
    pub zone: Option<DomainName>,
    /// The operator's name servers, to which organisations delegate with NS.
    pub name_servers: Vec<DomainName>,
}

pub(super) fn read(mut section: Section<'_>) -> HandoverSettings {
    let settings = HandoverSettings {
        spf: section.read("spf", spf_terms),
        rua: section.read("rua", mailbox),
        sender: section.read("sender", sentence),
        contact: section.read("contact", sentence),
        note: section.read("note", sentence),
        zone: section.read("zone", domain),
        name_servers: section.values("name_servers", domain),
    };
    section.finish();
    settings
}

/// Mechanisms of SPF that allow something (RFC 7208 §5), with blanks between.
fn spf_terms(node: &Node) -> Result<String, Fault> {
    const ADVICE: &str = "write what customers add to their SPF record, such as \
         \"include:_spf.relay.example\" or \"ip4:192.0.2.0/28\", without v=spf1 and all";
    const MECHANISMS: [&str; 6] = ["include:", "ip4:", "ip6:", "a:", "mx:", "exists:"];
    let written = text(node)?;
    let is_mechanism = |term: &str| {
        let term = term.strip_prefix('+').unwrap_or(term).to_ascii_lowercase();
        let rest = MECHANISMS.iter().find_map(|one| term.strip_prefix(one));
        rest.is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|octet| octet.is_ascii_graphic())
        })
    };
    let terms: Vec<&str> = written.split_ascii_whitespace().collect();
    if let Some(wrong) = terms.iter().find(|term| !is_mechanism(term)) {
        let text = format!("{} is no term that allows a sender", quoted(wrong));
        return Err(Fault::new(text, ADVICE));
    }
    Ok(terms.join(" "))
}

/// The address that reports go to; `mailto:` before it is left out.
pub(super) fn mailbox(node: &Node) -> Result<String, Fault> {
    const ADVICE: &str =
        "write the one address that takes the reports, such as dmarc@relay.example";
    let written = text(node)?;
    let address = written.strip_prefix("mailto:").unwrap_or(written);
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"._+-=".contains(&octet);
    match address.rsplit_once('@') {
        Some((local, domain))
            if !local.is_empty()
                && local.bytes().all(is_plain)
                && domain.parse::<DomainName>().is_ok() =>
        {
            Ok(address.to_owned())
        }
        _ => {
            let text = format!("{} is no address for reports", quoted(written));
            Err(Fault::new(text, ADVICE))
        }
    }
}

fn sentence(node: &Node) -> Result<String, Fault> {
    let text = owned_text(node)?;
    if text.chars().any(char::is_control) {
        return Err(Fault::new(
            "it has a control character",
            "write it on one line",
        ));
    }
    if text.chars().count() > MOST_CHARACTERS {
        let problem = format!("it has more than {MOST_CHARACTERS} characters");
        return Err(Fault::new(problem, "write a shorter one"));
    }
    Ok(text)
}
