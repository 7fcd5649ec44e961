//! Private keys without PEM around them, as rspamd and OpenDKIM read them.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{key::KeyError, pem::MAXIMAL_OCTETS};
use crate::crypto::der;

const SEED_OCTETS: usize = 32;
/// libsodium keeps the public half behind the seed.
const PAIR_OCTETS: usize = 64;

/// A `OneAsymmetricKey` with an Ed25519 seed and no public half (RFC 8410 §7), up to the seed.
const SEED_ALONE: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
/// The same with a public half, and what stands before that.
const SEED_OF_PAIR: &[u8] = b"\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const PUBLIC_HALF: &[u8] = b"\x81\x21\x00";

/// The PEM of a private key that is DER (PKCS#8 or PKCS#1), or base64 of that, or base64 of an
/// Ed25519 seed: 32 octets, or 64 with the public half. `None` if it is nothing of the kind.
///
/// # Errors
/// [`KeyError::TooLarge`].
pub fn pem_of_bare_key(octets: &[u8]) -> Result<Option<Zeroizing<String>>, KeyError> {
    if octets.len() > MAXIMAL_OCTETS {
        return Err(KeyError::TooLarge);
    }
    let letters: Zeroizing<Vec<u8>> = Zeroizing::new(
        (octets.iter().copied())
            .filter(|octet| !octet.is_ascii_whitespace())
            .collect(),
    );
    let mut decoded = Zeroizing::new(vec![0; base64::decoded_len_estimate(letters.len())]);
    let inside = match STANDARD.decode_slice(&*letters, &mut decoded) {
        Ok(length) => &decoded[..length],
        Err(_) => octets,
    };
    // 32 and 64 octets that are not base64 may be anything.
    let is_text = !std::ptr::eq(inside, octets);
    let der = match inside.len() {
        SEED_OCTETS if is_text => Zeroizing::new([SEED_ALONE, inside].concat()),
        PAIR_OCTETS if is_text => {
            let (seed, public_half) = inside.split_at(SEED_OCTETS);
            Zeroizing::new([SEED_OF_PAIR, seed, PUBLIC_HALF, public_half].concat())
        }
        _ => Zeroizing::new(inside.to_vec()),
    };
    Ok(label_of(&der).map(|label| pem(label, &der)))
}

fn label_of(octets: &[u8]) -> Option<&'static str> {
    match der::read_pkcs8(octets) {
        Ok(_) | Err(der::DerError::Algorithm(_) | der::DerError::OddPublicHalf) => {
            Some("PRIVATE KEY")
        }
        Err(der::DerError::Malformed) => der::read_pkcs1(octets).ok().map(|_| "RSA PRIVATE KEY"),
    }
}

fn pem(label: &str, octets: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(octets));
    Zeroizing::new(format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        base64.as_str()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::SigningKey;

    /// RFC 8463 appendix A.2.
    const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn octets(base64: &str) -> Vec<u8> {
        STANDARD.decode(base64).unwrap()
    }

    fn public_half(bare: &[u8]) -> Result<Vec<u8>, String> {
        let pem = pem_of_bare_key(bare).map_err(|error| error.to_string())?;
        let pem = pem.ok_or("nothing of the kind")?;
        let key = SigningKey::from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
        Ok(key.public_key().subject_public_key_info().to_vec())
    }

    #[test]
    fn ed25519_is_a_seed_or_a_seed_with_its_public_half() {
        let pair = [octets(SEED), octets(PUBLIC)].concat();
        let pair = STANDARD.encode(pair);
        let broken = pair.replace('\n', "");
        let (one, two) = broken.split_at(40);
        for text in [
            SEED.to_owned(),
            format!("{SEED}\r\n"),
            pair.clone(),
            format!("{one}\n{two}\n"),
        ] {
            let found = public_half(text.as_bytes()).unwrap();
            assert!(found.ends_with(&octets(PUBLIC)), "{text}");
        }
        let foreign = STANDARD.encode([octets(SEED), octets(SEED)].concat());
        let refused = public_half(foreign.as_bytes()).unwrap_err();
        assert!(refused.contains("does not belong"), "{refused}");
        // A digest, or a key for something else, is not taken for a seed.
        for other in [
            &octets(SEED)[..],
            &octets(SEED)[..31],
            b"",
            b"p=MIIB",
            &[0x30; 64],
        ] {
            assert!(pem_of_bare_key(other).unwrap().is_none(), "{other:?}");
        }
    }

    #[test]
    fn rsa_is_der_of_either_form_or_base64_of_it() {
        for name in ["rsa2048-pkcs8", "rsa2048-pkcs1", "ed25519-v1"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
            let file = folder.join(format!("keys/unsafe-{name}.pem"));
            let text = std::fs::read_to_string(file).unwrap();
            let key = SigningKey::from_pem(text.as_bytes()).unwrap();
            let expected = key.public_key().subject_public_key_info();
            let lines = text.lines().filter(|line| !line.starts_with('-'));
            let base64: String = lines.flat_map(|line| [line, "\n"]).collect();
            let der = octets(&base64.replace('\n', ""));
            assert_eq!(public_half(base64.as_bytes()).unwrap(), expected, "{name}");
            assert_eq!(public_half(&der).unwrap(), expected, "{name}");
        }
        let long = vec![b'A'; MAXIMAL_OCTETS + 1];
        assert_eq!(pem_of_bare_key(&long), Err(KeyError::TooLarge));
    }
}
