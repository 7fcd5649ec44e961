//! `dkim_signing.conf` of rspamd, and the maps that it names.

mod map;
mod networks;
mod options;
mod templates;
mod ucl;

use std::{
    cell::Cell,
    io,
    path::{Path, PathBuf},
};

use self::{
    templates::Keys,
    ucl::{Item, Object, Value},
};
use super::{
    files::Files,
    finding::{Code, Finding, Place},
    setup::Setup,
    signing_table::{self, Tables},
    table::{Comparison, DataSet},
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
    let object = ucl::parse(file, &text, (&folder, &include))
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
    options::report(&module, &mut setup.findings);
    networks::read(&module, &mut setup);
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
        let folder = self.folder.to_string_lossy();
        let text = text
            .replace("${LOCAL_CONFDIR}", &folder)
            .replace("$LOCAL_CONFDIR", &folder)
            .replace("$CONFDIR", &folder);
        self.folder.join(text)
    }
}

fn read_tables(module: &Module<'_>, setup: &mut Setup) {
    let mut read = |key| {
        let item = module.get(key)?;
        map::entries(module, item, &mut setup.findings)
    };
    let (Some(signing), Some(mut keys)) = (read("signing_table"), read("key_table")) else {
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
fn unreadable(item: &Item, what: &str) -> Finding {
    let found = format!("{}: {what}", item.key);
    Finding::at(Code::BadEntry, &item.place, found, "it was left out")
}

fn bad_domain(text: &str, place: &Place) -> Finding {
    let found = format!("{text:?} is no domain name");
    Finding::at(Code::BadDomain, place, found, "it was left out")
}
