//! What stays unsigned though all readers see one domain of ours, and why. A second, simple
//! reading of the value, which has nothing from the parser of Zegel.

/// Why this value is refused, if that is meant to be.
#[expect(clippy::too_many_lines, reason = "a table, one row for each reason")]
pub(crate) fn reason(value: &[u8]) -> Option<&'static str> {
    let Some(seen) = Seen::new(value) else {
        return Some("a quoted string or a comment does not end: the rest is guesswork");
    };
    let plain = seen.plain.as_slice();
    let holds = |octet: u8| plain.contains(&octet);
    let separators = |octet: &u8| b",;".contains(octet);
    let elements: Vec<&[u8]> = plain
        .split(separators)
        .filter(|one| !is_blank(one))
        .collect();
    let inside = angle_address(plain);
    let bare = elements.first().copied().unwrap_or_default();
    let address = inside.unwrap_or(bare).trim_ascii();
    let text = String::from_utf8_lossy(address);
    let local_part = seen.local_part(address);
    let is_utf8 = std::str::from_utf8(value).is_ok();
    let names_another = names_another_domain(value, address);
    let is_plain = inside.is_some() && !address.contains(&QUOTED);
    let pairs = || address.windows(2).map(|two| [two[0], two[1]]);
    [
        (
            has_bare_line_end(value),
            "a CR or LF that folds nothing: each program breaks the line elsewhere",
        ),
        (
            holds(b'\\'),
            "a backslash outside of quotes: it quotes what follows, or it does not",
        ),
        (holds(b')'), "a parenthesis that closes nothing"),
        (
            holds(b':'),
            "a group (RFC 6854 §2.1), a route or a URI: no mailbox alone",
        ),
        (
            elements.len() > 1,
            "a list: an MTA on the way completes a name without a domain with its own",
        ),
        (
            (holds(b'<') || holds(b'>')) && inside.is_none(),
            "not one address in one pair of brackets, with nothing behind",
        ),
        (
            address.contains(&COMMENT),
            "a comment in the address (RFC 5322 §3.4.1: should not be)",
        ),
        (
            address.iter().any(|octet| b" \t[]".contains(octet)),
            "words beside an address without brackets, or an address in pieces",
        ),
        (
            address
                .trim_ascii_start()
                .iter()
                .find(|octet| **octet != b'.')
                == Some(&b'@'),
            "no local part, or one of dots alone",
        ),
        (
            pairs().any(|two| two == *b"=?"),
            "an encoded word in the local part (RFC 2047 §5)",
        ),
        (
            local_part.iter().any(|octet| b"@<>,=".contains(octet)),
            "@ < > , or an encoded word in a quoted local part",
        ),
        (
            pairs().any(|[one, other]| {
                (one == QUOTED && !b".@".contains(&other)) || (other == QUOTED && one != b'.')
            }),
            "a quoted string and no dot between it and its neighbour in the local part",
        ),
        (
            value.windows(3).any(|three| three == b"\\\\\""),
            "a quoted backslash that ends a quoted string: no end for addressparser",
        ),
        (
            address.ends_with(b"."),
            "a dot behind the domain: no dot-atom, and not aligned for some",
        ),
        (
            !(is_utf8 || address.is_ascii() && local_part.is_ascii()),
            "octets that are no UTF-8, and an address that is not ASCII",
        ),
        (
            text.contains(['ß', 'ς', '\u{200c}', '\u{200d}']),
            "a character that IDNA 2003 maps away",
        ),
        (
            address.contains(&QUOTED) && !address.is_ascii(),
            "a U-label behind a quoted local part: nodemailer reads a part of it",
        ),
        (
            has_comment_attached(plain, address),
            "a comment right behind the address: Ruby's Mail may take it for a part of it",
        ),
        (
            value
                .windows(2)
                .any(|two| two[0] == b'\\' && !two[1].is_ascii()),
            "a quoted octet that is no UTF-8: authheaders drops it and quotes the next one",
        ),
        (
            memchr::memchr_iter(b'@', plain).count() > 1,
            "an address in the display name without quotes",
        ),
        (
            seen.has_hidden_end && (!is_plain || names_another),
            "what some take for an end, and no plain address in brackets, or another domain",
        ),
        (
            names_another,
            "another domain, beside a display name or a list that is none by the grammar",
        ),
    ]
    .into_iter()
    .find_map(|(holds, reason)| holds.then_some(reason))
}

