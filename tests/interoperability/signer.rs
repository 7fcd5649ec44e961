//! Signs with Zegel's public API, as the milter does: fields and pieces of body come one by
//! one, and the signatures go in at the top.

use zegel::{
    dkim::{
        BodyHasher, CanonicalisationPair, FIELD_NAME, HeaderRules, HeaderSection, LeadingSpace,
        PublicKey, Signatory, SignatureField, SignedContent, SigningKey,
    },
    names::{DomainName, Selector},
};

use crate::{mail::Mail, random::Random, standards::fixture, verifiers::Records};

/// `t=` of all signatures.
pub(crate) const TIME: u64 = 1_760_000_000;
/// `x=`, where there is one: in 2100.
const EXPIRATION: u64 = 4_102_444_800;

/// A domain with a selector for each algorithm.
pub(crate) struct Identity {
    pub(crate) domain: DomainName,
    pub(crate) rsa: Selector,
    pub(crate) ed25519: Selector,
}

/// The keys, and who uses them.
pub(crate) struct Keys {
    rsa: SigningKey,
    ed25519: SigningKey,
    pub(crate) identities: Vec<Identity>,
}

/// Which keys sign a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    Rsa,
    Ed25519,
    Both,
}

impl Keys {
    /// The fixtures, for domains and selectors of all lengths.
    pub(crate) fn new() -> Self {
        let label = "l".repeat(60);
        let identities = [
            ("example.com", "rsa", "ed"),
            ("EXAMPLE.ORG", "Gemeente-2026A", "Gemeente-2026A-ed"),
            ("bücher.example", "a.b", "a.c"),
            ("a.b.c.d.e.f.g.h.example", "1", "2"),
            (
                &[label.as_str(), &label, &label, "example"].join("."),
                "rsa",
                "ed",
            ),
            ("example.net", &label, &["e", &label].join(".")),
            (
                &[&label, "example"].join("."),
                &[label.as_str(), &label].join("."),
                "ed",
            ),
        ]
        .map(|(domain, rsa, ed25519)| Identity {
            domain: domain.parse().expect("a domain"),
            rsa: rsa.parse().expect("a selector"),
            ed25519: ed25519.parse().expect("a selector"),
        });
        let key = |file: &str| SigningKey::from_pem(&fixture(file)).expect("a key");
        Self {
            rsa: key("keys/unsafe-rsa2048-pkcs8.pem"),
            ed25519: key("keys/unsafe-ed25519-v1.pem"),
            identities: identities.into(),
        }
    }

    /// The public half of one of the two.
    pub(crate) fn key(&self, choice: Choice) -> PublicKey {
        let (_, key) = self.of(&self.identities[0], choice)[0];
        key.public_key().clone()
    }

    /// What is in DNS.
    pub(crate) fn records(&self) -> Records {
        let mut records = Records::new();
        for identity in &self.identities {
            for (selector, key) in self.of(identity, Choice::Both) {
                let record = key.public_key().record();
                records.insert(identity.domain.as_str(), selector.as_str(), &record);
            }
        }
        records
    }

    /// The public key, as a verifier gets it from DNS.
    pub(crate) fn public_key(&self, domain: &DomainName, selector: &Selector) -> Option<PublicKey> {
        let identity = self.identities.iter().find(|one| one.domain == *domain)?;
        let keys = self.of(identity, Choice::Both);
        let (_, key) = keys.into_iter().find(|(own, _)| *own == selector)?;
        PublicKey::from_record(&key.public_key().record()).ok()
    }

    fn of<'a>(
        &'a self,
        identity: &'a Identity,
        choice: Choice,
    ) -> Vec<(&'a Selector, &'a SigningKey)> {
        let rsa = (&identity.rsa, &self.rsa);
        let ed25519 = (&identity.ed25519, &self.ed25519);
        match choice {
            Choice::Rsa => vec![rsa],
            Choice::Ed25519 => vec![ed25519],
            Choice::Both => vec![rsa, ed25519],
        }
    }
}

