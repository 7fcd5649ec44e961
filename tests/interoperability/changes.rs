//! Messages with everything that is signed by default, and what happens to them on the way.

use zegel::dkim::{Canonicalisation, CanonicalisationPair, HeaderRules};

use crate::{
    mail::{Field, Mail},
    random::Random,
    signer::{Choice, Keys, Order, Signed, sign},
};

/// A signed message to which something was done, and what.
pub(crate) struct Changed {
    pub(crate) what: String,
    pub(crate) signed: Signed,
}

/// What must end every signature: another field of a name that must not be repeated, and a
/// change of one octet of what is signed.
pub(crate) fn harmful(keys: &Keys) -> Vec<Changed> {
    let rules = HeaderRules::default();
    let mut changed = Vec::new();
    for base in bases(keys) {
        for name in &rules.oversign {
            changed.extend(base.with_field(name.as_str()));
        }
        let present = names(&rules.oversign_if_present).into_iter();
        for name in present.filter(|name| base.has(name)) {
            changed.extend(base.with_field(name));
        }
        for index in 0..base.mail.fields.len() {
            if base.is_signed(&base.mail.fields[index].name) {
                changed.extend(base.with_changed_field(index));
            }
        }
        changed.extend(base.with_changed_body());
    }
    changed
}

/// What must do no harm: what MTAs, lists and filters add, and to what is not signed.
pub(crate) fn harmless(keys: &Keys) -> Vec<Changed> {
    let rules = HeaderRules::default();
    let mut changed = Vec::new();
    for base in bases(keys) {
        let added = [
            "received",
            "x-other",
            "return-path",
            "authentication-results",
            "arc-seal",
        ];
        for name in added {
            changed.extend(base.with_field(name));
        }
        let absent = names(&rules.oversign_if_present).into_iter();
        for name in absent.filter(|name| !base.has(name)) {
            changed.extend(base.with_field(name));
        }
        for index in 0..base.mail.fields.len() {
            if !base.is_signed(&base.mail.fields[index].name) {
                changed.extend(base.with_changed_field(index));
            }
        }
    }
    changed
}

fn names(rules: &[zegel::names::FieldName]) -> Vec<&str> {
    rules.iter().map(zegel::names::FieldName::as_str).collect()
}

/// A message before and after it was signed.
struct Base {
    mail: Mail,
    signed: Signed,
    label: String,
}

/// A full message and a bare one, in both canonicalisations.
fn bases(keys: &Keys) -> Vec<Base> {
    let rules = HeaderRules::default();
    let body = b"Dear all,\r\n\r\n  the  game\twas lost.\r\n \r\n\r\n".to_vec();
    let field = |name: &str| match name {
        "from" => Field::new(name, " Zegel <post@example.com>"),
        "received" => Field::new(name, " from a by b;\r\n\tFri, 1 Aug 2025 10:00:00 +0200"),
        _ => Field::new(name, format!(" value of\r\n {name}\t ends")),
    };
    let all = names(&rules.oversign)
        .into_iter()
        .chain(names(&rules.oversign_if_present))
        .chain(["to", "resent-to", "received", "x-other", "comments"]);
    let full: Vec<Field> = all.map(field).collect();
    let bare = vec![field("received"), field("from"), field("x-other")];
    let mut bases = Vec::new();
    for (label, fields) in [("full", full), ("bare", bare)] {
        for method in [Canonicalisation::Simple, Canonicalisation::Relaxed] {
            let mail = Mail {
                fields: fields.clone(),
                body: body.clone(),
                separated: true,
            };
            let order = Order {
                keys,
                identity: &keys.identities[0],
                choice: Choice::Both,
                rules: &rules,
                canonicalisation: CanonicalisationPair {
                    header: method,
                    body: method,
                },
            };
            let signed = sign(&mut Random::new(1), &mail, &order);
            let label = format!("{label}, {method}");
            bases.push(Base {
                mail,
                signed,
                label,
            });
        }
    }
    bases
}

impl Base {
    fn has(&self, name: &str) -> bool {
        self.mail.fields.iter().any(|field| field.name == name)
    }

    fn is_signed(&self, name: &str) -> bool {
        self.signed.names.iter().any(|signed| signed == name)
    }

    /// With one more field of this name, above the signatures, below them and last.
    fn with_field(&self, name: &str) -> Vec<Changed> {
        let field = Field::new(name, " Mallory <mallory@example.org>");
        let top = format!("{name}: Mallory <mallory@example.org>\r\n");
        let above = [top.as_bytes(), &self.signed.bytes].concat();
        let mut below = self.mail.clone();
        below.fields.insert(0, field.clone());
        let mut last = self.mail.clone();
        last.fields.push(field);
        vec![
            self.changed(&format!("{name} added on top"), above),
            self.changed(
                &format!("{name} added below the signatures"),
                self.resealed(&below),
            ),
            self.changed(&format!("{name} added last"), self.resealed(&last)),
        ]
    }

    /// With the first and the last letter of a field changed, one at a time.
    fn with_changed_field(&self, index: usize) -> Vec<Changed> {
        let value = &self.mail.fields[index].value;
        let letter = |octet: &u8| octet.is_ascii_alphanumeric();
        let places = [
            value.iter().position(letter),
            value.iter().rposition(letter),
        ];
        let changed = places.iter().flatten().map(|&place| {
            let mut mail = self.mail.clone();
            change(&mut mail.fields[index].value[place]);
            let name = &mail.fields[index].name;
            self.changed(&format!("octet {place} of {name}"), self.resealed(&mail))
        });
        changed.collect()
    }

    /// With each letter of the body changed, one at a time.
    fn with_changed_body(&self) -> Vec<Changed> {
        let letters = (0..self.mail.body.len())
            .filter(|&place| self.mail.body[place].is_ascii_alphanumeric())
            .map(|place| {
                let mut mail = self.mail.clone();
                change(&mut mail.body[place]);
                self.changed(&format!("octet {place} of the body"), self.resealed(&mail))
            });
        let mut more = self.mail.clone();
        more.body.extend_from_slice(b"x\r\n");
        let mut fewer = self.mail.clone();
        fewer.body.clear();
        let lengths = [
            self.changed("a line more", self.resealed(&more)),
            self.changed("no body", self.resealed(&fewer)),
        ];
        letters.chain(lengths).collect()
    }

    /// Another message below our signatures.
    fn resealed(&self, mail: &Mail) -> Vec<u8> {
        let unsigned = self.mail.bytes("");
        let seal = self.signed.bytes.strip_suffix(unsigned.as_slice());
        let seal = seal.expect("signatures go on top");
        [seal, &mail.bytes("")].concat()
    }

    fn changed(&self, what: &str, bytes: Vec<u8>) -> Changed {
        Changed {
            what: format!("{}: {what}", self.label),
            signed: Signed {
                bytes,
                ..self.signed.clone()
            },
        }
    }
}

/// Another letter, not the same in another case.
fn change(octet: &mut u8) {
    *octet = if octet.eq_ignore_ascii_case(&b'q') {
        b'z'
    } else {
        b'q'
    };
}
