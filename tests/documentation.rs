//! What the documentation refers to exists: tests, files, headings. Its commands are run by
//! `documented_commands`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::Path,
};

const RESULTS: [&str; 4] = ["held", "otherwise", "in part", "not there"];

/// A row of the tables in `docs/reliability.md`.
struct Fault {
    number: usize,
    what: String,
    tests: Vec<String>,
    result: String,
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn faults() -> Vec<Fault> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let number = cells[0].parse().ok()?;
        let [_, _, what, tests, result] = cells[..] else {
            panic!("{line} has not five cells");
        };
        Some(Fault {
            number,
            what: what.to_owned(),
            tests: quoted(tests).map(str::to_owned).collect(),
            result: result.to_owned(),
        })
    };
    let text = read("docs/reliability.md");
    text.lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(row)
        .collect()
}

/// Whether `source` has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let place = source.find(&format!("fn {name}("));
    place.is_some_and(|place| {
        let before = source[..place].trim_end_matches("async ").trim_end();
        let attributes = before
            .lines()
            .rev()
            .take_while(|line| line.trim_start().starts_with("#["));
        attributes
            .map(str::trim)
            .any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn every_fault_has_its_row() {
    let faults = faults();
    let mut numbers: Vec<usize> = faults.iter().map(|fault| fault.number).collect();
    numbers.sort_unstable();
    assert!(numbers.len() >= 40, "rows were lost: {numbers:?}");
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    for fault in faults {
        let number = fault.number;
        assert!(
            RESULTS.contains(&fault.result.as_str()),
            "{number}: {}",
            fault.result
        );
        assert!(!fault.what.is_empty(), "{number}: nothing is argued");
        let untested = fault.tests.is_empty();
        assert!(
            !untested || fault.result == "not there",
            "{number}: {} by no test",
            fault.result
        );
    }
}

#[test]
fn the_tests_that_are_named_exist() {
    let mut sources = BTreeMap::new();
    let mut named = 0;
    for fault in faults() {
        for test in fault.tests {
            let (file, name) = test.split_once("::").expect("a file and a test");
            let source = sources.entry(file.to_owned()).or_insert_with(|| read(file));
            assert!(
                has_test(source, name),
                "{}: there is no {test}",
                fault.number
            );
            named += 1;
        }
    }
    assert!(named > 40, "{named} tests are named");
}

/// Each row has its tests, and everything that the random histories know has its row.
#[test]
fn what_can_be_lost_has_its_row_and_its_test() {
    let page = read("docs/what-is-lost.md");
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<Vec<&str>> = rows.skip(1).map(|row| row.split('|').collect()).collect();
    let mut named = BTreeSet::new();
    for row in &rows {
        let [_, what, events, .., tests, _] = row[..] else {
            panic!("{row:?} has too few cells");
        };
        named.extend(quoted(events));
        assert!(tests.contains("::"), "{what}: by no test");
        for test in quoted(tests) {
            let (file, name) = test.split_once("::").expect("a file and a test");
            assert!(has_test(&read(file), name), "{what}: there is no {test}");
        }
    }
    let source = read("tests/promises/events.rs");
    let (_, events) = source.split_once("enum Event {").expect("the events");
    let (events, _) = events.split_once("\n}").expect("their end");
    let lines = events.lines().map(str::trim);
    let events = lines.filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()));
    let events: BTreeSet<&str> = events
        .filter_map(|line| line.split(['(', ',']).next())
        .collect();
    assert_eq!(named, events);
}

/// The README and what is in `docs/`, by their names.
fn pages() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let files = fs::read_dir(folder).expect("docs/");
    let names = files.map(|file| file.expect("a page").file_name());
    let names = names.map(|name| format!("docs/{}", name.to_string_lossy()));
    let names = names.filter(|name| Path::new(name).extension() == Some(OsStr::new("md")));
    names.chain(["README.md".to_owned()]).collect()
}

