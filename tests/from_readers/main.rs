//! What Zegel takes for the domain of a From field, beside what programs show that other
//! people wrote: nothing is signed that one of them reads in another way, and nothing is left
//! unsigned that all of them read as one domain of ours, unless the reason is in `argued.rs`.
//!
//! 3,000 fields are made by a generator, and the tricky ones are in `corpus.rs`. The long form,
//! with other fields each time that the number is another one:
//!
//! ```sh
//! ZEGEL_FROM_FIELDS=200000 cargo test --test from_readers
//! ```

mod argued;
mod corpus;
mod generator;
mod readers;

use std::{collections::BTreeMap, env, iter};

use zegel::{dkim::author_domain, names::DomainName};

use self::{
    generator::{Numbers, OURS, value},
    readers::{Domain, Found, read_all},
};

/// So many readers must show a domain before one can say that all do: a third of them.
/// Those that show no address at all can mislead nobody.
const ENOUGH_READERS: usize = 6;

#[test]
fn every_reader_sees_what_is_signed_and_nothing_that_all_see_is_left_out() {
    let count = env::var("ZEGEL_FROM_FIELDS").map_or(3_000, |text| text.parse().expect("a number"));
    let mut numbers = Numbers(count);
    let mut values = corpus::values();
    values.extend((0..count).map(|_| value(&mut numbers)));
    let found = read_all(&values);
    let mut signed = 0_usize;
    let mut problems = Vec::new();
    for (value, found) in values.iter().zip(&found) {
        assert!(
            found.len() > 2 * ENOUGH_READERS,
            "readers: {:?}",
            found.keys()
        );
        let author = author_domain(iter::once(value.as_slice()));
        let text = value.escape_ascii();
        match author {
            Ok(domain) => {
                signed += 1;
                let others = others(found, &domain);
                if !others.is_empty() {
                    problems.push(format!("signed as {domain}, but: {text}\n    {others:?}"));
                }
            }
            Err(refusal) => {
                let Some(domain) = seen_by_all(found) else {
                    continue;
                };
                if argued::reason(value).is_none() {
                    problems.push(format!("all see {domain}, but {refusal:?}: {text}"));
                }
            }
        }
    }
    println!("{signed} of {} are signed", values.len());
    assert!(signed > values.len() / 5, "{signed} are signed");
    assert!(
        problems.is_empty(),
        "{}\n{} problems",
        problems.join("\n"),
        problems.len()
    );
}

/// The readers that find anything but this domain.
fn others<'a>(
    found: &'a BTreeMap<String, Found>,
    domain: &DomainName,
) -> Vec<(&'a str, &'a Found)> {
    found
        .iter()
        .filter(|(_, found)| {
            found
                .0
                .iter()
                .any(|one| *one != Domain::Name(domain.clone()))
        })
        .map(|(name, found)| (name.as_str(), found))
        .collect()
}

/// The domain of ours that all readers see, if they do.
fn seen_by_all(found: &BTreeMap<String, Found>) -> Option<&DomainName> {
    let mut domains = found.values().flat_map(|found| &found.0);
    let Some(Domain::Name(first)) = domains.next() else {
        return None;
    };
    let same = domains.all(|other| matches!(other, Domain::Name(name) if name == first));
    let seeing = found.values().filter(|found| !found.0.is_empty()).count();
    (same && seeing >= ENOUGH_READERS && OURS.contains(&first.as_str())).then_some(first)
}
