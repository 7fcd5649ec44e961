//! The DKIM-Signature field that Zegel writes, at the ends of what names may be.

#[path = "support/standards.rs"]
mod standards;

use zegel::{
    dkim::{
        BodyHasher, CanonicalisationPair, HeaderSection, LeadingSpace, ParsedSignature, Signatory,
        SignatureField, SignedContent, SigningKey,
    },
    names::{DomainName, FieldName},
};

use standards::fixture;

#[test]
fn no_line_is_over_998_octets_whatever_the_names() {
    let longest = ["a".repeat(63).as_str(); 3].join(".") + "." + &"b".repeat(61);
    assert_eq!(longest.len(), 253);
    let name: FieldName = "x".repeat(255).parse().unwrap();
    for (domain, names) in [
        ("a.nl", vec!["from"]),
        (
            longest.as_str(),
            vec!["from", name.as_str(), "x", name.as_str(), name.as_str()],
        ),
        (longest.as_str(), vec![name.as_str(), "from"]),
    ] {
        let line = sign(domain, &longest, names.clone()).line();
        assert!(line.split("\r\n").all(|line| line.len() <= 300), "{line}");
        let value = line.strip_prefix("DKIM-Signature:").unwrap();
        let value = value.strip_suffix("\r\n").unwrap();
        let parsed = ParsedSignature::parse(b"DKIM-Signature", value.as_bytes()).unwrap();
        assert_eq!(parsed.names, names);
        assert_eq!(parsed.domain.as_str(), domain);
        assert_eq!(parsed.selector.as_str(), longest);
    }
}

/// One name more or less, one octet more or less: lines are filled up to 78 and no further.
#[test]
fn lines_are_at_most_78_octets_and_full() {
    for octets in 1..80 {
        let name = "n".repeat(octets);
        let names = [vec!["from"], vec![name.as_str(); 40]].concat();
        let line = sign("example.com", "s", names).line();
        let lines: Vec<&str> = line.split("\r\n").collect();
        for pair in lines.windows(2) {
            let [line, next] = pair else { unreachable!() };
            assert!(
                line.len() <= 78 || line.trim().trim_end_matches([':', ';']) == name,
                "{line:?}"
            );
            let first = next
                .trim_start()
                .split_inclusive([':', ';'])
                .next()
                .unwrap_or_default();
            let inside_names = line.ends_with(':') && next.len() > 1;
            assert!(
                !inside_names || line.len() + first.len() > 78,
                "{line:?} {next:?}"
            );
        }
    }
}

#[test]
fn a_milter_hands_it_over_with_line_feeds() {
    let field = sign("example.com", "s", vec!["from"]);
    assert!(field.value().starts_with(" v=1; a="));
    let ours = field.milter_value(LeadingSpace::Ours);
    assert_eq!(ours.replace('\n', "\r\n"), field.value());
    assert_eq!(
        format!(" {}", field.milter_value(LeadingSpace::AddedByMta)),
        ours
    );
    assert_eq!(
        field.line(),
        format!("DKIM-Signature:{}\r\n", field.value())
    );
}

fn sign(domain: &str, selector: &str, names: Vec<&str>) -> SignatureField {
    let key = SigningKey::from_pem(&fixture("keys/unsafe-ed25519-v1.pem")).expect("a key");
    let domain: DomainName = domain.parse().expect("a domain");
    let canonicalisation = CanonicalisationPair::default();
    let body_hash = BodyHasher::new(canonicalisation.body).finish();
    let content = SignedContent::new(
        &HeaderSection::default(),
        names,
        body_hash,
        canonicalisation,
    );
    let signatory = Signatory {
        domain: &domain,
        selector: &selector.parse().expect("a selector"),
        key: &key,
        canonicalisation,
        time: u64::MAX - 1,
        expiration: Some(u64::MAX),
    };
    content.sign(&signatory).expect("a signature")
}
