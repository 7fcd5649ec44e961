//! What a receiving MTA says of a message (RFC 8601 §2.2).

/// One field Authentication-Results.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Verdict {
    /// Who says so, in lower case.
    pub(super) authserv_id: String,
    /// `dmarc=pass`
    pub(super) dmarc_passes: bool,
    /// `header.from` of that result, in lower case.
    pub(super) header_from: Option<String>,
}

impl Verdict {
    /// Reads the value of a field; none if it names nobody.
    pub(super) fn read(value: &str) -> Option<Self> {
        let plain = without_comments(value);
        let mut pieces = plain.split(';');
        let authserv_id = pieces.next()?.split_whitespace().next()?;
        let mut verdict = Self {
            authserv_id: authserv_id.trim_matches('"').to_ascii_lowercase(),
            dmarc_passes: false,
            header_from: None,
        };
        for piece in pieces {
            let spaced = piece.replace('=', " = ");
            let words: Vec<&str> = spaced.split_whitespace().collect();
            let [method, "=", result, properties @ ..] = &*words else {
                continue;
            };
            let method = method.split('/').next().unwrap_or_default();
            if !method.eq_ignore_ascii_case("dmarc") {
                continue;
            }
            verdict.dmarc_passes = result.eq_ignore_ascii_case("pass");
            verdict.header_from = properties
                .windows(3)
                .find(|words| words[0].eq_ignore_ascii_case("header.from") && words[1] == "=")
                .map(|words| words[2].trim_matches('"').to_ascii_lowercase());
            break;
        }
        Some(verdict)
    }
}

/// The value without comments (RFC 5322 §3.2.2), which may hold anything, and without what a
/// quoted string could hide: a semicolon in one becomes a blank.
fn without_comments(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut depth = 0_u32;
    let mut quoted = false;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => {
                depth -= 1;
                plain.push(' ');
            }
            _ if depth > 0 => {}
            '"' => quoted = !quoted,
            ';' | '=' if quoted => plain.push(' '),
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pass_of_dmarc_counts() {
        for (value, passes, from) in [
            (
                " mx.relay.nl; dmarc=pass (p=none dis=none) header.from=Google.com",
                true,
                Some("google.com"),
            ),
            (
                " mx.relay.nl 1; spf=pass smtp.mailfrom=a.nl;\r\n\tdmarc = pass",
                true,
                None,
            ),
            (" mx.relay.nl; dkim=pass header.d=google.com", false, None),
            (
                " mx.relay.nl; dmarc=fail header.from=google.com",
                false,
                Some("google.com"),
            ),
            (
                " mx.relay.nl; dkim=none reason=\"; dmarc=pass\"",
                false,
                None,
            ),
            (" mx.relay.nl; dkim=none (; dmarc=pass)", false, None),
            (" mx.relay.nl; dmarc=fail; dmarc=pass", false, None),
        ] {
            let verdict = Verdict::read(value).unwrap();
            assert_eq!(verdict.authserv_id, "mx.relay.nl", "{value}");
            assert_eq!(verdict.dmarc_passes, passes, "{value}");
            assert_eq!(verdict.header_from.as_deref(), from, "{value}");
        }
        assert_eq!(Verdict::read("  "), None);
    }
}
