//! The text of a sealed key.
//!
//! ```text
//! zegel-sealed-key 1 sealing-key=0123456789abcdef
//! base64 of: salt (32 octets), encrypted PEM, tag (16 octets); 64 characters to a line
//! ```

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::key::{SealingKey, SealingKeyId, SealingKeys};
use crate::{
    crypto::sealed::{self, TAG_OCTETS},
    dkim::{Algorithm, Fingerprint},
    names::{OrganisationId, Selector},
};

/// What every sealed key begins with, of whatever version.
const KIND: &[u8] = b"zegel-sealed-key ";
const FIRST_LINE: &str = "zegel-sealed-key 1 sealing-key=";
const INFO: &[u8] = b"zegel sealed key 1";
const SALT_OCTETS: usize = 32;
const LINE: usize = 64;

/// The one place where a sealed key opens.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The id of the keystore, the same in each copy of it.
    pub keystore: &'a str,
    /// Whose key it is.
    pub organisation: &'a OrganisationId,
    /// What its file is named after.
    pub selector: &'a Selector,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Of its public half.
    pub fingerprint: Fingerprint,
}

impl Bound<'_> {
    fn text(&self, sealing_key: SealingKeyId) -> String {
        let Self {
            keystore,
            organisation,
            selector,
            algorithm,
            fingerprint,
        } = self;
        format!(
            "{FIRST_LINE}{sealing_key}\nkeystore={keystore}\norganisation={organisation}\n\
             selector={selector}\nalgorithm={algorithm}\nfingerprint={fingerprint}\n"
        )
    }
}

/// Why a sealed key does not open.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealedProblem {
    /// There is no such sealing key.
    #[error(
        "it is sealed with the sealing key {wanted}, and [keystore] sealing_keys has {}: add the \
         file of {wanted} there",
        List(there)
    )]
    NoSuchKey {
        /// The one that is named.
        wanted: SealingKeyId,
        /// Those that there are.
        there: Vec<SealingKeyId>,
    },
    /// It was changed, or is at another place than it was sealed for.
    #[error(
        "the sealed key does not open here: it was changed, or is from another place (keystore, \
         organisation, selector or fingerprint); restore this file from a back-up, with \
         keystore.id and keyring.json of the same keystore, or make a new key"
    )]
    DoesNotOpen,
    /// It is not as Zegel writes it.
    #[error(
        "it begins like a sealed key, and is none: restore this file from a back-up, or make a \
         new key"
    )]
    Malformed,
    /// A later Zegel wrote it.
    #[error("it is sealed in a form that this version does not know: upgrade zegel")]
    Later,
}

/// Ids one after the other, or none.
struct List<'a>(&'a [SealingKeyId]);

impl fmt::Display for List<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        match ids.as_slice() {
            [] => formatter.write_str("none"),
            ids => formatter.write_str(&ids.join(", ")),
        }
    }
}

/// How a key lies in its file, by the first line.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SealedBy {
    /// By nothing: it is in the clear, or no key at all.
    Nothing,
    /// By this sealing key.
    Key(SealingKeyId),
    /// By something that this version can't read.
    Unknown,
}

/// How the key in this file lies there. Looks at the first line alone.
pub fn sealed_by(file: &[u8]) -> SealedBy {
    if !file.starts_with(KIND) {
        return SealedBy::Nothing;
    }
    let digits = file
        .strip_prefix(FIRST_LINE.as_bytes())
        .and_then(|rest| rest.get(..SealingKeyId::DIGITS));
    digits
        .and_then(SealingKeyId::parse)
        .map_or(SealedBy::Unknown, SealedBy::Key)
}

/// Seals this text for its place.
///
/// # Errors
/// When the system gives no random octets; the text is what it says.
pub fn seal(key: &SealingKey, bound: &Bound<'_>, text: &[u8]) -> Result<String, String> {
    let salt = sealed::random::<SALT_OCTETS>().map_err(|refused| refused.0)?;
    seal_with_salt(key, bound, text, &salt)
}

pub(super) fn seal_with_salt(
    key: &SealingKey,
    bound: &Bound<'_>,
    text: &[u8],
    salt: &[u8; SALT_OCTETS],
) -> Result<String, String> {
    let one_time = key.derive(salt, INFO).map_err(|refused| refused.0)?;
    // Room for all of it from the start: growing would leave a copy of the text behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(SALT_OCTETS + text.len() + TAG_OCTETS));
    octets.extend(salt);
    octets.extend(text);
    let (_, inside) = octets.split_at_mut(SALT_OCTETS);
    let tag = sealed::seal(&one_time, bound.text(key.id()).as_bytes(), inside)
        .map_err(|refused| refused.0)?;
    octets.extend(tag);
    Ok(written(key.id(), &octets))
}

fn written(id: SealingKeyId, octets: &[u8]) -> String {
    let base64 = STANDARD.encode(octets);
    let mut file = format!("{FIRST_LINE}{id}\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(LINE));
        file.push_str(line);
        file.push('\n');
        rest = behind;
    }
    file
}

/// What was sealed for this place.
///
/// # Errors
/// [`SealedProblem`]. A file is taken only octet for octet as [`seal`] writes it.
pub fn open(
    keys: &SealingKeys,
    bound: &Bound<'_>,
    file: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealedProblem> {
    let (id, mut octets) = parse(file)?;
    let key = keys.get(id).ok_or_else(|| SealedProblem::NoSuchKey {
        wanted: id,
        there: keys.ids(),
    })?;
    let (salt, sealed) = octets
        .split_at_mut_checked(SALT_OCTETS)
        .ok_or(SealedProblem::Malformed)?;
    let one_time = key.derive(salt, INFO);
    let one_time = one_time.map_err(|_| SealedProblem::DoesNotOpen)?;
    let length = sealed::open(&one_time, bound.text(id).as_bytes(), sealed)
        .map_err(|_| SealedProblem::DoesNotOpen)?;
    // Where it is, so that no copy is made.
    octets.copy_within(SALT_OCTETS..SALT_OCTETS + length, 0);
    octets.truncate(length);
    Ok(octets)
}

fn parse(file: &[u8]) -> Result<(SealingKeyId, Zeroizing<Vec<u8>>), SealedProblem> {
    let SealedBy::Key(id) = sealed_by(file) else {
        let is_version_1 = file.starts_with(b"zegel-sealed-key 1 ");
        let is_later = !is_version_1 && file.get(KIND.len()).is_some_and(u8::is_ascii_digit);
        return Err(if is_later {
            SealedProblem::Later
        } else {
            SealedProblem::Malformed
        });
    };
    let body = file.get(FIRST_LINE.len() + SealingKeyId::DIGITS..);
    let body = body.unwrap_or_default();
    let base64: Vec<u8> = body
        .iter()
        .copied()
        .filter(|octet| *octet != b'\n')
        .collect();
    let octets = STANDARD
        .decode(base64)
        .map_err(|_| SealedProblem::Malformed)?;
    let octets = Zeroizing::new(octets);
    // One text for one content: what was added or broken otherwise is not ours.
    if written(id, &octets).as_bytes() != file {
        return Err(SealedProblem::Malformed);
    }
    Ok((id, octets))
}
