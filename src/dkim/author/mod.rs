//! The author domain of a message: the domain of the only mailbox in its only From field.
//!
//! The syntax is RFC 5322 §3.4 with UTF-8 as RFC 6532 adds it. What a receiver or a mail
//! program may read in another way than we do is a way to show a neighbour's name over our
//! signature, and what all of them read alike is mail of ours. So the rules follow what
//! readers do (`tests/from_readers`), and not the grammar alone:
//!
//! - *One domain.* Where each `@` of the value has the same domain behind it, nobody can find
//!   another one, and the display name may be anything that shows where it ends: dots and
//!   brackets anywhere, and separators of a list before and behind (RFC 5322 §4.4). Where
//!   another domain is named, in quotes or in a comment, only the plain forms are read: where
//!   it meets what it does not know, GMime goes on at the next comma.
//! - *Hidden ends.* A quoted pair, a comment in a comment, or a fold in either may stand where
//!   one domain is named and the address is a plain one in angle brackets. nodemailer,
//!   Ruby's Mail and Python find other ends of quoted strings and of comments than RFC 5322
//!   §3.2; addressparser none at all behind a quoted backslash, so that this is refused.
//! - A display name without quotes holds no address, unless it is an address at the very
//!   domain that stands in the angle brackets.
//! - Octets of a display name or a comment decide nothing: they may be of any charset. Where
//!   they are no UTF-8, the address is ASCII.
//! - An address is in one piece (RFC 5322 §3.4.1): blanks may stand around its `@` and inside
//!   the brackets, but no comment anywhere within it, and nothing around a dot. nodemailer
//!   reads `u@a .example` as `a`, and finds `v@b` in `<u@a(v@b)>`.
//! - A comment behind the mailbox stands apart from it. Ruby's Mail and addressparser take
//!   pieces of it for the domain.
//! - A quoted local part holds none of `@ < > ,`: addressparser and mailauth take what is
//!   behind these for the address. No encoded word either (RFC 2047 §5),
//!   and behind it no U-label, of which nodemailer sees the ASCII part.
//! - No route (RFC 5322 §4.4): Mail::Address takes its first domain for the author's.
//! - No domain literal, and no domain but DNS names of letters, digits and hyphens.
//! - A U-label is in its normal form (RFC 5890 §2.3.2.1), since upper case, full width, soft
//!   hyphens and other stops than `.` are mapped by some readers only; and it holds none of
//!   the four characters for which IDNA 2003 makes another A-label (UTS #46 §2.2).
//! - Controls are refused, also where the obsolete syntax allows them: NUL, bare CR, bare LF,
//!   DEL, C1, and the line and paragraph separators of Unicode; and so are comments nested
//!   deeper than fifty levels.
//!
//! Two mailboxes, or any group, are [`AuthorRefusal::SeveralMailboxes`]; what else is
//! refused is [`AuthorRefusal::Unparsable`].

mod lexer;
#[cfg(test)]
mod tests;

use std::str;

use self::lexer::{Gap, Kind, Lexer, SyntaxError, Token};
use crate::names::DomainName;

/// Why a message has no author domain.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum AuthorRefusal {
    /// There is no From field.
    #[error("there is no From field")]
    Missing,
    /// There is more than one From field.
    #[error("there is more than one From field")]
    Repeated,
    /// The From field holds a list or a group.
    #[error("the From field holds several mailboxes or a group")]
    SeveralMailboxes,
    /// The From field is not exactly one mailbox with a domain name.
    #[error("the From field cannot be read as one mailbox with a domain name")]
    Unparsable,
}

impl From<SyntaxError> for AuthorRefusal {
    fn from(_: SyntaxError) -> Self {
        Self::Unparsable
    }
}

/// So many domains are looked for in a From field that is refused.
const NAMED_DOMAINS: usize = 16;

/// `ß`, `ς`, ZWNJ and ZWJ: kept by UTS #46 and RFC 5891, mapped away by IDNA 2003.
const DEVIATIONS: [char; 4] = ['\u{df}', '\u{3c2}', '\u{200c}', '\u{200d}'];

