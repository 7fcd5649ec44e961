//! What several pages show alike.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::{
    keys::State,
    page::{
        history::Day,
        plot::{self, plot},
        words,
    },
    words::Level,
};

/// The bars of a day; in words for those who do not see them.
pub(super) fn bars(day: &Day) -> Markup {
    let bars = plot(day);
    let totals = day.totals();
    let mut label = format!(
        "{} signed and {} not signed in the last 24 hours",
        totals.signed,
        totals.left()
    );
    if totals.kept_back > 0 {
        let kept_back = totals.kept_back.to_string();
        label += &[", ", &kept_back, " put off or rejected"].concat();
    }
    let size = format!("0 0 {} {}", plot::WIDTH, plot::HEIGHT);
    html! {
        svg.bars viewBox=(size) preserveAspectRatio="none" role="img" aria-label=(label) {
            path.ground d=(format!("M0 {}h{}", plot::HEIGHT, plot::WIDTH)) {}
            path.signed d=(bars.signed) {}
            path.kept d=(bars.kept_back) {}
            path.unsigned d=(bars.unsigned) {}
        }
    }
}

/// How many messages the highest bar is, where there is no room for more.
pub(super) fn scale(day: &Day) -> Markup {
    let most = plot(day).most;
    html! {
        @if most > 0 { span.scale.muted { "up to " (words::number(most)) " an hour" } }
    }
}

/// The bars with their numbers, as a picture of its own.
pub(super) fn figure(day: &Day, started: Timestamp, now: Timestamp) -> Markup {
    let totals = day.totals();
    let bars_of = plot(day);
    let hour = |hours_ago: i64| {
        let second = (now.as_second().div_euclid(3600) - hours_ago) * 3600;
        let time = Timestamp::from_second(second).unwrap_or(now);
        time.strftime("%H:%M").to_string()
    };
    let highest = i64::try_from(bars_of.hours_ago).unwrap_or_default();
    html! {
        figure.day {
            figcaption {
                span.key-signed { (words::number(totals.signed)) " signed" }
                span.key-unsigned { (words::number(totals.left())) " not signed" }
                @if totals.kept_back > 0 {
                    span.key-kept { (words::number(totals.kept_back)) " put off or rejected" }
                }
                span.muted {
                    "in the last 24 hours"
                    @if bars_of.most > 0 {
                        "; at most " (words::number(bars_of.most)) " in an hour, from " (hour(highest))
                    }
                    @if now.duration_since(started).as_hours() < 24 {
                        "; counted since " (words::time(started))
                    }
                }
            }
            @if bars_of.most > 0 {
                p.scale aria-hidden="true" { (words::number(bars_of.most)) " an hour" }
            }
            (bars(day))
            p.hours aria-hidden="true" {
                span { (hour(23)) } span { (hour(12)) } span { (hour(0)) }
            }
        }
    }
}

/// A state with its mark.
pub(super) fn state(state: State) -> Markup {
    html! { span class=(format!("state {state}")) { (state) } }
}

/// How things stand, as a word with its mark.
pub(super) fn level(level: Level) -> Markup {
    html! { strong class=(format!("level {level}")) { (words::level(level)) } }
}

/// A text with what is typed between backquotes.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (place, piece) in text.split('`').enumerate() {
            @if place % 2 == 0 { (piece) } @else { code { (piece) } }
        }
    }
}

/// A number; of nothing one that does not stand out.
pub(super) fn number(number: u64) -> Markup {
    html! {
        @if number == 0 { span.muted { "0" } } @else { (words::number(number)) }
    }
}

/// A moment, for people and for machines.
pub(super) fn time(time: Timestamp) -> Markup {
    html! { time datetime=(words::machine_time(time)) { (words::time(time)) } }
}
