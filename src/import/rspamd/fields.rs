//! Which header fields are signed.

use super::{
    Module, say_unreadable,
    ucl::{Item, Value},
};
use crate::import::{finding::Code, headers::HeaderChanges, setup::Setup};

/// `sign_headers`: names with colons between them, of which those with `(o)` are signed once
/// more than they are there, and those with `(x)` too, if they are there.
pub(super) fn read(module: &Module<'_>, setup: &mut Setup) {
    let Some(item) = module.get("sign_headers") else {
        return;
    };
    let mut changes = HeaderChanges::default();
    for name in names(item, setup) {
        let place = &item.place;
        if let Some(name) = name.strip_prefix("(o)") {
            changes.oversign(name.trim(), place, setup);
        } else if let Some(name) = name.strip_prefix("(x)") {
            changes.oversign_if_present(name.trim(), place, setup);
        } else {
            changes.sign(&name, place, setup);
        }
    }
    setup.hints.headers = changes.finish();
    setup.say(
        Code::DroppedOption,
        &item.place,
        "sign_headers replaces the list of rspamd",
        "Zegel signs what is in its own list and what is named here",
    );
}

fn names(item: &Item, setup: &mut Setup) -> Vec<String> {
    let texts: Vec<&String> = match &item.value {
        Value::Text(text) => vec![text],
        Value::List(values) => (values.iter())
            .filter_map(|value| match value {
                Value::Text(text) => Some(text),
                _ => None,
            })
            .collect(),
        Value::Object(_) => Vec::new(),
    };
    if texts.is_empty() {
        say_unreadable(item, "names with colons between them are needed", setup);
    }
    let names = texts.into_iter().flat_map(|text| text.split(':'));
    names
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}