/// Where links go that are not to other sites, without those of code.
fn links(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1);
    let links = links.filter_map(|rest| rest.split_once(')'));
    let targets = links.map(|(target, _)| target);
    targets
        .filter(|target| !target.contains("://") && !target.contains([' ', '`']))
        .collect()
}

/// Everybody who clones the repository gets it with all its versions.
#[test]
fn the_picture_of_the_readme_is_small() {
    let name = "docs/pictures/status-page.png";
    assert!(read("README.md").contains(&format!("]({name})")));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let picture = fs::read(path).expect("a picture");
    assert!(picture.starts_with(b"\x89PNG"));
    assert!(picture.len() < 150_000, "{} octets", picture.len());
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 150, "{lines} lines");
}

/// A heading as a link names it.
fn anchor(heading: &str) -> String {
    let letters = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = letters.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then_some(letter),
    });
    kept.collect()
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut number = 0;
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().expect("a folder");
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                folder.join(file).display().to_string()
            };
            assert!(root.join(&target).exists(), "{page}: there is no {link}");
            if !heading.is_empty() {
                let text = read(&target);
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line) == heading),
                    "{page}: there is no {link}"
                );
            }
            number += 1;
        }
    }
    assert!(number > 50, "{number} links were found");
}

/// The files of source that a page names, with the function behind `::` where there is one.
/// Of what is below `src/` that may be left out.
fn sources(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(quoted).filter_map(|name| {
        let (file, function) = name.split_once("::").unwrap_or((name, ""));
        let is_path = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
        let is_source = file
            .strip_suffix(".rs")
            .is_some_and(|stem| stem.chars().all(is_path));
        is_source.then_some((file, function))
    })
}

#[test]
fn every_file_that_is_named_exists() {
    let mut number = 0;
    for page in pages() {
        for (file, function) in sources(&read(&page)) {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let below_src = format!("src/{file}");
            let places = [file, below_src.as_str()];
            let place = places.into_iter().find(|place| root.join(place).exists());
            let place = place.unwrap_or_else(|| panic!("{page}: there is no {file}"));
            assert!(
                function.is_empty() || read(place).contains(&format!("fn {function}(")),
                "{page}: there is no {file}::{function}"
            );
            number += 1;
        }
    }
    assert!(number > 100, "{number} files are named");
}

#[test]
fn every_page_is_in_the_index() {
    let index = read("docs/README.md");
    let listed = links(&index);
    for page in pages().iter().filter_map(|page| page.strip_prefix("docs/")) {
        assert!(
            page == "README.md" || listed.contains(&page),
            "docs/README.md is without {page}"
        );
    }
    assert!(links(&read("README.md")).contains(&"docs/README.md"));
}

/// The stories of `docs/architecture.md`, and how many files each may send its reader to.
const STORIES: [(&str, usize); 3] = [("One message", 22), ("One key", 24), ("One reload", 18)];

#[test]
fn the_stories_lead_through_few_files() {
    let page = read("docs/architecture.md");
    let sections: BTreeMap<&str, &str> = page
        .split("\n## ")
        .filter_map(|section| section.split_once('\n'))
        .collect();
    for (title, most) in STORIES {
        let story = sections.get(title);
        let story = story.unwrap_or_else(|| panic!("docs/architecture.md is without {title}"));
        if story.trim() == "To be written." {
            continue;
        }
        let files: BTreeSet<&str> = quoted(story)
            .map(|name| name.split_once("::").map_or(name, |(file, _)| file))
            .filter(|file| file.starts_with("src/"))
            .collect();
        for file in &files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            assert!(path.is_file(), "{title}: there is no file {file}");
        }
        // Fewer than a few is no story.
        assert!(
            (5..=most).contains(&files.len()),
            "{title} leads through {} files, and 5 to {most} are expected: {files:#?}",
            files.len()
        );
    }
}
