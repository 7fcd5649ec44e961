//! `dkim_signing.conf` of rspamd, and the maps that it names.

mod fields;
mod keys;
mod networks;
mod options;
mod ucl;

use std::{
    cell::Cell,
    io,
    path::{Path, PathBuf},
};

use self::{
    keys::Keys,
    ucl::{Item, Object, Value},
};
use super::{
    Files,
    finding::Code,
    setup::Setup,
    signing_table::{self, Tables},
    table::{self, Comparison, DataSet, Entry},
};
/// Files that include each other would be read without end.
const INCLUDED_FILES: usize = 100;

/// Reads it all.
///
/// # Errors
/// When the configuration cannot be read, or is not understood: the error says where.
pub fn read(file: &Path, files: &dyn Files) -> io::Result<Setup> {
    let text = files.read(file)?;
    let folder = configuration_folder(file);
    let included = Cell::new(0);
    let include = |path: &Path| {
        included.set(included.get() + 1);
        if included.get() > INCLUDED_FILES {
            return Err("more than 100 files are included".to_owned());
        }
        match files.read(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    };
    let object = ucl::parse(file, &text, &folder, &include)
        .map_err(|fault| io::Error::other(format!("line {}: {}", fault.place, fault.text)))?;
    // In modules.d it stands in an object of this name.
    let object = match object.get("dkim_signing").map(|item| &item.value) {
        Some(Value::Object(inner)) => inner.clone(),
        _ => object,
    };
    let module = Module {
        object,
        folder,
        files,
    };
    let mut setup = Setup::default();
    options::report(&module, &mut setup);
    networks::read(&module, &mut setup);
    fields::read(&module, &mut setup);
    if module.get("signing_table").is_some() && module.get("key_table").is_some() {
        read_tables(&module, &mut setup);
    } else {
        Keys::new(&module, &mut setup).read(&mut setup);
    }
    if !module.is_on("enabled", true) {
        for signing in &mut setup.signings {
            signing.in_use = false;
        }
    }
    Ok(setup)
}

/// The folder above `local.d`, `override.d` and `modules.d`.
fn configuration_folder(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new("/"));
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("local.d" | "override.d" | "modules.d") => folder.parent().unwrap_or(folder),
        _ => folder,
    }
    .to_owned()
}

/// The settings of the module.
struct Module<'a> {
    object: Object,
    folder: PathBuf,
    files: &'a dyn Files,
}

impl Module<'_> {
    fn get(&self, key: &str) -> Option<&Item> {
        self.object.get(key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn is_on(&self, key: &str, default: bool) -> bool {
        self.text(key)
            .map_or(default, |text| matches!(text, "true" | "yes" | "on"))
    }

    fn path(&self, text: &str) -> PathBuf {
        self.folder.join(ucl::with_folder(text, &self.folder))
    }

    /// The lines of a map, be it a file or a list in the configuration; nothing when it is not
    /// here, which is said.
    fn entries(&self, key: &str, setup: &mut Setup) -> Option<Vec<Entry>> {
        let item = self.get(key)?;
        match &item.value {
            Value::Text(text) => self.lines_of(item, text, setup),
            Value::List(values) => {
                let mut entries = Vec::new();
                for value in values {
                    match value {
                        // One that is an address of a file is a file.
                        Value::Text(text)
                            if text.starts_with(['/', '$']) || text.contains("://") =>
                        {
                            entries.extend(self.lines_of(item, text, setup).unwrap_or_default());
                        }
                        Value::Text(text) => {
                            let lines = table::entries(item.place.file.to_path_buf(), text);
                            entries.extend(lines.into_iter().map(|entry| Entry {
                                place: item.place.clone(),
                                ..entry
                            }));
                        }
                        _ => say_unreadable(item, "a list of texts is needed", setup),
                    }
                }
                Some(entries)
            }
            Value::Object(object) => {
                let each = object.items.iter().filter_map(|inner| match &inner.value {
                    Value::Text(value) => Some(Entry {
                        key: inner.key.clone(),
                        value: value.clone(),
                        indented: false,
                        place: inner.place.clone(),
                    }),
                    _ => None,
                });
                Some(each.collect())
            }
        }
    }

    fn lines_of(&self, item: &Item, text: &str, setup: &mut Setup) -> Option<Vec<Entry>> {
        let path = match text.split_once("://") {
            None => text,
            Some(("file" | "fallback+file", path)) => path,
            Some((kind, _)) => {
                setup.say(
                    Code::DataSet,
                    &item.place,
                    format!("{} is asked of a server ({kind})", item.key),
                    "nothing in it was taken over; write its content into a file, name that here \
                     in a copy of this configuration, and import the copy",
                );
                return None;
            }
        };
        setup.lines_of(self.path(path), self.files, &item.key, &item.place)
    }
}

fn read_tables(module: &Module<'_>, setup: &mut Setup) {
    let mut read = |key| module.entries(key, setup);
    let (Some(mut signing), Some(mut keys)) = (read("signing_table"), read("key_table")) else {
        return;
    };
    if let Some(selector) = module.text("selector") {
        for entry in &mut keys {
            if let Some((domain, key)) = entry.value.split_once(':')
                && !key.contains(':')
            {
                entry.value = format!("{domain}:{selector}:{key}");
            }
        }
    }
    for entry in signing.iter_mut().chain(&mut keys) {
        entry.indented = false;
    }
    let set = |entries| DataSet::new(entries, Comparison::Wildcards);
    let (signing, keys) = (set(signing), set(keys));
    let tables = Tables {
        signing: &signing,
        keys: &keys,
        multiple: false,
        resolve: &|path| module.path(path),
    };
    signing_table::read(&tables, setup);
}

/// What is wrong with the value of a setting.
fn say_unreadable(item: &Item, what: &str, setup: &mut Setup) {
    let found = format!("{}: {what}", item.key);
    setup.say(Code::BadEntry, &item.place, found, "it was left out");
}
