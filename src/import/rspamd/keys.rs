//! Keys by domain: `domain { }`, `selector_map`, `path_map`, and the path with `$domain` and
//! `$selector` in it, of which those domains are taken whose key files are there.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Component, Path, PathBuf},
};

use super::{
    Module, say_unreadable,
    ucl::{Object, Value},
};
use crate::{
    import::{
        finding::{Code, Place},
        setup::{KeySource, Setup, Signing},
        table::Entry,
    },
    names::DomainName,
};

const PATH: &str = "/var/lib/rspamd/dkim/$domain.$selector.key";
const SELECTOR: &str = "dkim";

pub(super) struct Keys<'a> {
    module: &'a Module<'a>,
    selectors: BTreeMap<String, Entry>,
    paths: BTreeMap<String, Entry>,
}

/// What names a key; either half may be left to a map or to the default.
#[derive(Default)]
struct Pair {
    selector: Option<String>,
    path: Option<String>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(module: &'a Module<'a>, setup: &mut Setup) -> Self {
        let mut read = |key| {
            let entries = module.entries(key, setup).unwrap_or_default().into_iter();
            entries
                .map(|entry| (entry.key.to_lowercase(), entry))
                .collect()
        };
        Self {
            module,
            selectors: read("selector_map"),
            paths: read("path_map"),
        }
    }

    pub(super) fn read(&self, setup: &mut Setup) {
        let mut seen = HashSet::new();
        for item in &self.module.object.items {
            if item.key != "domain" {
                continue;
            }
            let Value::Object(domains) = &item.value else {
                say_unreadable(item, "an object is needed: domain { ... }", setup);
                continue;
            };
            for domain in &domains.items {
                let Value::Object(settings) = &domain.value else {
                    say_unreadable(domain, "an object is needed", setup);
                    continue;
                };
                seen.insert(domain.key.to_lowercase());
                self.add(&domain.key, pairs(settings), &domain.place, setup);
            }
        }
        for (name, entry) in self.selectors.iter().chain(&self.paths) {
            if seen.insert(name.clone()) {
                self.add(name, vec![Pair::default()], &entry.place, setup);
            }
        }
        if self.module.is_on("try_fallback", true) {
            self.fall_back(&seen, setup);
        }
    }

    /// The domains whose keys lie where the path says.
    fn fall_back(&self, seen: &HashSet<String>, setup: &mut Setup) {
        let template = self.module.text("path").unwrap_or(PATH);
        let selector = self.module.text("selector").unwrap_or(SELECTOR);
        let place = self.module.get("path").map_or_else(
            || Place {
                file: self.module.folder.clone().into(),
                line: 0,
            },
            |item| item.place.clone(),
        );
        if !template.contains("$domain") {
            if self.module.get("path").is_some() {
                setup.say(
                    Code::CatchAll,
                    &place,
                    format!("{template} is for mail of every domain that is not named"),
                    "nothing was taken over of it; name every domain that sends in a file of orgs.d",
                );
            }
            return;
        }
        let path = self.module.path(&template.replace("$selector", selector));
        for name in self.matches(&path) {
            if !seen.contains(&name.to_lowercase()) && name.parse::<DomainName>().is_ok() {
                self.add(&name, vec![Pair::default()], &place, setup);
            }
        }
    }

    /// What `$domain` stands for in the paths that are there.
    fn matches(&self, template: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let parts: Vec<Component<'_>> = template.components().collect();
        let is_variable =
            |part: &Component<'_>| part.as_os_str().to_string_lossy().contains("$domain");
        let Some(at) = parts.iter().position(is_variable) else {
            return found;
        };
        let folder: PathBuf = parts[..at].iter().collect();
        let pattern = parts[at].as_os_str().to_string_lossy();
        let Some((before, after)) = pattern.split_once("$domain") else {
            return found;
        };
        for name in self.module.files.list(&folder).unwrap_or_default() {
            let domain = name
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after));
            if let Some(domain) = domain.filter(|domain| !domain.is_empty()) {
                let path = template.to_string_lossy().replace("$domain", domain);
                if self.module.files.is_file(Path::new(&path)) {
                    found.insert(domain.to_owned());
                }
            }
        }
        found
    }

    fn add(&self, name: &str, pairs: Vec<Pair>, place: &Place, setup: &mut Setup) {
        let Ok(domain) = name.parse::<DomainName>() else {
            let found = format!("{name:?} is no domain name");
            return setup.say(Code::BadDomain, place, found, "it was left out");
        };
        let of = |map: &BTreeMap<String, Entry>| {
            let entry = map.get(&name.to_lowercase());
            entry.map(|entry| entry.value.clone())
        };
        for Pair { selector, path } in pairs {
            let selector = selector
                .or_else(|| of(&self.selectors))
                .unwrap_or_else(|| self.module.text("selector").unwrap_or(SELECTOR).to_owned());
            let path = path
                .or_else(|| of(&self.paths))
                .unwrap_or_else(|| self.module.text("path").unwrap_or(PATH).to_owned());
            let path = path
                .replace("$domain", domain.as_str())
                .replace("$selector", &selector);
            let Ok(selector) = selector.parse() else {
                setup.say(
                    Code::BadSelector,
                    place,
                    format!("{selector:?}, of {domain}, is no selector (RFC 6376 §3.1)"),
                    "its key was not taken over; make a new one with `zegel key generate`",
                );
                setup.keyless.push(domain.clone());
                continue;
            };
            setup.signings.push(Signing {
                author: domain.clone(),
                signer: domain.clone(),
                selector,
                key: KeySource::File(self.module.path(&path)),
                in_use: true,
                hidden_by: None,
                place: place.clone(),
            });
        }
    }
}

/// `selector` and `path` of a domain, and those in its list of `selectors`.
fn pairs(settings: &Object) -> Vec<Pair> {
    let objects = settings
        .items
        .iter()
        .filter(|item| item.key == "selectors")
        .flat_map(|item| match &item.value {
            Value::List(values) => values.as_slice(),
            single => std::slice::from_ref(single),
        });
    let listed = objects.filter_map(|value| match value {
        Value::Object(object) => Some(pair(object)),
        _ => None,
    });
    let own = pair(settings);
    let is_own = own.selector.is_some() || own.path.is_some();
    let mut pairs: Vec<Pair> = is_own.then_some(own).into_iter().chain(listed).collect();
    if pairs.is_empty() {
        pairs.push(Pair::default());
    }
    pairs
}

fn pair(object: &Object) -> Pair {
    let text = |key| match &object.get(key)?.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    Pair {
        selector: text("selector"),
        path: text("path"),
    }
}
