//! Maps: files of lines, or lists in the configuration.

use super::{
    Module,
    ucl::{Item, Value},
    unreadable,
};
use crate::import::{
    finding::{Code, Finding},
    table::{self, Entry},
};

/// The lines of a map; nothing when it is not here, which is said.
pub(super) fn entries(
    module: &Module<'_>,
    item: &Item,
    findings: &mut Vec<Finding>,
) -> Option<Vec<Entry>> {
    match &item.value {
        Value::Text(text) => file(module, item, text, findings),
        Value::List(values) => {
            let mut entries = Vec::new();
            for value in values {
                match value {
                    // One that is an address of a file is a file.
                    Value::Text(text) if is_path(text) => {
                        entries.extend(file(module, item, text, findings).unwrap_or_default());
                    }
                    Value::Text(text) => {
                        let lines = table::entries(item.place.file.to_path_buf(), text);
                        entries.extend(lines.into_iter().map(|entry| Entry {
                            place: item.place.clone(),
                            ..entry
                        }));
                    }
                    _ => findings.push(unreadable(item, "a list of texts is needed")),
                }
            }
            Some(entries)
        }
        Value::Object(object) => {
            let each = object.items.iter().filter_map(|inner| match &inner.value {
                Value::Text(value) => Some(Entry {
                    key: inner.key.clone(),
                    value: value.clone(),
                    place: inner.place.clone(),
                }),
                _ => None,
            });
            Some(each.collect())
        }
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with(['/', '$']) || text.contains("://")
}

fn file(
    module: &Module<'_>,
    item: &Item,
    text: &str,
    findings: &mut Vec<Finding>,
) -> Option<Vec<Entry>> {
    let path = match text.split_once("://") {
        None => text,
        Some(("file" | "fallback+file", path)) => path,
        Some((kind, _)) => {
            findings.push(Finding::at(
                Code::DataSet,
                &item.place,
                format!("{} is asked of a server ({kind})", item.key),
                "nothing in it was taken over; write its content into a file, name that here in \
                 a copy of this configuration, and import the copy",
            ));
            return None;
        }
    };
    let path = module.path(path);
    match module.files.read(&path) {
        Ok(text) => Some(table::entries(path, &text)),
        Err(error) => {
            findings.push(Finding::at(
                Code::UnreadableFile,
                &item.place,
                format!("{}: {} cannot be read: {error}", item.key, path.display()),
                "nothing in it was taken over; see that it can be read, and try again",
            ));
            None
        }
    }
}
