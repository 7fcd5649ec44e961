//! A page of metrics: the part of OpenMetrics 1.0 that ours are written in. Anything else is
//! refused, and so is a page that is cut off.

use std::{collections::BTreeMap, str::Chars};

/// The series of a page, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Page(Vec<Sample>);

/// A series and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// Why a page is none.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum PageError {
    #[error("line {0} is not one of a page of metrics")]
    Line(usize),
    #[error("the page of metrics is not whole: it does not end with # EOF")]
    End,
}

impl Page {
    pub(super) fn parse(text: &str) -> Result<Self, PageError> {
        let mut samples = Vec::new();
        for (place, line) in text.split_terminator('\n').enumerate() {
            if line == "# EOF" {
                return Ok(Self(samples));
            }
            if !line.starts_with('#') {
                samples.push(sample(line).ok_or(PageError::Line(place + 1))?);
            }
        }
        Err(PageError::End)
    }

    /// The series of this name.
    pub(super) fn of(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// The value of a series without labels.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.of(name).next().map(|sample| sample.value)
    }
}

impl Sample {
    /// The value of a label; empty if it has none, which is the same to Prometheus.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// As a number of things.
    pub(super) fn count(&self) -> u64 {
        whole(self.value)
    }
}

/// A number of things.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "below 0 it is 0, as NaN is; what is too much is the most"
)]
pub(super) fn whole(value: f64) -> u64 {
    value as u64
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    if !is_name(name, true) {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value(rest.strip_prefix(' ')?)?,
    })
}

fn is_name(text: &str, colons: bool) -> bool {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|one| is_good(one) || colons && one == ':')
}

/// What stands between the braces, and what is behind them.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((labels, rest));
    }
    loop {
        let (name, behind) = rest.split_once("=\"")?;
        let mut characters = behind.chars();
        let value = quoted(&mut characters)?;
        let is_new = labels.insert(name.to_owned(), value).is_none();
        if !is_new || !is_name(name, false) {
            return None;
        }
        rest = characters.as_str();
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        rest = rest.strip_prefix(',')?;
    }
}

/// Up to the closing quote, which is taken.
fn quoted(characters: &mut Chars<'_>) -> Option<String> {
    let mut text = String::new();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(match characters.next()? {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            other => text.push(other),
        }
    }
}

fn value(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ if text
            .contains(|letter: char| !letter.is_ascii_digit() && !"+-.eE".contains(letter)) =>
        {
            None
        }
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};

    use super::*;
    use crate::observe::metrics::Metrics;

    #[test]
    fn our_own_page_is_one() {
        let metrics = Metrics::new();
        let organisation = metrics.organisation(&"een".parse().unwrap());
        organisation.signed(&"s1".parse().unwrap(), "rsa-sha256");
        metrics.listener("a\"b\\c\nd").connection_refused();
        let page = Page::parse(&metrics.render().unwrap()).unwrap();
        let signed: Vec<_> = page.of("zegel_signed_total").collect();
        assert_eq!(signed.len(), 1);
        assert_eq!(signed[0].label("organisation"), "een");
        assert_eq!(signed[0].label("selector"), "s1");
        assert_eq!(signed[0].label("nothing"), "");
        assert_eq!(signed[0].count(), 1);
        let refused = page.of("zegel_connections_refused_total").next().unwrap();
        assert_eq!(refused.label("listener"), "a\"b\\c\nd");
        assert_eq!(page.value("zegel_last_reload_successful"), Some(1.0));
        let buckets = page.of("zegel_sign_seconds_bucket");
        assert!(buckets.last().is_some_and(|one| one.label("le") == "+Inf"));
    }

    #[test]
    fn what_is_no_page() {
        for (text, error) in [
            ("", PageError::End),
            ("a 1\n", PageError::End),
            ("a 1\n\n# EOF", PageError::Line(2)),
            ("# TYPE a counter\na_total 1", PageError::End),
            ("a\n# EOF", PageError::Line(1)),
            ("a 1 2\n# EOF", PageError::Line(1)),
            ("a  1\n# EOF", PageError::Line(1)),
            ("1a 1\n# EOF", PageError::Line(1)),
            ("a{b=\"c\"}1\n# EOF", PageError::Line(1)),
            ("a{b=\"c\" 1\n# EOF", PageError::Line(1)),
            ("a{b=\"\\x\"} 1\n# EOF", PageError::Line(1)),
            ("a{b=\"c\",b=\"d\"} 1\n# EOF", PageError::Line(1)),
            ("a{b=\"c\",} 1\n# EOF", PageError::Line(1)),
            ("a infinity\n# EOF", PageError::Line(1)),
            ("a 0x10\n# EOF", PageError::Line(1)),
            ("<html>\n# EOF", PageError::Line(1)),
        ] {
            assert_eq!(Page::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_number_of_things() {
        for (value, number) in [
            (2.9, 2),
            (-1.0, 0),
            (f64::NAN, 0),
            (f64::INFINITY, u64::MAX),
        ] {
            assert_eq!(whole(value), number);
        }
    }

    fn written(sample: &Sample) -> String {
        let escaped = |text: &str| {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            text.replace('\n', "\\n")
        };
        let labels = sample.labels.iter();
        let labels: Vec<String> = labels
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        format!("{}{{{}}} {}\n", sample.name, labels.join(","), sample.value)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            samples in proptest::collection::vec(
                ("[a-z_:][a-z0-9_:]{0,8}",
                 btree_map("[a-z_][a-z0-9_]{0,8}", any::<String>(), 0..4),
                 -1e12..1e12_f64),
                0..8,
            )
        ) {
            let samples: Vec<Sample> = samples
                .into_iter()
                .map(|(name, labels, value)| Sample { name, labels, value })
                .collect();
            let text: String = samples.iter().map(written).collect();
            prop_assert_eq!(Page::parse(&format!("{text}# EOF\n")), Ok(Page(samples)));
        }

        #[test]
        fn no_text_is_too_odd(text in "[a-c{}=\",\\\\\n #0-9.]{0,60}|\\PC{0,60}") {
            let _ = Page::parse(&text);
            let _ = Page::parse(&format!("{text}\n# EOF\n"));
        }
    }
}