/// The domain of the one mailbox in the one From field.
///
/// `from_values` are the values of all From fields of the message: what follows the colon,
/// without the line break that ends the field. They may be folded with CRLF or with LF.
///
/// The time is linear in the length of the value, and no recursion depends on it.
///
/// # Errors
///
/// The one [`AuthorRefusal`] that applies. Of several From fields none is read.
pub fn author_domain<'a>(
    mut from_values: impl Iterator<Item = &'a [u8]>,
) -> Result<DomainName, AuthorRefusal> {
    let value = from_values.next().ok_or(AuthorRefusal::Missing)?;
    if from_values.next().is_some() {
        return Err(AuthorRefusal::Repeated);
    }
    let mailbox = Parser::new(value).only_mailbox()?;
    let readable = mailbox.is_ascii() || str::from_utf8(value).is_ok();
    let domain = str::from_utf8(mailbox.domain).ok().filter(|_| readable);
    domain
        .and_then(domain_name)
        .ok_or(AuthorRefusal::Unparsable)
}

/// The domains that the From fields name, wherever it is and whatever we made of them:
/// what stands behind each `@`, of the first few. Good to tell whose mail it may be, and for
/// no more than that.
pub fn named_domains<'a>(
    from_values: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = DomainName> {
    from_values
        .flat_map(|value| value.split(|octet| *octet == b'@').skip(1))
        .take(NAMED_DOMAINS)
        .filter_map(|rest| {
            let rest = rest.trim_ascii_start();
            let name = rest.split(|octet| !is_part_of_domain(*octet)).next()?;
            str::from_utf8(name).ok()?.parse().ok()
        })
}

fn is_part_of_domain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-.".contains(&octet) || !octet.is_ascii()
}

/// The name that `text` is, if every reader makes the same name of it.
fn domain_name(text: &str) -> Option<DomainName> {
    // The grammar has no trailing dot, so parsing cannot take one away here.
    let name: DomainName = text.parse().ok()?;
    let same = text.is_ascii()
        || (!text.contains(DEVIATIONS) && is_in_normal_form(&name, &text.to_ascii_lowercase()));
    same.then_some(name)
}

/// Whether each label of `text` is the A-label or the U-label of `name`.
fn is_in_normal_form(name: &DomainName, text: &str) -> bool {
    let unicode = name.unicode();
    let labels = || name.as_str().split('.').zip(unicode.split('.'));
    text.split('.').count() == labels().count()
        && text
            .split('.')
            .zip(labels())
            .all(|(label, (a_label, u_label))| label == a_label || label == u_label)
}

/// One mailbox of RFC 5322 §3.4.
#[derive(Clone, Copy)]
struct Mailbox<'a> {
    local_part: &'a [u8],
    domain: &'a [u8],
    has_brackets: bool,
    /// Where it ends in the value.
    end: usize,
}

impl Mailbox<'_> {
    fn is_ascii(self) -> bool {
        self.local_part.is_ascii() && self.domain.is_ascii()
    }

    /// Whether the dots are where a `dot-atom` has none (RFC 5322 §3.2.3).
    fn has_odd_dots(self) -> bool {
        let mut parts = self.local_part.split(|octet| *octet == b'.');
        parts.any(<[u8]>::is_empty)
    }

    /// Whether what follows an `@` begins with the domain, all of it and nothing more.
    fn is_at(self, rest: &[u8]) -> bool {
        rest.trim_ascii_start()
            .split_at_checked(self.domain.len())
            .is_some_and(|(domain, behind)| {
                domain.eq_ignore_ascii_case(self.domain)
                    && !behind.first().copied().is_some_and(is_part_of_domain)
            })
    }
}

/// What a list is made of, beside its separators.
enum Member<'a> {
    Mailbox(Mailbox<'a>),
    /// A display name and a colon: a group has begun.
    GroupStart,
}

