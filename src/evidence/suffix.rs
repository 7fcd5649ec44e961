//! Organisational domains, by the public suffix list that comes with the program.
//!
//! RFC 9989 §4.10 finds them by questions to the DNS. Here it is only told whether two names
//! belong together, of reports that are weeks old, and no name is asked for.

/// The organisational domain of a name: its public suffix and one label more; the name itself,
/// if it is a suffix.
pub fn organisational(domain: &str) -> &str {
    psl::domain_str(domain).unwrap_or(domain)
}

/// Whether two names have one organisational domain.
pub fn belong_together(one: &str, other: &str) -> bool {
    organisational(one) == organisational(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_suffix_is_no_organisation() {
        for (domain, expected) in [
            ("mail.voorbeeld.nl", "voorbeeld.nl"),
            ("voorbeeld.nl", "voorbeeld.nl"),
            ("nl", "nl"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("", ""),
        ] {
            assert_eq!(organisational(domain), expected);
        }
        assert!(belong_together("a.voorbeeld.nl", "voorbeeld.nl"));
        assert!(!belong_together("a.co.uk", "b.co.uk"));
    }
}
