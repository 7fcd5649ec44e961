//! Verification once more, from the text of the field: what every receiver does.

use base64::{Engine, engine::general_purpose::STANDARD};
use zegel::dkim::{CanonicalisationPair, Field, HeaderSection, PublicKey, digest::sha256};

use crate::canonical;

/// White space as it stands in tag lists.
const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// The value of a tag, without the white space around it.
pub fn tag<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').find_map(|piece| {
        let (own, value) = piece.split_once('=')?;
        (own.trim_matches(BLANK) == name).then(|| value.trim_matches(BLANK))
    })
}

/// Whether the field at `place` is a signature of this header section and this body by the
/// key. Asks for no more than that: not for tags that are missing or too many.
pub fn holds(header: &HeaderSection, place: usize, body: &[u8], key: &PublicKey) -> Option<bool> {
    let Field { name, value } = header.fields().nth(place)?;
    let text = std::str::from_utf8(value).ok()?;
    let pair: CanonicalisationPair = tag(text, "c").unwrap_or("simple/simple").parse().ok()?;
    let names = tag(text, "h")?
        .split(':')
        .map(|name| name.trim_matches(BLANK));
    let mut data = canonical::fields(pair.header, header, Some(place), names);
    let unsigned = without_signature(text);
    data.extend(canonical::field(pair.header, name, unsigned.as_bytes()));
    let body_hash = sha256(&canonical::body(pair.body, body));
    let is_body = binary(tag(text, "bh")?)? == body_hash;
    Some(is_body && key.verify(&data, &binary(tag(text, "b")?)?))
}

fn binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.replace(BLANK, "")).ok()
}

/// RFC 6376 §3.7: as it stands, and nothing behind `b=`.
fn without_signature(value: &str) -> String {
    let pieces: Vec<String> = value
        .split(';')
        .map(|piece| match piece.split_once('=') {
            Some((name, _)) if name.trim_matches(BLANK) == "b" => format!("{name}="),
            _ => piece.to_owned(),
        })
        .collect();
    pieces.join(";")
}
