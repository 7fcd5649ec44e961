//! What `zegel dmarc overview` found of each domain, and how many that makes.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize, Serializer};

/// How many things are looked at.
pub(super) const MEASURES: usize = 7;
/// Their names, in the order of [`ToldDomain::cells`].
pub(super) const NAMES: [&str; MEASURES] = [
    "spf", "dkim", "dmarc", "strict", "dnssec", "tlsa", "mta_sts",
];

/// Whether something is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cell {
    Yes,
    No,
    /// There was no answer.
    Unknown,
    /// It is nothing for such a domain.
    NotNeeded,
}

impl Cell {
    pub(super) fn of<E>(answer: &Result<bool, E>) -> Self {
        match answer {
            Ok(true) => Self::Yes,
            Ok(false) => Self::No,
            Err(_) => Self::Unknown,
        }
    }

    /// Whether it is there in all of these.
    pub(super) fn all(cells: &[Self]) -> Self {
        [Self::No, Self::Unknown]
            .into_iter()
            .find(|cell| cells.contains(cell))
            .unwrap_or(Self::Yes)
    }

    /// Whether it is there in any of these.
    pub(super) fn any(cells: &[Self]) -> Self {
        [Self::Yes, Self::Unknown]
            .into_iter()
            .find(|cell| cells.contains(cell))
            .unwrap_or(Self::No)
    }

    fn is_needed(self) -> bool {
        self != Self::NotNeeded
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
            Self::NotNeeded => "",
        })
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
            Self::Unknown | Self::NotNeeded => serializer.serialize_none(),
        }
    }
}

/// A domain. What it does not need is left out.
#[derive(Serialize)]
pub(super) struct ToldDomain {
    pub(super) domain: String,
    pub(super) organisation: String,
    pub(super) parked: bool,
    pub(super) spf: Cell,
    #[serde(skip_serializing_if = "is_not_needed")]
    pub(super) dkim: Cell,
    pub(super) dmarc: Cell,
    pub(super) strict: Cell,
    pub(super) dnssec: Cell,
    #[serde(skip_serializing_if = "is_not_needed")]
    pub(super) tlsa: Cell,
    #[serde(skip_serializing_if = "is_not_needed")]
    pub(super) mta_sts: Cell,
    /// Why something is unknown.
    pub(super) problem: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_not_needed(cell: &Cell) -> bool {
    !cell.is_needed()
}

impl ToldDomain {
    /// In the order of [`NAMES`].
    pub(super) fn cells(&self) -> [Cell; MEASURES] {
        [
            self.spf,
            self.dkim,
            self.dmarc,
            self.strict,
            self.dnssec,
            self.tlsa,
            self.mta_sts,
        ]
    }

    pub(super) fn is_known(&self) -> bool {
        !self.cells().contains(&Cell::Unknown)
    }
}

/// How many domains have something.
#[derive(Deserialize, Serialize)]
pub(super) struct Figure {
    /// Those that have it.
    pub(super) count: u32,
    /// Those that need it, and of which it is known.
    pub(super) of: u32,
    /// Those that need it, and of which nobody knows.
    pub(super) unknown: u32,
    /// Rounded to a tenth; none of none.
    pub(super) percent: Option<f64>,
    /// Against the earlier document.
    pub(super) count_change: Option<i64>,
    /// In points.
    pub(super) percent_change: Option<f64>,
}

impl Figure {
    fn count(cells: impl Iterator<Item = Cell>) -> Self {
        let (mut count, mut of, mut unknown) = (0_u32, 0_u32, 0_u32);
        for cell in cells {
            match cell {
                Cell::Yes => {
                    count += 1;
                    of += 1;
                }
                Cell::No => of += 1,
                Cell::Unknown => unknown += 1,
                Cell::NotNeeded => {}
            }
        }
        let percent = (of > 0).then(|| tenth(f64::from(count) / f64::from(of) * 100.0));
        Self {
            count,
            of,
            unknown,
            percent,
            count_change: None,
            percent_change: None,
        }
    }

    fn compare(&mut self, earlier: &Self) {
        self.count_change = Some(i64::from(self.count) - i64::from(earlier.count));
        let percents = self.percent.zip(earlier.percent);
        self.percent_change = percents.map(|(now, then)| tenth(now - then));
    }
}

/// Rounded.
fn tenth(number: f64) -> f64 {
    let rounded = (number * 10.0).round() / 10.0;
    // No -0.0.
    if rounded == 0.0 { 0.0 } else { rounded }
}

/// The figures of some of the domains.
#[derive(Deserialize, Serialize)]
pub(super) struct Part {
    pub(super) domains: u32,
    pub(super) spf: Figure,
    pub(super) dkim: Figure,
    pub(super) dmarc: Figure,
    pub(super) strict: Figure,
    pub(super) dnssec: Figure,
    pub(super) tlsa: Figure,
    pub(super) mta_sts: Figure,
}

impl Part {
    fn of<'a>(domains: impl Iterator<Item = &'a ToldDomain>) -> Self {
        let rows: Vec<[Cell; MEASURES]> = domains.map(ToldDomain::cells).collect();
        let figures: [Figure; MEASURES] =
            std::array::from_fn(|place| Figure::count(rows.iter().map(|row| row[place])));
        let [spf, dkim, dmarc, strict, dnssec, tlsa, mta_sts] = figures;
        Self {
            domains: u32::try_from(rows.len()).unwrap_or(u32::MAX),
            spf,
            dkim,
            dmarc,
            strict,
            dnssec,
            tlsa,
            mta_sts,
        }
    }

    /// In the order of [`NAMES`].
    pub(super) fn figures(&self) -> [&Figure; MEASURES] {
        [
            &self.spf,
            &self.dkim,
            &self.dmarc,
            &self.strict,
            &self.dnssec,
            &self.tlsa,
            &self.mta_sts,
        ]
    }

    fn compare(&mut self, earlier: &Self) {
        let own = [
            &mut self.spf,
            &mut self.dkim,
            &mut self.dmarc,
            &mut self.strict,
            &mut self.dnssec,
            &mut self.tlsa,
            &mut self.mta_sts,
        ];
        for (figure, earlier) in own.into_iter().zip(earlier.figures()) {
            figure.compare(earlier);
        }
    }
}

#[derive(Deserialize, Serialize)]
pub(super) struct Totals {
    pub(super) all: Part,
    pub(super) sending: Part,
    pub(super) parked: Part,
}

impl Totals {
    pub(super) fn of(domains: &[ToldDomain]) -> Self {
        let part = |parked: bool| Part::of(domains.iter().filter(move |one| one.parked == parked));
        Self {
            all: Part::of(domains.iter()),
            sending: part(false),
            parked: part(true),
        }
    }

    pub(super) fn compare(&mut self, earlier: &Self) {
        self.all.compare(&earlier.all);
        self.sending.compare(&earlier.sending);
        self.parked.compare(&earlier.parked);
    }
}

/// An earlier document of `--json`, as far as it is read.
#[derive(Deserialize)]
pub(super) struct Earlier {
    pub(super) version: u8,
    pub(super) date: Date,
    pub(super) organisation: Option<String>,
    pub(super) totals: Totals,
}
