//! What reports show of keys, as matters: somebody else signs with a key in a zone of ours, or far
//! more mail passes with a key of ours than was signed with it.

use super::{Fact, Matter, Witness, harmless};
use crate::{
    keystore::{Climbed, ReplaySeen, StrangeKey},
    names::{DomainName, OrganisationId},
    shell::quoted,
    words::{Language, Level, filled},
};

pub(super) const UNKNOWN_SELECTOR: &str = "dkim.unknown_selector";
pub(super) const REPLAY: &str = "dkim.replay";

/// Of a domain, one for each selector.
pub(super) fn matters(domain: &DomainName, climbed: &Climbed) -> Vec<Matter> {
    let strange = climbed.unknown_selectors.iter().map(|one| Matter {
        selector: one.selector.parse().ok(),
        since: Some(one.since),
        ..Matter::new(
            Level::Act,
            Fact::UnknownSelector(one.clone()),
            Witness::Keeper,
        )
    });
    let replays = climbed.replays.iter().map(|one| Matter {
        selector: Some(one.selector.clone()),
        since: one.since,
        ..Matter::new(Level::Act, Fact::Replay(one.clone()), Witness::Keeper)
    });
    let mut matters: Vec<Matter> = strange.chain(replays).collect();
    for matter in &mut matters {
        matter.domain = Some(domain.clone());
        matter.seen = Some(climbed.found);
    }
    matters
}

/// A stranger may have chosen the words of the key.
pub(super) fn of_strange_key(key: &StrangeKey, domain: &DomainName, language: Language) -> String {
    let sentence = match language {
        Language::English => {
            "Somebody else has a key in the zone of {domain}: mail passes at receivers with the record {record}, which is neither ours nor of a sender that you have named. The operator finds out who sends it: `zegel report streams {under} {stream}`. If it is right, name it: `zegel report name {under} {id} --as known`. If not, have the DNS administrator take that record away."
        }
        Language::Dutch => {
            "Iemand anders heeft een sleutel in de zone van {domain}: bij ontvangers slaagt mail met het record {record}, dat niet van ons is en niet van een verzender die u een naam gaf. De beheerder zoekt uit wie dat verstuurt: `zegel report streams {under} {stream}`. Klopt het, geef het dan een naam: `zegel report name {under} {id} --as known`. Zo niet, laat dan de DNS-beheerder dat record weghalen."
        }
    };
    let record = harmless(&format!("{}._domainkey.{}", key.selector, key.domain));
    let stream = harmless(&quoted(&key.stream));
    let id = harmless(&quoted(&format!("dkim:{}/{}", key.domain, key.selector)));
    let values = [
        ("domain", domain.as_str()),
        ("record", &*record),
        ("under", key.under.as_str()),
        ("stream", &*stream),
        ("id", &*id),
    ];
    filled(sentence, &values)
}

pub(super) fn of_replay(
    replay: &ReplaySeen,
    (organisation, domain): (&OrganisationId, &DomainName),
    language: Language,
) -> String {
    let sentence = match language {
        Language::English => {
            "Far more mail passes with the key {key} of {domain} than was signed with it: receivers reported {passed} messages from {from} to {to}, and {signed} were signed. Mail that was signed once is sent many times, or someone else has the key. The operator looks who sends it (`zegel report streams {domain}`), and takes another key (`zegel key roll {organisation}`)."
        }
        Language::Dutch => {
            "Er slaagt veel meer mail met de sleutel {key} van {domain} dan ermee is ondertekend: ontvangers meldden {passed} berichten van {from} tot en met {to}, en {signed} zijn er ondertekend. Mail die één keer is ondertekend wordt vaak verstuurd, of iemand anders heeft de sleutel. De beheerder kijkt wie dat verstuurt (`zegel report streams {domain}`), en neemt een andere sleutel (`zegel key roll {organisation}`)."
        }
    };
    let values = [
        ("key", replay.selector.as_str()),
        ("domain", domain.as_str()),
        ("organisation", organisation.as_str()),
        ("passed", &replay.passed.to_string()),
        ("signed", &replay.signed.to_string()),
        ("from", &replay.from.to_string()),
        ("to", &replay.to.to_string()),
    ];
    filled(sentence, &values)
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil::date};

    use super::*;
    use crate::{judgement::Judgement, keystore::Sightings, organisation::Organisation};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn judge(climbed: Climbed) -> Judgement {
        let domain: DomainName = "een.example".parse().unwrap();
        let mut organisation = Organisation::without_file(&"een".parse().unwrap());
        organisation.domains = vec![domain.clone()];
        let sightings = Sightings {
            climbed: [(domain, climbed)].into(),
            ..Sightings::default()
        };
        Judgement::default().saw(&organisation, &sightings)
    }

    #[test]
    fn a_key_of_a_stranger_is_a_matter_also_where_nobody_knows_the_record() {
        let climbed = Climbed {
            found: NOW,
            climbing: None,
            unknown_selectors: vec![StrangeKey::of("een.example", NOW)],
            replays: Vec::new(),
        };
        let judgement = judge(climbed);
        let [matter] = &judgement.matters[..] else {
            panic!("{judgement:?}");
        };
        assert_eq!((matter.level, matter.since), (Level::Act, Some(NOW)));
        assert_eq!(matter.fact.as_str(), UNKNOWN_SELECTOR);
        assert_eq!(matter.selector, "old2019".parse().ok());
        let id = "een".parse().unwrap();
        for (language, part) in [
            (
                Language::English,
                "with the record old2019._domainkey.een.example, which",
            ),
            (
                Language::Dutch,
                "met het record old2019._domainkey.een.example, dat",
            ),
        ] {
            let text = matter.sentence(&id, language);
            assert!(text.contains(part), "{text}");
            for command in [
                "`zegel report streams een.example dkim:een.example/old2019`",
                "`zegel report name een.example dkim:een.example/old2019 --as known`",
            ] {
                assert!(text.contains(command), "{text}");
            }
        }
    }

    #[test]
    fn what_a_stranger_chose_looks_like_nothing_that_is_typed() {
        let odd = StrangeKey {
            selector: "a`rm`\u{1b}[31m".to_owned(),
            ..StrangeKey::of("een.example", NOW)
        };
        let climbed = Climbed {
            found: NOW,
            climbing: None,
            unknown_selectors: vec![odd],
            replays: Vec::new(),
        };
        let judgement = judge(climbed);
        assert_eq!(judgement.matters[0].selector, None);
        let text = judgement.matters[0].sentence(&"een".parse().unwrap(), Language::English);
        assert_eq!(text.matches('`').count(), 4, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn mail_that_was_not_signed_is_a_matter_of_the_key() {
        let replay = ReplaySeen::of("s1", date(2026, 3, 2), NOW);
        let climbed = Climbed {
            found: NOW,
            climbing: None,
            unknown_selectors: Vec::new(),
            replays: vec![replay],
        };
        let judgement = judge(climbed);
        let matter = &judgement.matters[0];
        assert_eq!(matter.fact.as_str(), REPLAY);
        let (selector, domain) = ("s1".parse().unwrap(), "een.example".parse().unwrap());
        assert_eq!(judgement.of_key(&selector, &domain), Level::Act);
        let text = matter.sentence(&"een".parse().unwrap(), Language::Dutch);
        assert!(
            text.contains("32100 berichten van 2026-03-02 tot en met 2026-03-02, en 4000 zijn"),
            "{text}"
        );
        assert!(text.contains("`zegel key roll een`"), "{text}");
    }
}