/// How one message is to be signed.
pub(crate) struct Order<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) identity: &'a Identity,
    pub(crate) choice: Choice,
    pub(crate) rules: &'a HeaderRules,
    pub(crate) canonicalisation: CanonicalisationPair,
}

/// A message with its signatures.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) bytes: Vec<u8>,
    /// Domain and selector of our signatures, from the top.
    pub(crate) signatures: Vec<(String, String)>,
    /// The names in `h=`.
    pub(crate) names: Vec<String>,
    pub(crate) canonicalisation: CanonicalisationPair,
}

/// Signs; the result is the message as a receiver gets it.
pub(crate) fn sign(random: &mut Random, mail: &Mail, order: &Order<'_>) -> Signed {
    let section = section(random, mail);
    let names = order.rules.select(&section);
    let body_hash = body_hash(random, order.canonicalisation, &mail.body);
    let listed = names.iter().map(|&name| name.to_owned()).collect();
    let content = SignedContent::new(&section, names, body_hash, order.canonicalisation);
    let mut top = String::new();
    let mut signatures = Vec::new();
    let expiration = random.percent(30).then_some(EXPIRATION);
    for (selector, key) in order.keys.of(order.identity, order.choice) {
        let field = content
            .sign(&Signatory {
                domain: &order.identity.domain,
                selector,
                key,
                canonicalisation: order.canonicalisation,
                time: TIME,
                expiration,
            })
            .expect("a key of ours signs");
        check_form(&field);
        top.insert_str(0, &inserted(random, &field));
        signatures.insert(0, (order.identity.domain.to_string(), selector.to_string()));
    }
    Signed {
        bytes: mail.bytes(&top),
        signatures,
        names: listed,
        canonicalisation: order.canonicalisation,
    }
}

/// The fields, in one of the two forms in which they may come.
fn section(random: &mut Random, mail: &Mail) -> HeaderSection {
    let from_milter = random.percent(50);
    let mut section = HeaderSection::default();
    for field in &mail.fields {
        let mut value = field.value.clone();
        if from_milter {
            value.retain(|&octet| octet != b'\r');
        }
        section.push(field.name.as_bytes(), &value);
    }
    section
}

/// The hash of the body, which is the same however it is cut.
fn body_hash(random: &mut Random, canonicalisation: CanonicalisationPair, body: &[u8]) -> [u8; 32] {
    let hash = |random: &mut Random, longest: usize| {
        let mut hasher = BodyHasher::new(canonicalisation.body);
        let mut rest = body;
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(random.between(0, longest).min(rest.len()));
            hasher.update(chunk);
            rest = behind;
        }
        hasher.finish()
    };
    let mut whole = BodyHasher::new(canonicalisation.body);
    whole.update(body);
    let whole = whole.finish();
    for longest in [1, 7, 1000, 65_535] {
        assert_eq!(hash(random, longest), whole, "chunks of at most {longest}");
    }
    whole
}

/// The lines that the MTA makes of what a milter inserts.
fn inserted(random: &mut Random, field: &SignatureField) -> String {
    let text = if random.percent(50) {
        format!("{FIELD_NAME}:{}\n", field.milter_value(LeadingSpace::Ours))
    } else {
        format!(
            "{FIELD_NAME}: {}\n",
            field.milter_value(LeadingSpace::AddedByMta)
        )
    };
    let lines = text.replace('\n', "\r\n");
    assert_eq!(lines, field.line());
    lines
}

/// Folded so that each line holds more than one tag or name only if it is short.
fn check_form(field: &SignatureField) {
    let field = field.line();
    let lines = field
        .strip_suffix("\r\n")
        .expect("a whole line")
        .split("\r\n");
    for (place, line) in lines.enumerate() {
        let folded = place == 0 || (line.starts_with('\t') && line.len() > 1);
        assert!(folded && !line.ends_with([' ', '\t']), "{field}");
        let one_tag = line.trim_end_matches(';').matches(';').count() == 0;
        assert!(
            line.len() <= 78 || (one_tag && line.len() <= 998),
            "{field}"
        );
    }
}
