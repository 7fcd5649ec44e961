//! The tokens of RFC 5322 §3.2: atoms, quoted strings and specials. Comments and folding
//! white space between them are checked and passed over.

/// The deepest nesting of comments that is read.
pub(super) const COMMENT_DEPTH: usize = 50;

/// The text is not what RFC 5322 §3 and §4 allow, or holds what this parser refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SyntaxError;

/// A token, without the CFWS around it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a [u8],
    /// Where the text begins.
    pub(super) start: usize,
    /// What stands between this token and the one before.
    pub(super) gap: Gap,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A run of `atext` (RFC 5322 §3.2.3) and of octets beyond ASCII, never empty.
    Atom,
    /// A quoted string with its quotes and its backslashes.
    Quoted,
    /// One of `. , : ; @ < > [ ]`.
    Special(u8),
}

/// What CFWS there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gap {
    Nothing,
    Blank,
    Comment,
}

/// Reads tokens from the left; each octet is looked at a bounded number of times.
#[derive(Clone, Copy)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    position: usize,
    /// Whether a quoted string or a comment holds what some readers take for its end: a
    /// quoted pair, a comment of its own, a fold, or (Ruby's Mail) two blanks in a comment.
    pub(super) has_hidden_end: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            position: 0,
            has_hidden_end: false,
        }
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, SyntaxError> {
        let gap = self.pass_comments_and_space()?;
        let start = self.position;
        let Some(octet) = self.peek() else {
            return Ok(None);
        };
        let kind = match octet {
            b'"' => {
                self.pass_quoted_string()?;
                Kind::Quoted
            }
            b'.' | b',' | b':' | b';' | b'@' | b'<' | b'>' | b'[' | b']' => {
                self.position += 1;
                Kind::Special(octet)
            }
            _ => {
                self.pass_atom()?;
                Kind::Atom
            }
        };
        Ok(Some(Token {
            kind,
            text: &self.text[start..self.position],
            start,
            gap,
        }))
    }

    fn peek(self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    /// CFWS, with `obs-FWS`: any run of comments, blanks and folds.
    fn pass_comments_and_space(&mut self) -> Result<Gap, SyntaxError> {
        let mut gap = Gap::Nothing;
        let mut depth = 0_usize;
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    let mut blanks = self.text[self.position..].iter().take(2);
                    self.has_hidden_end |= depth > 0 && blanks.all(u8::is_ascii_whitespace);
                    self.pass_blank_or_fold()?;
                    if gap == Gap::Nothing {
                        gap = Gap::Blank;
                    }
                    continue;
                }
                b'(' if depth == COMMENT_DEPTH => return Err(SyntaxError),
                b'(' => {
                    gap = Gap::Comment;
                    self.has_hidden_end |= depth > 0;
                    depth += 1;
                }
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
        if depth == 0 {
            Ok(gap)
        } else {
            Err(SyntaxError)
        }
    }

    fn pass_quoted_string(&mut self) -> Result<(), SyntaxError> {
        self.position += 1;
        loop {
            match self.peek().ok_or(SyntaxError)? {
                b'"' => {
                    self.position += 1;
                    return Ok(());
                }
                // Whose end addressparser does not see.
                b'\\' if self.text[self.position..].starts_with(b"\\\\\"") => {
                    return Err(SyntaxError);
                }
                b'\\' => self.pass_quoted_pair()?,
                octet @ (b' ' | b'\t' | b'\r' | b'\n') => {
                    self.has_hidden_end |= b"\r\n".contains(&octet);
                    self.pass_blank_or_fold()?;
                }
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

    /// A backslash and what it quotes: a visible character or a blank (RFC 5322 §3.2.1). Who
    /// drops octets that are no UTF-8, as authheaders does, finds another one quoted.
    fn pass_quoted_pair(&mut self) -> Result<(), SyntaxError> {
        self.has_hidden_end = true;
        self.position += 1;
        match self.peek() {
            Some(b' ' | b'\t') => {
                self.position += 1;
                Ok(())
            }
            Some(_) if self.character().is_none() => Err(SyntaxError),
            _ => self.pass_character(),
        }
    }

    /// One blank, or a line break with the blank that makes it a fold.
    fn pass_blank_or_fold(&mut self) -> Result<(), SyntaxError> {
        self.position += match self.text[self.position..] {
            [b' ' | b'\t', ..] => 1,
            [b'\n', b' ' | b'\t', ..] => 2,
            [b'\r', b'\n', b' ' | b'\t', ..] => 3,
            _ => return Err(SyntaxError),
        };
        Ok(())
    }

    /// One visible character: no control and no line separator of any kind. An octet that
    /// is no UTF-8 is a letter of a charset that nobody told us.
    fn pass_character(&mut self) -> Result<(), SyntaxError> {
        self.position += match self.character() {
            Some('\u{2028}' | '\u{2029}') => return Err(SyntaxError),
            Some(character) if character.is_control() => return Err(SyntaxError),
            Some(character) => character.len_utf8(),
            None if self.position == self.text.len() => return Err(SyntaxError),
            None => 1,
        };
        Ok(())
    }

    /// The character that begins here, if it is UTF-8.
    fn character(self) -> Option<char> {
        let rest = &self.text[self.position..];
        let longest = &rest[..rest.len().min(4)];
        longest.utf8_chunks().next()?.valid().chars().next()
    }
}

/// `atext` without the UTF-8 that RFC 6532 adds.
fn is_ascii_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}
