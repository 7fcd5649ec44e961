//! Modules of one room that need each other, round and round.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    rules::Violation,
    source::{Crate, File, Link},
};

/// What each module needs of which modules beside it: the paths, with their lines.
type Needs<'a> = BTreeMap<&'a [String], BTreeMap<&'a [String], Vec<String>>>;

/// Each set of modules that stand side by side in a room, of which every one needs every other,
/// perhaps by way of a third. What is within a module belongs to it.
///
/// A name that a module only hands on is needed of the file that it comes from, and constants
/// make no circle. Nor do a module and those within it: it is their face, and holds what they
/// share.
pub(crate) fn circles(source: &Crate) -> Vec<Violation> {
    let house = House::of(source);
    let mut needs = Needs::new();
    for file in &source.files {
        for link in file.links.iter().filter(|link| !link.handed_on) {
            let Some(target) = house.target(&link.segments, 0) else {
                continue;
            };
            let pairs = file.module.iter().zip(&target.module);
            let shared = pairs.take_while(|(one, other)| one == other).count();
            let nested = shared == file.module.len() || shared == target.module.len();
            if shared > 0 && !nested {
                let path = format!("{}:{} {}", file.name, link.line, link.segments.join("::"));
                let of = needs.entry(&file.module[..=shared]).or_default();
                of.entry(&target.module[..=shared]).or_default().push(path);
            }
        }
    }
    let reached: BTreeMap<&[String], BTreeSet<&[String]>> = needs
        .keys()
        .map(|module| (*module, reach(&needs, module)))
        .collect();
    let is_mutual = |one, other| {
        let there = |from, to| reached.get(from).is_some_and(|of| of.contains(to));
        there(one, other) && there(other, one)
    };
    let mut done = BTreeSet::new();
    let mut found = Vec::new();
    for module in needs.keys() {
        let others = needs.keys().copied();
        let circle: Vec<&[String]> = others.filter(|other| is_mutual(*module, *other)).collect();
        if circle.len() > 1 && done.insert(circle.clone()) {
            found.push(violation(&needs, &circle));
        }
    }
    found
}

/// Every module that this one needs, and those that they need.
fn reach<'a>(needs: &Needs<'a>, from: &'a [String]) -> BTreeSet<&'a [String]> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for other in needs.get(module).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(*other) {
                open.push(other);
            }
        }
    }
    found
}

fn violation(needs: &Needs<'_>, circle: &[&[String]]) -> Violation {
    let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
    let needed = circle.iter().flat_map(|module| &needs[module]);
    let needed = needed.filter(|(other, _)| circle.contains(other));
    let lines =
        needed.map(|(other, paths)| format!("\n    of {}: {}", other.join("::"), paths.join(", ")));
    let text = format!(
        "{}: a circle with {}:{}",
        names[0],
        names[1..].join(", "),
        lines.collect::<String>()
    );
    Violation {
        text,
        offenders: names,
    }
}

/// Where everything is.
struct House<'a> {
    modules: BTreeMap<&'a [String], &'a File>,
    /// What modules import, by the name that it has there.
    imports: BTreeMap<(&'a [String], &'a str), &'a Link>,
}

impl<'a> House<'a> {
    fn of(source: &'a Crate) -> Self {
        let mut house = Self {
            modules: BTreeMap::new(),
            imports: BTreeMap::new(),
        };
        for file in &source.files {
            let modules = file.modules.iter();
            house
                .modules
                .extend(modules.map(|module| (module.as_slice(), file)));
            for link in &file.links {
                if let Some(local) = &link.local {
                    house.imports.insert((&link.within, local), link);
                }
            }
        }
        house
    }

    /// The file that has what a path leads to, unless that is a constant.
    fn target(&self, path: &[String], depth: usize) -> Option<&'a File> {
        let known = (1..=path.len())
            .rev()
            .find(|&length| self.modules.contains_key(&path[..length]))?;
        let (module, rest) = path.split_at(known);
        let Some(name) = rest.first() else {
            return Some(self.modules[module]);
        };
        match self.imports.get(&(module, name.as_str())) {
            // Two modules may import from each other by globs.
            Some(link) if depth < 8 => {
                let further = [&link.segments, &rest[1..]].concat();
                self.target(&further, depth + 1)
            }
            _ => (!is_constant(name)).then(|| self.modules[module]),
        }
    }
}

fn is_constant(name: &str) -> bool {
    name.len() > 1
        && !name.contains(|letter: char| letter.is_lowercase())
        && name.starts_with(|letter: char| letter.is_uppercase())
}
