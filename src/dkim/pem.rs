//! The PEM form of keys (RFC 7468), one block to a file.
//!
//! Text outside of the block is allowed (RFC 7468 §2): `openssl pkcs12` writes "Bag
//! Attributes" there, `openssl rsa -text` the numbers. A second block is not: nobody could
//! say which of them is meant. The boundaries say where the key is, so lines that ended with
//! CR, or were run together by a form or a shell, are read as well.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::algorithm::KeyError;

/// No key file is longer than this.
pub(super) const MAXIMAL_OCTETS: usize = 64 * 1024;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// What the file of a sealed key begins with.
const SEALED: &[u8] = b"zegel-sealed-key ";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One PEM block: its label and what is inside.
pub(super) struct Pem<'a> {
    pub(super) label: &'a str,
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// Reads a file that holds one PEM block.
pub(super) fn read(octets: &[u8]) -> Result<Pem<'_>, KeyError> {
    if octets.len() > MAXIMAL_OCTETS {
        return Err(KeyError::TooLarge);
    }
    let text = octets.strip_prefix(BYTE_ORDER_MARK).unwrap_or(octets);
    if text.trim_ascii().is_empty() {
        return Err(KeyError::Empty);
    }
    let Some(start) = find(text, BEGIN) else {
        return Err(without_begin(text));
    };
    if find(&text[..start], END).is_some() {
        return Err(KeyError::Truncated);
    }
    let (label, inside) = label(&text[start + BEGIN.len()..]).ok_or(KeyError::Truncated)?;
    let end = find(inside, END).ok_or(KeyError::Truncated)?;
    let (body, behind) = inside.split_at(end);
    if find(body, BEGIN).is_some() {
        return Err(KeyError::Truncated);
    }
    let (end_label, behind) = self::label(&behind[END.len()..]).ok_or(KeyError::Truncated)?;
    if end_label != label {
        return Err(KeyError::Truncated);
    }
    if find(behind, BEGIN).is_some() {
        return Err(KeyError::Several);
    }
    if find(behind, END).is_some() {
        return Err(KeyError::Truncated);
    }
    Ok(Pem {
        label,
        der: decode(body)?,
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The label up to its five dashes, and what is behind them.
fn label(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = find(text, DASHES)?;
    let label = std::str::from_utf8(&text[..end]).ok()?;
    let valid = |octet: u8| octet.is_ascii_alphanumeric() || octet == b' ';
    let is_label = !label.is_empty() && label.len() <= 64 && label.bytes().all(valid);
    is_label.then_some((label, &text[end + DASHES.len()..]))
}

/// What a text without a boundary is, if it can be told.
fn without_begin(text: &[u8]) -> KeyError {
    if text.starts_with(SEALED) {
        return KeyError::Sealed;
    }
    // Each letter of a key is one octet and a zero in UTF-16, whichever comes first.
    let without_zeros: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.iter().copied().filter(|octet| *octet != 0).collect());
    if find(&without_zeros, BEGIN).is_some() {
        KeyError::Utf16
    } else {
        KeyError::NotPem
    }
}

fn decode(body: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    // RFC 1421 §4.6.1.1: `Proc-Type: 4,ENCRYPTED`.
    if find(body, b"Proc-Type:").is_some() && find(body, b"ENCRYPTED").is_some() {
        return Err(KeyError::Encrypted);
    }
    if find(body, br"\n").is_some() || find(body, br"\r").is_some() {
        return Err(KeyError::EscapedBreaks);
    }
    // Its capacity is never exceeded: a reallocation would leave a copy behind.
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    base64.extend(body.iter().filter(|octet| !octet.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; base64::decoded_len_estimate(base64.len())]);
    let length = STANDARD
        .decode_slice(&*base64, &mut der)
        .map_err(|_| KeyError::Base64)?;
    der.truncate(length);
    Ok(der)
}