/// Stands for a comment.
const COMMENT: u8 = 0x01;
/// Stands for a quoted string.
const QUOTED: u8 = 0x02;

/// The value with a mark for each comment and each quoted string.
struct Seen {
    plain: Vec<u8>,
    quoted: Vec<Vec<u8>>,
    has_hidden_end: bool,
}

impl Seen {
    /// Nothing if a quoted string or a comment does not end.
    fn new(value: &[u8]) -> Option<Self> {
        let mut seen = Self {
            plain: Vec::new(),
            quoted: Vec::new(),
            has_hidden_end: false,
        };
        let mut depth = 0_usize;
        let mut was_blank = false;
        let mut quoted: Option<Vec<u8>> = None;
        let mut octets = value.iter().copied();
        while let Some(octet) = octets.next() {
            let is_blank = octet.is_ascii_whitespace();
            seen.has_hidden_end |= octet == b'\n' && (depth > 0 || quoted.is_some());
            seen.has_hidden_end |= depth > 0 && is_blank && was_blank;
            was_blank = is_blank;
            match (octet, &mut quoted) {
                (b'\\', text) if text.is_some() || depth > 0 => {
                    seen.has_hidden_end = true;
                    let next = octets.next()?;
                    if let Some(text) = text {
                        text.push(next);
                    }
                }
                (b'"', Some(text)) => {
                    seen.quoted.push(std::mem::take(text));
                    quoted = None;
                }
                (_, Some(text)) => text.push(octet),
                (b'(', None) => {
                    seen.has_hidden_end |= depth > 0;
                    depth += 1;
                }
                (b')', None) if depth > 0 => {
                    depth -= 1;
                    if depth == 0 {
                        seen.plain.push(COMMENT);
                    }
                }
                _ if depth > 0 => {}
                (b'"', None) => {
                    quoted = Some(Vec::new());
                    seen.plain.push(QUOTED);
                }
                (b'\r' | b'\n', None) => seen.plain.push(b' '),
                (_, None) => seen.plain.push(octet),
            }
        }
        (depth == 0 && quoted.is_none()).then_some(seen)
    }

    /// The quoted strings of the local part: the last ones.
    fn local_part(&self, address: &[u8]) -> Vec<u8> {
        let count = memchr::memchr_iter(QUOTED, address).count();
        self.quoted[self.quoted.len() - count..].concat()
    }
}

/// What stands in the only pair of brackets, if nothing but a separator is behind.
fn angle_address(plain: &[u8]) -> Option<&[u8]> {
    let parts: Vec<&[u8]> = plain.split(|octet| b"<>".contains(octet)).collect();
    let [before, inside, behind] = parts[..] else {
        return None;
    };
    let opens = plain[before.len()] == b'<' && plain[before.len() + 1 + inside.len()] == b'>';
    let ends = behind.split(|octet| b",;".contains(octet)).all(is_blank);
    (opens && ends).then_some(inside)
}

fn has_comment_attached(plain: &[u8], address: &[u8]) -> bool {
    let bare = [address, &[COMMENT]].concat();
    let bracket = plain.windows(2).any(|two| two == [b'>', COMMENT]);
    bracket || plain.windows(bare.len()).any(|some| some == bare)
}

fn is_blank(text: &[u8]) -> bool {
    text.iter()
        .all(|octet| octet.is_ascii_whitespace() || *octet == COMMENT)
}

fn has_bare_line_end(value: &[u8]) -> bool {
    let unfolded = String::from_utf8_lossy(value)
        .replace("\r\n ", "")
        .replace("\r\n\t", "");
    unfolded.contains(['\r', '\n'])
}

fn names_another_domain(value: &[u8], address: &[u8]) -> bool {
    let domain = address
        .rsplit(|octet| *octet == b'@')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let mut behind = value.split(|octet| *octet == b'@').skip(1);
    behind.any(|rest| {
        let same = rest
            .get(..domain.len())
            .is_some_and(|text| text.eq_ignore_ascii_case(domain));
        !same
            || rest
                .get(domain.len())
                .is_some_and(u8::is_ascii_alphanumeric)
    })
}
