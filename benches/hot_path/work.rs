//! The steps of signing, as the milter takes them.

use std::hint::black_box;

use zegel::{
    dkim::{
        BodyCanonicaliser, BodyHasher, BodyInspector, Canonicalisation, CanonicalisationPair,
        HeaderRules, HeaderSection, Signatory, SignedContent, SigningKey, allows_eight_bit,
        author_domain,
    },
    names::{DomainName, Selector},
};

pub const RELAXED: CanonicalisationPair = CanonicalisationPair {
    header: Canonicalisation::Relaxed,
    body: Canonicalisation::Relaxed,
};

/// The canonical form of a body, which nobody takes.
pub fn canonicalise(body: &[u8], chunk: usize) {
    let mut canonicaliser = BodyCanonicaliser::new(Canonicalisation::Relaxed);
    let mut sink = |bytes: &[u8]| {
        black_box(bytes);
    };
    for chunk in body.chunks(chunk) {
        canonicaliser.update(black_box(chunk), &mut sink);
    }
    canonicaliser.finish(&mut sink);
}

/// What is looked for in a body besides.
pub fn inspect(body: &[u8], chunk: usize) {
    let mut inspector = BodyInspector::default();
    for chunk in body.chunks(chunk) {
        inspector.update(black_box(chunk));
    }
    black_box(inspector.finish(true));
}

/// The names for `h=` and the canonical form of their fields.
pub fn canonical_header(rules: &HeaderRules, header: &HeaderSection) {
    let names = rules.select(black_box(header));
    let mut output = Vec::with_capacity(header.octets() + 1024);
    header.canonical_fields(names, Canonicalisation::Relaxed, &mut output);
    black_box(output);
}

/// A key and whose it is.
pub struct Signer {
    pub domain: DomainName,
    pub selector: Selector,
    pub key: SigningKey,
}

/// Everything but the protocol: whose it is, the body in chunks as Postfix sends them, one
/// signature for each signer.
pub fn sign(rules: &HeaderRules, header: &HeaderSection, body: &[u8], signers: &[Signer]) {
    black_box(author_domain(header.values("from"))).expect("one author");
    let mut hasher = BodyHasher::new(RELAXED.body);
    let mut inspector = BodyInspector::default();
    for chunk in body.chunks(65_535) {
        hasher.update(chunk);
        inspector.update(chunk);
    }
    let names = rules.select(header);
    black_box(inspector.finish(allows_eight_bit(header)));
    let content = SignedContent::new(header, names, hasher.finish(), RELAXED);
    for signer in signers {
        let signatory = Signatory {
            domain: &signer.domain,
            selector: &signer.selector,
            key: &signer.key,
            canonicalisation: RELAXED,
            time: 1_795_336_200,
            expiration: None,
        };
        black_box(content.sign(&signatory)).expect("a signature");
    }
}