/// What stands ahead of an `@`, `<` or `:`.
struct Words<'a> {
    /// Nothing at all: the display name that may be left out.
    none: bool,
    /// All of it, if it can be a local part.
    local_part: Option<&'a [u8]>,
    /// The special that ended it.
    delimiter: Token<'a>,
}

struct Parser<'a> {
    value: &'a [u8],
    lexer: Lexer<'a>,
    /// A token that was looked at and given back.
    ahead: Option<Token<'a>>,
    /// Whether a display name was read that is none by RFC 5322.
    has_odd_name: bool,
    /// Whether there is a comment within an address, or anything around a dot of a domain.
    has_broken_address: bool,
}

impl<'a> Parser<'a> {
    fn new(value: &'a [u8]) -> Self {
        Self {
            value,
            lexer: Lexer::new(value),
            ahead: None,
            has_odd_name: false,
            has_broken_address: false,
        }
    }

    /// Reads the whole value as an `address-list` (RFC 6854 §2.1) that must be one mailbox.
    fn only_mailbox(&mut self) -> Result<Mailbox<'a>, AuthorRefusal> {
        let mut only = None;
        let mut has_separator = false;
        let mut has_several = false;
        let mut in_group = false;
        let mut expects_member = true;
        while let Some(token) = self.next()? {
            match token.kind {
                Kind::Special(b';') if in_group => {
                    in_group = false;
                    expects_member = false;
                }
                Kind::Special(b',' | b';') => {
                    has_separator = true;
                    expects_member = true;
                }
                _ if !expects_member => return Err(AuthorRefusal::Unparsable),
                _ => match self.member(token)? {
                    Member::Mailbox(mailbox) => {
                        has_several |= only.replace(mailbox).is_some();
                        expects_member = false;
                    }
                    Member::GroupStart if in_group => return Err(AuthorRefusal::Unparsable),
                    Member::GroupStart => {
                        has_several = true;
                        in_group = true;
                    }
                },
            }
        }
        match only {
            _ if in_group => Err(AuthorRefusal::Unparsable),
            _ if has_several => Err(AuthorRefusal::SeveralMailboxes),
            Some(mailbox) if self.is_plain_to_all(mailbox, has_separator) => Ok(mailbox),
            Some(_) if has_separator => Err(AuthorRefusal::SeveralMailboxes),
            _ => Err(AuthorRefusal::Unparsable),
        }
    }

    /// Whether all readers find this mailbox and no other.
    fn is_plain_to_all(&self, mailbox: Mailbox<'_>, has_separator: bool) -> bool {
        let has_quotes = mailbox.local_part.contains(&b'"');
        let has_hidden_end = self.lexer.has_hidden_end;
        if self.has_broken_address
            || (has_hidden_end && (has_quotes || !mailbox.has_brackets))
            || (has_quotes && !mailbox.domain.is_ascii())
            || self.value[mailbox.end..].starts_with(b"(")
        {
            return false;
        }
        let mut behind_at_signs = self.value.split(|octet| *octet == b'@').skip(1);
        behind_at_signs.all(|rest| mailbox.is_at(rest))
            || !(has_hidden_end || has_separator || self.has_odd_name || mailbox.has_odd_dots())
    }

    fn member(&mut self, first: Token<'a>) -> Result<Member<'a>, SyntaxError> {
        let words = self.words(first)?;
        match (words.delimiter.kind, words.local_part) {
            (Kind::Special(b'<'), _) => self.angle_address().map(Member::Mailbox),
            (Kind::Special(b':'), _) if !words.none => Ok(Member::GroupStart),
            (Kind::Special(b'@'), Some(local_part)) => {
                let (domain, end) = self.domain(words.delimiter)?;
                if !self.take_special(b'<')? {
                    return Ok(Member::Mailbox(Mailbox {
                        local_part,
                        domain,
                        has_brackets: false,
                        end,
                    }));
                }
                // The address as its own display name: all readers find the same domain.
                let mailbox = self.angle_address()?;
                let same = mailbox.domain.eq_ignore_ascii_case(domain);
                same.then_some(Member::Mailbox(mailbox)).ok_or(SyntaxError)
            }
            _ => Err(SyntaxError),
        }
    }

    /// Reads a local part or a display name, up to and with the special that follows it.
    fn words(&mut self, first: Token<'a>) -> Result<Words<'a>, SyntaxError> {
        let mut token = first;
        let mut none = true;
        let mut local_part = true;
        let mut has_word = false;
        let mut behind_word = false;
        loop {
            let is_word = matches!(token.kind, Kind::Atom | Kind::Quoted);
            local_part &= !(behind_word && is_word);
            has_word |= is_word;
            behind_word = is_word;
            match token.kind {
                Kind::Atom => local_part &= !holds_encoded_word(token.text),
                Kind::Quoted => {
                    local_part &= !holds_encoded_word(token.text)
                        && !token.text.iter().any(|octet| b"@<>,".contains(octet));
                }
                Kind::Special(b'.') => self.has_odd_name |= none,
                Kind::Special(b'[' | b']') => {
                    self.has_odd_name = true;
                    local_part = false;
                }
                Kind::Special(_) => {
                    let text = &self.value[first.start..token.start].trim_ascii_end();
                    return Ok(Words {
                        none,
                        local_part: (local_part && has_word).then_some(text),
                        delimiter: token,
                    });
                }
            }
            local_part &= none || token.gap == Gap::Nothing;
            none = false;
            token = self.next()?.ok_or(SyntaxError)?;
        }
    }

    /// What follows `<`: `addr-spec ">"`, with no comment anywhere.
    fn angle_address(&mut self) -> Result<Mailbox<'a>, SyntaxError> {
        let first = self.next()?.ok_or(SyntaxError)?;
        self.has_broken_address |= first.gap == Gap::Comment;
        let words = self.words(first)?;
        let local_part = words.local_part.ok_or(SyntaxError)?;
        let (domain, _) = self.domain(words.delimiter)?;
        let end = self.next()?.ok_or(SyntaxError)?;
        self.has_broken_address |= end.gap == Gap::Comment;
        if end.kind != Kind::Special(b'>') {
            return Err(SyntaxError);
        }
        Ok(Mailbox {
            local_part,
            domain,
            has_brackets: true,
            end: end.start + 1,
        })
    }

    /// What follows the `@`: `atom *("." atom)` in one piece, and where it ends.
    fn domain(&mut self, at_sign: Token<'a>) -> Result<(&'a [u8], usize), SyntaxError> {
        let mut part = self.next()?.ok_or(SyntaxError)?;
        if at_sign.kind != Kind::Special(b'@') {
            return Err(SyntaxError);
        }
        self.has_broken_address |= [at_sign.gap, part.gap].contains(&Gap::Comment);
        let start = part.start;
        loop {
            if part.kind != Kind::Atom {
                return Err(SyntaxError);
            }
            let end = part.start + part.text.len();
            match self.next()? {
                Some(dot) if dot.kind == Kind::Special(b'.') => {
                    part = self.next()?.ok_or(SyntaxError)?;
                    self.has_broken_address |= [dot.gap, part.gap] != [Gap::Nothing; 2];
                }
                other => {
                    self.ahead = other;
                    return Ok((&self.value[start..end], end));
                }
            }
        }
    }

    fn next(&mut self) -> Result<Option<Token<'a>>, SyntaxError> {
        match self.ahead.take() {
            Some(token) => Ok(Some(token)),
            None => self.lexer.next(),
        }
    }

    /// Reads the next token only if it is this special.
    fn take_special(&mut self, special: u8) -> Result<bool, SyntaxError> {
        self.ahead = self.next()?;
        let found = self
            .ahead
            .is_some_and(|token| token.kind == Kind::Special(special));
        if found {
            self.ahead = None;
        }
        Ok(found)
    }
}

fn holds_encoded_word(text: &[u8]) -> bool {
    text.windows(2).any(|two| two == b"=?")
}
