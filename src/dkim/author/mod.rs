//! The author domain of a message: the domain of the only mailbox in its only From field.
//!
//! The syntax is RFC 5322 §3.4 with the obsolete forms of §4.4, groups as RFC 6854 allows
//! them in From, and UTF-8 as RFC 6532 adds it. What a DMARC receiver may read in another
//! way than we do is a way to sign for someone else, so nothing is repaired, and some
//! things that the grammar allows are refused as [`AuthorRefusal::Unparsable`]:
//!
//! - control characters, also where the obsolete syntax allows them: NUL, bare CR, bare LF,
//!   DEL, C1 controls, and the Unicode line and paragraph separators;
//! - comments nested deeper than fifty levels;
//! - an encoded word in a local part (forbidden by RFC 2047 §5): who decodes before parsing
//!   finds another address there;
//! - a domain literal, and a domain that is not a DNS name of letters, digits and hyphens;
//! - a U-label that is not in its normal form (RFC 5890 §2.3.2.1): upper case, full width,
//!   soft hyphens and other stops than `.` are mapped by some readers only.
//!
//! A list is a list, whatever it holds: a comma beside the only mailbox (an empty element,
//! RFC 5322 §4.4) makes it [`AuthorRefusal::SeveralMailboxes`], and so does any group. An
//! obsolete route is checked and ignored, as §4.4 says: the domain is that of the mailbox.

mod lexer;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, str};

use self::lexer::{Lexer, SyntaxError, Token};
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
    let text = str::from_utf8(value).map_err(|_| AuthorRefusal::Unparsable)?;
    let domain = Parser::new(text).only_domain()?;
    domain_name(&domain.text(text)?).ok_or(AuthorRefusal::Unparsable)
}

/// The name that `text` is, if every reader makes the same name of it.
fn domain_name(text: &str) -> Option<DomainName> {
    // The grammar has no trailing dot, so parsing cannot take one away here.
    let name: DomainName = text.parse().ok()?;
    if text.is_ascii() || is_in_normal_form(&name, &text.to_ascii_lowercase()) {
        return Some(name);
    }
    None
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

/// Where a domain stands in the value.
#[derive(Clone, Copy)]
struct DomainSpan {
    start: usize,
    end: usize,
    /// Octets of its atoms and dots; fewer than the span has if there is CFWS between them.
    octets: usize,
}

impl DomainSpan {
    /// The domain without the comments and the white space of RFC 5322 §4.4.
    fn text(self, value: &str) -> Result<Cow<'_, str>, SyntaxError> {
        let span = &value[self.start..self.end];
        if self.octets == span.len() {
            return Ok(Cow::Borrowed(span));
        }
        let mut domain = String::with_capacity(self.octets);
        let mut lexer = Lexer::new(span);
        while let Some(token) = lexer.next()? {
            domain.push_str(match token {
                Token::Atom(atom) => atom,
                _ => ".",
            });
        }
        Ok(Cow::Owned(domain))
    }
}

/// One mailbox of RFC 5322 §3.4.
enum Mailbox {
    AtDomain(DomainSpan),
    AtLiteral,
}

/// What a list is made of, beside its separators.
enum Member {
    Mailbox(Mailbox),
    /// A display name and a colon: a group has begun.
    GroupStart,
}

