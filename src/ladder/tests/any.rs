//! Whatever is known and published: nobody goes up with a hold, and every record is one that all
//! receivers take.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::dmarc::DmarcRecord;

fn any_stream() -> impl Strategy<Value = Stream> {
    let class = proptest::sample::select(Class::ALL.to_vec());
    let rule = 1_u8..=9;
    (
        class,
        rule,
        1..80_i32,
        0..3_000_u64,
        0..=100_u64,
        any::<bool>(),
        0..=100_u64,
    )
        .prop_map(|(class, rule, days, messages, share, named, below)| {
            let mut made = stream(
                &format!("s{days}"),
                class,
                days,
                messages,
                messages * share / 100,
            );
            made.rule = rule;
            made.named = named;
            for day in made.days.values_mut() {
                day.below = messages * below / 100;
                day.below_aligned = day.below.min(day.aligned) / 2;
                day.spf_only = day.aligned / 3;
                day.doubtful = (messages - day.aligned.min(messages)) / 2;
            }
            made
        })
}

fn any_record() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::sample::select(ON.to_vec()).prop_map(|(_, record)| record.to_owned()),
        2 => "v=DMARC1; ?(p|sp|np|t|pct|rua|fo|psd|adkim)=(none|quarantine|reject|y|0|50|mailto:a@b.nl)(; ?(p|sp|np|t|pct|rua|fo|psd|aspf|q)=(none|quarantine|reject|y|s|0|1:d|mailto:a@b.nl,x))*",
        1 => "v=DMARC1;.{0,40}",
    ]
}

/// What internet.nl takes: known tags, each once, the version and the policy first.
fn is_taken(record: &str) -> bool {
    let Ok(tags) = tags(record) else {
        return false;
    };
    let names: Vec<&str> = tags.iter().map(|(name, _)| name.as_str()).collect();
    let known = [
        "v", "p", "sp", "np", "adkim", "aspf", "t", "pct", "rua", "ruf", "fo", "psd",
    ];
    let once: BTreeSet<&&str> = names.iter().collect();
    record.starts_with("v=DMARC1; p=")
        && once.len() == names.len()
        && names.iter().all(|name| known.contains(name))
        && record.bytes().all(|octet| (0x20..0x7f).contains(&octet))
        && DmarcRecord::parse(record).is_ok()
}

proptest! {
    #[test]
    fn nobody_goes_up_with_a_hold_and_every_record_is_one_that_all_take(
        streams in proptest::collection::vec(any_stream(), 0..5),
        days in 0..90_i32,
        record in any_record(),
        parked in any::<bool>(),
    ) {
        let mut seen = facts(ON[usize::try_from(days).unwrap() % 5].1, days, streams);
        seen.nonexistent = (days % 2 == 0).then(BTreeSet::new);
        let published = published(&record);
        let subject = Subject { parked, published: Some(&published), reports: Some(OURS) };
        let found = advise(&seen, subject, &Thresholds::default());
        let advised = found.advice.record.clone().unwrap();
        prop_assert!(is_taken(&advised), "{advised}");
        if parked {
            prop_assert_eq!(found.advice.step, Rung::Reject);
            return Ok(());
        }
        let rung = found.step.unwrap_or(Rung::None);
        let step = found.advice.step;
        prop_assert!(step <= rung || Some(step) == rung.next());
        if step > rung {
            let held = found.holds.iter().any(|hold| hold.code.is_against(step));
            prop_assert!(!held && found.lost.is_empty());
            prop_assert!(days >= i32::from(Thresholds::default().days(rung)) || seen.is_small());
        }
        // Whoever does what is advised is asked for nothing more, but for time and streams.
        let done = Published::new(std::slice::from_ref(&advised));
        let again = advise(&seen, Subject { published: Some(&done), ..subject }, &Thresholds::default());
        if again.advice.step == step {
            prop_assert!(again.advice.action != Action::Publish || again.advice.record != Some(advised));
        }
    }
}
