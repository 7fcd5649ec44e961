//! The DKIM-Signature field that we write (RFC 6376 §3.5), and how it is made.

use std::fmt::{Display, Write};

use base64::{Engine, display::Base64Display, engine::general_purpose::STANDARD as BASE64};

use super::{CanonicalisationPair, HeaderSection, SigningError, SigningKey};
use crate::names::{DomainName, Selector};

/// The name of the field.
pub const FIELD_NAME: &str = "DKIM-Signature";

/// The longest line that folding aims at (RFC 5322 §2.1.1).
const LINE: usize = 78;
const FOLD: &str = "\r\n\t";

/// What one signature is made with. The time is an argument: there is no clock in here.
#[derive(Clone, Copy)]
pub struct Signatory<'a> {
    /// For `d=`.
    pub domain: &'a DomainName,
    /// For `s=`.
    pub selector: &'a Selector,
    /// The private key of that selector.
    pub key: &'a SigningKey,
    /// For `c=`.
    pub canonicalisation: CanonicalisationPair,
    /// For `t=`, in seconds since 1970.
    pub time: u64,
    /// For `x=`, in seconds since 1970; later than `time`.
    pub expiration: Option<u64>,
}

/// What all signatures of a message have in common.
pub struct SignedContent<'a> {
    names: Vec<&'a str>,
    body_hash: [u8; 32],
    canonical_fields: Vec<u8>,
}

impl<'a> SignedContent<'a> {
    /// The fields that `names` stands for, canonicalised once, and the hash of the body.
    ///
    /// `body_hash` and the signatures must have the same `canonicalisation`.
    pub fn new(
        header: &HeaderSection,
        names: Vec<&'a str>,
        body_hash: [u8; 32],
        canonicalisation: CanonicalisationPair,
    ) -> Self {
        // Beside its octets a field has a colon and CRLF.
        let mut canonical_fields = Vec::with_capacity(header.octets() + 3 * header.len());
        header.canonical_fields(
            names.iter().copied(),
            canonicalisation.header,
            &mut canonical_fields,
        );
        Self {
            names,
            body_hash,
            canonical_fields,
        }
    }

    /// Signs. The result is right or an error: nothing half-made is given.
    ///
    /// # Errors
    ///
    /// When the cryptography fails.
    pub fn sign(&self, signatory: &Signatory<'_>) -> Result<SignatureField, SigningError> {
        let mut value = self.unsigned_value(signatory);
        // RFC 6376 §3.7: the field itself comes last, `b=` empty, without its CRLF.
        let octets = self.canonical_fields.len() + FIELD_NAME.len() + 1 + value.len();
        let mut data = Vec::with_capacity(octets);
        data.extend_from_slice(&self.canonical_fields);
        signatory.canonicalisation.header.header_field(
            FIELD_NAME.as_bytes(),
            value.as_bytes(),
            &mut data,
        );
        let signature = signatory.key.sign(&data)?;
        push_base64(&mut value, &signature);
        Ok(SignatureField { value })
    }

    /// The value of the field up to and including `b=`.
    fn unsigned_value(&self, signatory: &Signatory<'_>) -> String {
        let mut writer = TagWriter::new();
        writer.tag("v", "1");
        writer.tag("a", signatory.key.algorithm().as_str());
        writer.tag("c", signatory.canonicalisation);
        writer.tag("d", signatory.domain.as_str());
        writer.tag("s", signatory.selector.as_str());
        writer.tag("t", signatory.time);
        if let Some(expiration) = signatory.expiration {
            writer.tag("x", expiration);
        }
        writer.names("h", &self.names);
        writer.tag("bh", Base64Display::new(&self.body_hash, &BASE64));
        writer.value.push_str(FOLD);
        writer.value.push_str("b=");
        writer.value
    }
}

/// A finished DKIM-Signature field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignatureField {
    value: String,
}

impl SignatureField {
    /// Everything behind the colon, folds as CRLF TAB; it begins with a blank.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The value as a milter hands it over: folds as LF TAB, and the blank in front only
    /// where leading space was agreed upon.
    pub fn milter_value(&self, leading_space: LeadingSpace) -> String {
        let whole = match leading_space {
            LeadingSpace::Ours => &self.value,
            LeadingSpace::AddedByMta => self.value.trim_start_matches(' '),
        };
        let mut value = String::with_capacity(whole.len());
        // A CR is in a fold and nowhere else.
        value.extend(whole.split('\r'));
        value
    }

    /// The whole field with its name and its CRLF.
    pub fn line(&self) -> String {
        format!("{FIELD_NAME}:{}\r\n", self.value)
    }
}

/// Who writes the blank behind the colon of a header field that a milter inserts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeadingSpace {
    /// The MTA adds one SP, and takes one off what it shows.
    AddedByMta,
    /// Values travel as they are (`SMFIP_HDR_LEADSPC`).
    Ours,
}

/// Writes a tag list, folded between the tags.
struct TagWriter {
    value: String,
    column: usize,
}

impl TagWriter {
    fn new() -> Self {
        Self {
            value: String::with_capacity(1024),
            column: FIELD_NAME.len() + 1,
        }
    }

    fn tag(&mut self, name: &str, text: impl Display) {
        let start = self.value.len();
        write!(self.value, " {name}={text};").expect("a String takes all that fits in memory");
        let octets = self.value.len() - start;
        if self.column + octets > LINE && start > 0 {
            self.value.replace_range(start..=start, FOLD);
            self.column = 0;
        }
        self.column += octets;
    }

    /// A colon-separated list, folded behind a colon (RFC 6376 §3.5, `h=`).
    fn names(&mut self, tag: &str, names: &[&str]) {
        let first = names.first().map_or(0, |name| name.len());
        self.separate(tag.len() + first + 2);
        self.push(tag);
        self.push("=");
        for (place, name) in names.iter().enumerate() {
            if place > 0 {
                self.push(":");
                if self.column + name.len() + 1 > LINE {
                    self.fold();
                }
            }
            self.push(name);
        }
        self.push(";");
    }

    /// A blank or a fold, whichever keeps what follows on the line.
    fn separate(&mut self, octets: usize) {
        if self.column + 1 + octets > LINE && !self.value.is_empty() {
            self.fold();
        } else {
            self.push(" ");
        }
    }

    fn fold(&mut self) {
        self.value.push_str(FOLD);
        self.column = 1;
    }

    fn push(&mut self, text: &str) {
        self.value.push_str(text);
        self.column += text.len();
    }
}

/// Appends the signature in base64, folded.
fn push_base64(value: &mut String, signature: &[u8]) {
    // Four characters for three octets, as many as fit behind the TAB.
    const LINE_OCTETS: usize = (LINE - "\t".len()) / 4 * 3;
    const FIRST_OCTETS: usize = (LINE - "\tb=".len()) / 4 * 3;
    let (first, rest) = signature.split_at(signature.len().min(FIRST_OCTETS));
    BASE64.encode_string(first, value);
    for line in rest.chunks(LINE_OCTETS) {
        value.push_str(FOLD);
        BASE64.encode_string(line, value);
    }
}
