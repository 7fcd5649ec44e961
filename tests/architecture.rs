//! The shape of the source, as the crate root and the design describe it: imports go one
//! way, each heavy crate is named in one place, `dkim` is pure, no file and no function grows
//! too long, and the modules of one room do not go round in circles.
//!
//! Tests are held to the length of files only: neither what stands under `#[cfg(test)]` nor
//! files that are reached only from there have to keep to the rest.

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/made_up.rs"]
mod made_up;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/use_tree.rs"]
mod use_tree;

use std::{collections::BTreeMap, fs, path::Path};

use self::{
    rules::{HOMES, ORDER, unexcused, violations},
    source::Crate,
};

/// What broke a rule on the day that the rule came: functions (`file::function`) and files that
/// are too long, modules that go round in circles. Nothing is added, and what has been put
/// right has to leave; what only moves keeps its line under its new name.
const EXCUSED: &[&str] = &[];

#[test]
fn the_source_keeps_to_the_rules() {
    let found = unexcused(&violations(&Crate::read(&sources())), EXCUSED);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_reader_sees_the_whole_source() {
    let seen = Crate::read(&sources());
    assert!(seen.problems.is_empty(), "{:#?}", seen.problems);
    let named: usize = seen.files.iter().map(|file| file.paths.len()).sum();
    assert!(seen.files.len() > 40 && named > 500, "{named} paths");
}

/// Files by their path below the package, such as `src/dkim/body.rs`.
type Sources = BTreeMap<String, String>;

#[test]
fn the_map_in_the_crate_root_has_the_modules_in_their_order() {
    let root = &sources()["src/lib.rs"];
    let described: Vec<&str> = root
        .lines()
        .filter_map(|line| line.strip_prefix("//! | [`"))
        .filter_map(|row| row.split_once("`]"))
        .map(|(module, _)| module)
        .collect();
    let mut expected: Vec<&str> = ORDER.iter().copied().flatten().copied().collect();
    expected.retain(|module| root.contains(&format!("mod {module};")));
    assert_eq!(described, expected, "the table in src/lib.rs");
}

#[test]
fn every_crate_with_a_home_is_a_dependency() {
    let manifest = fs::read_to_string(package().join("Cargo.toml")).expect("Cargo.toml is there");
    for name in HOMES.iter().flat_map(|home| home.crates) {
        let dependency = format!("\n{} = ", name.replace('_', "-"));
        let underscored = format!("\n{name} = ");
        assert!(
            manifest.contains(&dependency) || manifest.contains(&underscored),
            "{name} has a home in tests/architecture/rules.rs and is no dependency"
        );
    }
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Sources {
    let mut found = Sources::new();
    collect(&package().join("src"), "src", &mut found);
    found
}

fn collect(folder: &Path, name: &str, found: &mut Sources) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the entry can be read").path();
        let file = path.file_name().expect("it has a name").to_string_lossy();
        let name = format!("{name}/{file}");
        if path.is_dir() {
            collect(&path, &name, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("the source is UTF-8");
            found.insert(name, text);
        }
    }
}
