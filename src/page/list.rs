//! The part of the list that is wanted: search, order, and one page of it.

use std::{cmp::Reverse, collections::HashMap};

use super::{
    history::Day,
    overview::{Overview, Row},
    request::{Sort, Wish},
};
use crate::{judgement::Judgement, names::OrganisationId, observe::metrics::Totals, words::Level};

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
    /// Of those that the search finds, how many are of each level, as [`Level::ALL`].
    pub(super) tally: [usize; Level::ALL.len()],
    /// From 1.
    pub(super) page: usize,
    pub(super) pages: usize,
}

/// A row with its numbers.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) row: &'a Row,
    /// With what the signer says.
    pub(super) judgement: Judgement,
    /// None without mail.
    pub(super) day: Option<&'a Day>,
    totals: Totals,
}

/// `judge` gives how a row stands now.
pub(super) fn select<'a>(
    overview: &'a Overview,
    days: &'a HashMap<OrganisationId, Day>,
    wish: &Wish,
    judge: impl Fn(&Row) -> Judgement,
) -> Part<'a> {
    let rows = overview.rows().iter();
    let mut tally = [0; Level::ALL.len()];
    let mut found: Vec<Entry<'a>> = rows
        .filter(|row| matches(row, &wish.search))
        .map(|row| (row, judge(row)))
        .inspect(|(_, judgement)| tally[judgement.level as usize] += 1)
        .filter(|(_, judgement)| wish.only.is_none_or(|only| judgement.level == only))
        .map(|(row, judgement)| {
            let day = days.get(&row.organisation.id);
            let totals = day.map(Day::totals).unwrap_or_default();
            Entry {
                row,
                judgement,
                day,
                totals,
            }
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
        // Within one level those with most unsigned mail come first.
        Sort::Level => {
            found.sort_by_key(|one| (one.judgement.level, Reverse(one.totals.left())));
        }
        Sort::Checked => found.sort_by_key(|one| one.row.standing.checked),
        Sort::Signed => found.sort_by_key(|one| Reverse(one.totals.signed)),
        Sort::Unsigned => found.sort_by_key(|one| Reverse(one.totals.left())),
    }
    if wish.reversed {
        found.reverse();
    }
}

#[cfg(test)]
mod tests;
