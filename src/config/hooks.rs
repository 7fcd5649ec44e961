//! The `[hooks]` table: the program that is told of changes.

use std::{cell::Cell, ops::RangeInclusive, path::Path, time::Duration};

use super::{
    problem::Fault,
    section::{Section, duration, quoted, text},
    source::Node,
};

const BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);

/// The `[hooks]` table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HookSettings {
    /// The program with an absolute path, and its arguments; empty: nobody is told.
    pub command: Vec<String>,
    /// How long it may take for one document.
    pub timeout: Duration,
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            timeout: Duration::from_secs(30),
        }
    }
}

pub(super) fn read(mut section: Section<'_>) -> HookSettings {
    let defaults = HookSettings::default();
    let is_first = Cell::new(true);
    let word = |node: &Node| {
        let word = text(node)?;
        if is_first.take() && !Path::new(word).is_absolute() {
            let text = format!("{} is no absolute path", quoted(word));
            return Err(Fault::new(
                text,
                "write the whole path of the program, such as /usr/local/bin/on-zegel",
            ));
        }
        Ok(word.to_owned())
    };
    let settings = HookSettings {
        command: section.values("command", word),
        timeout: section.read_or("timeout", defaults.timeout, |node| duration(node, &BOUNDS)),
    };
    section.finish();
    settings
}
