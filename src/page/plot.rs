//! The bars of a plot, as paths of SVG.

use std::fmt::Write;

use super::history::{Day, HOURS};

/// The size of a plot in its own units: a bar of 3 and a gap of 1 for each hour.
pub(super) const WIDTH: usize = 4 * HOURS - 1;
pub(super) const HEIGHT: usize = 24;

/// Three sets of bars, one on top of the other.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Plot {
    pub(super) signed: String,
    pub(super) kept_back: String,
    pub(super) unsigned: String,
    /// The most messages in an hour, and how many hours ago that was.
    pub(super) most: u64,
    pub(super) hours_ago: usize,
}

/// What was signed stands on the ground, on that what was put off or rejected, and on top what left
/// without a signature.
pub(super) fn plot(day: &Day) -> Plot {
    let number = |place: usize| {
        let hour = day.0[place];
        u64::from(hour.signed) + u64::from(hour.unsigned)
    };
    // The last one of several, which is the nearest.
    let highest = (0..HOURS).max_by_key(|place| number(*place)).unwrap_or(0);
    let mut plot = Plot {
        signed: String::new(),
        kept_back: String::new(),
        unsigned: String::new(),
        most: number(highest),
        hours_ago: HOURS - 1 - highest,
    };
    for (place, hour) in day.0.iter().enumerate() {
        let unsigned = height(hour.left(), plot.most);
        let kept_back = height(hour.unsigned.min(hour.kept_back), plot.most);
        let signed = height(hour.signed, plot.most);
        // All together are never higher than the plot; the highest one gives way.
        let over = (signed + kept_back + unsigned).saturating_sub(HEIGHT);
        let mut parts = [signed, kept_back, unsigned];
        if let Some(highest) = parts.iter_mut().max() {
            *highest -= over;
        }
        let paths = [&mut plot.signed, &mut plot.kept_back, &mut plot.unsigned];
        let mut top = HEIGHT;
        for (path, height) in paths.into_iter().zip(parts) {
            top -= height;
            bar(path, place, top, height);
        }
    }
    plot
}

/// At least one unit for anything: one message that was not signed is to be seen.
fn height(number: u32, most: u64) -> usize {
    if number == 0 {
        return 0;
    }
    let scaled = u64::from(number) * HEIGHT as u64 / most.max(1);
    usize::try_from(scaled).unwrap_or(HEIGHT).clamp(1, HEIGHT)
}

fn bar(path: &mut String, place: usize, top: usize, height: usize) {
    if height > 0 {
        // A String can be written to at any time.
        let _ = write!(path, "M{} {top}h3v{height}h-3z", 4 * place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::history::Hour;

    fn day(hours: &[(usize, u32, u32)]) -> Day {
        let mut day = Day::default();
        for (place, signed, unsigned) in hours {
            day.0[*place] = Hour {
                signed: *signed,
                unsigned: *unsigned,
                kept_back: 0,
            };
        }
        day
    }

    #[test]
    fn nothing_has_no_bars() {
        let plot = plot(&Day::default());
        assert_eq!((plot.signed.as_str(), plot.unsigned.as_str()), ("", ""));
        assert_eq!(plot.most, 0);
    }

    #[test]
    fn bars_stand_in_their_hours() {
        let plot = plot(&day(&[(0, 100, 0), (1, 50, 50), (23, 0, 25)]));
        assert_eq!(plot.signed, "M0 0h3v24h-3zM4 12h3v12h-3z");
        assert_eq!(plot.unsigned, "M4 0h3v12h-3zM92 18h3v6h-3z");
        assert_eq!((plot.most, plot.hours_ago), (100, 22));
    }

    #[test]
    fn what_was_put_off_is_a_bar_of_its_own() {
        let mut day = day(&[(0, 2, 6)]);
        day.0[0].kept_back = 2;
        let plot = plot(&day);
        assert_eq!(plot.signed, "M0 18h3v6h-3z");
        assert_eq!(plot.kept_back, "M0 12h3v6h-3z");
        assert_eq!(plot.unsigned, "M0 0h3v12h-3z");
        // Each is seen beside millions.
        day.0[0].signed = 4_000_000_000;
        day.0[0].unsigned = 2;
        day.0[0].kept_back = 1;
        let plot = super::plot(&day);
        assert_eq!(plot.signed, "M0 2h3v22h-3z");
        assert_eq!(plot.unsigned, "M0 0h3v1h-3z");
    }

    #[test]
    fn one_message_among_millions_is_seen() {
        for (signed, unsigned) in [(4_000_000_000, 1), (1, 4_000_000_000), (u32::MAX, u32::MAX)] {
            let plot = plot(&day(&[(5, signed, unsigned)]));
            assert_eq!(plot.kept_back, "");
            assert!(!plot.signed.is_empty() && !plot.unsigned.is_empty());
            assert!(plot.unsigned.starts_with("M20 0h3"), "{plot:?}");
        }
    }
}
