//! Reads what the keeper counted of signatures.

use std::collections::{BTreeMap, BTreeSet};

use super::coverage::{COUNTED, Signatures, number};
use crate::{
    keystore::{Keystore, KeystoreError},
    observe::tally::SignedDay,
};

/// What was signed up to `today`, in days since 1970, by the organisations that are `wanted`. Of a
/// day whose file can't be read nothing is known.
///
/// # Errors
///
/// When the files can't be listed or opened.
pub fn signatures(
    keystore: &Keystore,
    today: i32,
    wanted: impl Fn(&str) -> bool,
) -> Result<Signatures, KeystoreError> {
    let days = keystore.counted_days()?;
    let kept: BTreeSet<i32> = days.iter().copied().map(number).collect();
    let mut read = BTreeMap::new();
    for date in days {
        let day = number(date);
        if !(today - COUNTED..=today).contains(&day) {
            continue;
        }
        // It may be removed by now.
        let Some(content) = keystore.read_counts(date)? else {
            continue;
        };
        if let Ok(mut counted) = SignedDay::parse(&content) {
            counted.organisations.retain(|id, _| wanted(id));
            counted.organisations.shrink_to_fit();
            read.insert(day, counted);
        }
    }
    Ok(Signatures::new(&kept, read, today))
}
