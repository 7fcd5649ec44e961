//! The part of the list that is wanted: search, order, and one page of it.

use std::{cmp::Reverse, collections::HashMap};

use super::{
    history::Day,
    overview::{Overview, Row},
    request::{Sort, Wish},
};
use crate::{keys::Urgency, names::OrganisationId, observe::metrics::Totals};

/// Rows on a page. A whole list of 2,000 has megabytes, which nobody reads.
pub(super) const ROWS: usize = 100;

/// One page of the list.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) rows: Vec<Entry<'a>>,
    /// How many are found, on all pages.
    pub(super) found: usize,
    /// Organisations at all.
    pub(super) all: usize,
    /// Of those that the search finds, how many are of each urgency, as [`Urgency::ALL`].
    pub(super) tally: [usize; Urgency::ALL.len()],
    /// From 1.
    pub(super) page: usize,
    pub(super) pages: usize,
}

/// A row with its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) row: &'a Row,
    /// None without mail.
    pub(super) day: Option<&'a Day>,
    totals: Totals,
}

pub(super) fn select<'a>(
    overview: &'a Overview,
    days: &'a HashMap<OrganisationId, Day>,
    wish: &Wish,
) -> Part<'a> {
    let rows = overview.rows().iter();
    let mut tally = [0; Urgency::ALL.len()];
    let mut found: Vec<Entry<'a>> = rows
        .filter(|row| matches(row, &wish.search))
        .inspect(|row| tally[row.standing.urgency as usize] += 1)
        .filter(|row| wish.only.is_none_or(|only| row.standing.urgency == only))
        .map(|row| {
            let day = days.get(&row.organisation.id);
            let totals = day.map(Day::totals).unwrap_or_default();
            Entry { row, day, totals }
        })
        .collect();
    sort(&mut found, wish);
    let pages = found.len().div_ceil(ROWS).max(1);
    let page = wish.page.min(pages);
    let number = found.len();
    Part {
        rows: found
            .into_iter()
            .skip((page - 1) * ROWS)
            .take(ROWS)
            .collect(),
        found: number,
        all: overview.rows().len(),
        tally,
        page,
        pages,
    }
}

/// Whether the words, in lower case, are in the id, the name or a domain.
fn matches(row: &Row, words: &str) -> bool {
    let organisation = &row.organisation;
    let mut domains = organisation.domains.iter().chain(&organisation.parked);
    words.is_empty()
        || organisation.id.as_str().contains(words)
        || organisation.name.to_lowercase().contains(words)
        || domains.any(|domain| {
            domain.as_str().contains(words)
                || (domain.as_str().contains("xn--") && domain.unicode().contains(words))
        })
}

/// Numbers go from the largest, all else from the smallest. They come in the order of their
/// ids, and what is equal stays so.
fn sort(found: &mut [Entry<'_>], wish: &Wish) {
    if wish.reversed {
        // And once more below: what is equal is then as it was.
        found.reverse();
    }
    match wish.sort {
        Sort::Name => found.sort_by_cached_key(|one| one.row.organisation.name.to_lowercase()),
        // Within one urgency those with most unsigned mail come first.
        Sort::Urgency => {
            found.sort_by_key(|one| (one.row.standing.urgency, Reverse(one.totals.unsigned)));
        }
        Sort::Checked => found.sort_by_key(|one| one.row.standing.checked),
        Sort::Signed => found.sort_by_key(|one| Reverse(one.totals.signed)),
        Sort::Unsigned => found.sort_by_key(|one| Reverse(one.totals.unsigned)),
    }
    if wish.reversed {
        found.reverse();
    }
}

#[cfg(test)]
mod tests;
