//! The tokens of RFC 5322 §3.2: atoms, quoted strings, domain literals and specials.
//! Comments and folding white space between them are checked and passed over.

/// The deepest nesting of comments that is read.
pub(super) const COMMENT_DEPTH: usize = 50;

/// The text is not what RFC 5322 §3 and §4 allow, or holds what this parser refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SyntaxError;

/// A token, without the CFWS around it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token<'a> {
    /// A run of `atext` (RFC 5322 §3.2.3, RFC 6532 §3.2), never empty.
    Atom(&'a str),
    /// A quoted string with its quotes and its backslashes.
    Quoted(&'a str),
    /// A domain literal.
    Literal,
    /// One of `. , : ; @ < >`.
    Special(u8),
}

/// Reads tokens from the left; each octet is looked at a bounded number of times.
#[derive(Clone, Copy)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    /// The octets read so far: where the last token ended.
    pub(super) fn position(self) -> usize {
        self.position
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, SyntaxError> {
        self.pass_comments_and_space()?;
        let start = self.position;
        let Some(octet) = self.peek() else {
            return Ok(None);
        };
        let token = match octet {
            b'"' => {
                self.pass_quoted_string()?;
                Token::Quoted(&self.text[start..self.position])
            }
            b'[' => {
                self.pass_domain_literal()?;
                Token::Literal
            }
            b'.' | b',' | b':' | b';' | b'@' | b'<' | b'>' => {
                self.position += 1;
                Token::Special(octet)
            }
            _ => {
                self.pass_atom()?;
                Token::Atom(&self.text[start..self.position])
            }
        };
        Ok(Some(token))
    }

    /// Reads the next token only if it is this special.
    pub(super) fn take_special(&mut self, special: u8) -> Result<bool, SyntaxError> {
        let mut ahead = *self;
        let found = ahead.next()? == Some(Token::Special(special));
        if found {
            *self = ahead;
        }
        Ok(found)
    }

    fn peek(self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    /// CFWS, with `obs-FWS`: any run of comments, blanks and folds.
    fn pass_comments_and_space(&mut self) -> Result<(), SyntaxError> {
        let mut depth = 0_usize;
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.pass_blank_or_fold()?;
                    continue;
                }
                b'(' if depth == COMMENT_DEPTH => return Err(SyntaxError),
                b'(' => depth += 1,
                _ if depth == 0 => break,
                b')' => depth -= 1,
                b'\\' => {
                    self.pass_quoted_pair()?;
                    continue;
                }
                _ => {
                    self.pass_character()?;
                    continue;
                }
            }
            self.position += 1;
        }
        if depth == 0 { Ok(()) } else { Err(SyntaxError) }
    }

    fn pass_quoted_string(&mut self) -> Result<(), SyntaxError> {
        self.position += 1;
        loop {
            match self.peek().ok_or(SyntaxError)? {
                b'"' => {
                    self.position += 1;
                    return Ok(());
                }
                b'\\' => self.pass_quoted_pair()?,
                b' ' | b'\t' | b'\r' | b'\n' => self.pass_blank_or_fold()?,
                _ => self.pass_character()?,
            }
        }
    }

    fn pass_domain_literal(&mut self) -> Result<(), SyntaxError> {
        self.position += 1;
        loop {
            match self.peek().ok_or(SyntaxError)? {
                b']' => {
                    self.position += 1;
                    return Ok(());
                }
                b'[' | b'\\' => return Err(SyntaxError),
                b' ' | b'\t' | b'\r' | b'\n' => self.pass_blank_or_fold()?,
                _ => self.pass_character()?,
            }
        }
    }

    fn pass_atom(&mut self) -> Result<(), SyntaxError> {
        let start = self.position;
        while let Some(octet) = self.peek() {
            match octet {
                octet if is_ascii_atext(octet) => self.position += 1,
                0x80.. => self.pass_character()?,
                _ => break,
            }
        }
        if self.position == start {
            return Err(SyntaxError);
        }
        Ok(())
    }

    /// A backslash and what it quotes: a visible character or a blank (RFC 5322 §3.2.1).
    fn pass_quoted_pair(&mut self) -> Result<(), SyntaxError> {
        self.position += 1;
        match self.peek() {
            Some(b' ' | b'\t') => self.position += 1,
            _ => self.pass_character()?,
        }
        Ok(())
    }

    /// One blank, or a line break with the blank that makes it a fold.
    fn pass_blank_or_fold(&mut self) -> Result<(), SyntaxError> {
        let rest = &self.text.as_bytes()[self.position..];
        self.position += match rest {
            [b' ' | b'\t', ..] => 1,
            [b'\n', b' ' | b'\t', ..] => 2,
            [b'\r', b'\n', b' ' | b'\t', ..] => 3,
            _ => return Err(SyntaxError),
        };
        Ok(())
    }

    /// One visible character: no control and no line separator of any kind.
    fn pass_character(&mut self) -> Result<(), SyntaxError> {
        match self.text[self.position..].chars().next() {
            Some('\u{2028}' | '\u{2029}') | None => Err(SyntaxError),
            Some(character) if character.is_control() => Err(SyntaxError),
            Some(character) => {
                self.position += character.len_utf8();
                Ok(())
            }
        }
    }
}

/// `atext` without the UTF-8 that RFC 6532 adds.
fn is_ascii_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}