/// What stands ahead of an `@`, `<` or `:`.
struct Words {
    /// Nothing at all: the display name that may be left out.
    none: bool,
    /// `word *("." word)`, without encoded words.
    local_part: bool,
    /// The octet that ended it.
    delimiter: u8,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            lexer: Lexer::new(text),
        }
    }

    /// Reads the whole value as an `address-list` (RFC 6854 §2.1) that must be one mailbox.
    fn only_domain(&mut self) -> Result<DomainSpan, AuthorRefusal> {
        let mut only = None;
        let mut has_comma = false;
        let mut has_group = false;
        let mut in_group = false;
        let mut expects_member = true;
        while let Some(token) = self.lexer.next()? {
            match token {
                Token::Special(b',') => {
                    has_comma = true;
                    expects_member = true;
                }
                Token::Special(b';') if in_group => {
                    in_group = false;
                    expects_member = false;
                }
                first if expects_member => match self.member(first)? {
                    Member::Mailbox(mailbox) => {
                        only = Some(mailbox);
                        expects_member = false;
                    }
                    Member::GroupStart if !in_group => {
                        has_group = true;
                        in_group = true;
                    }
                    Member::GroupStart => return Err(AuthorRefusal::Unparsable),
                },
                _ => return Err(AuthorRefusal::Unparsable),
            }
        }
        match only {
            _ if in_group => Err(AuthorRefusal::Unparsable),
            _ if has_group => Err(AuthorRefusal::SeveralMailboxes),
            Some(_) if has_comma => Err(AuthorRefusal::SeveralMailboxes),
            Some(Mailbox::AtDomain(domain)) => Ok(domain),
            Some(Mailbox::AtLiteral) | None => Err(AuthorRefusal::Unparsable),
        }
    }

    fn member(&mut self, first: Token<'a>) -> Result<Member, SyntaxError> {
        let words = self.words(first)?;
        match words.delimiter {
            b'<' => self.angle_address().map(Member::Mailbox),
            b'@' if words.local_part => self.domain().map(Member::Mailbox),
            b':' if !words.none => Ok(Member::GroupStart),
            _ => Err(SyntaxError),
        }
    }

    /// Reads a local part or a display name, up to and with the special that follows it.
    ///
    /// Both are words and dots: a display name begins with a word (`obs-phrase`), a local
    /// part has one dot between any two words (`obs-local-part`).
    fn words(&mut self, first: Token<'a>) -> Result<Words, SyntaxError> {
        let mut token = first;
        let mut none = true;
        let mut local_part = true;
        let mut expects_word = true;
        loop {
            match token {
                Token::Atom(word) | Token::Quoted(word) => {
                    local_part &= expects_word && !word.contains("=?");
                    expects_word = false;
                }
                Token::Special(b'.') if none => return Err(SyntaxError),
                Token::Special(b'.') => {
                    local_part &= !expects_word;
                    expects_word = true;
                }
                Token::Special(delimiter) => {
                    return Ok(Words {
                        none,
                        local_part: local_part && !expects_word,
                        delimiter,
                    });
                }
                Token::Literal => return Err(SyntaxError),
            }
            none = false;
            token = self.lexer.next()?.ok_or(SyntaxError)?;
        }
    }

    /// What follows `<`: `[obs-route] addr-spec ">"`.
    fn angle_address(&mut self) -> Result<Mailbox, SyntaxError> {
        let mut first = self.lexer.next()?.ok_or(SyntaxError)?;
        if matches!(first, Token::Special(b'@' | b',')) {
            self.route(first)?;
            first = self.lexer.next()?.ok_or(SyntaxError)?;
        }
        let words = self.words(first)?;
        if words.delimiter != b'@' || !words.local_part {
            return Err(SyntaxError);
        }
        let mailbox = self.domain()?;
        self.expect(b'>')?;
        Ok(mailbox)
    }

    /// `obs-route`: commas and `@domain`s, at least one of these, up to and with the colon.
    fn route(&mut self, first: Token<'a>) -> Result<(), SyntaxError> {
        let mut token = first;
        let mut hops = false;
        let mut expects_hop = true;
        loop {
            match token {
                Token::Special(b',') => expects_hop = true,
                Token::Special(b'@') if expects_hop => {
                    self.domain()?;
                    hops = true;
                    expects_hop = false;
                }
                Token::Special(b':') if hops => return Ok(()),
                _ => return Err(SyntaxError),
            }
            token = self.lexer.next()?.ok_or(SyntaxError)?;
        }
    }

    /// What follows `@`: `atom *("." atom)` or a domain literal.
    fn domain(&mut self) -> Result<Mailbox, SyntaxError> {
        let atom = match self.lexer.next()? {
            Some(Token::Atom(atom)) => atom,
            Some(Token::Literal) => return Ok(Mailbox::AtLiteral),
            _ => return Err(SyntaxError),
        };
        let mut span = DomainSpan {
            start: self.lexer.position() - atom.len(),
            end: self.lexer.position(),
            octets: atom.len(),
        };
        while self.lexer.take_special(b'.')? {
            let Some(Token::Atom(atom)) = self.lexer.next()? else {
                return Err(SyntaxError);
            };
            span.end = self.lexer.position();
            span.octets += 1 + atom.len();
        }
        Ok(Mailbox::AtDomain(span))
    }

    fn expect(&mut self, special: u8) -> Result<(), SyntaxError> {
        if self.lexer.take_special(special)? {
            return Ok(());
        }
        Err(SyntaxError)
    }
}
