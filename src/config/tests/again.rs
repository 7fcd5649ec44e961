//! Reading again: what has not changed is not read, and what has changed is always seen.

use std::{
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{NONE, folder, load_in};
use crate::config::{Loaded, Reader};

const FILES: [(&str, &str); 4] = [
    ("zegel.toml", ""),
    ("orgs.d/a.toml", "domains = [\"a.nl\"]"),
    ("orgs.d/a-b.toml", "domains = [\"a-b.nl\"]"),
    ("orgs.d/c.toml", "domains = [\"c.nl\"]\nname = \"C\""),
];

fn reader(folder: &Path) -> Reader {
    Reader::new(&folder.join("zegel.toml"))
}

/// Waits until the files are old enough to be known by their stamps.
fn settle(folder: &Path) {
    let changed = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        metadata.modified().unwrap()
    };
    let begun = Instant::now();
    for file in fs::read_dir(folder.join("orgs.d")).unwrap() {
        let path = file.unwrap().path();
        while SystemTime::now().duration_since(changed(&path)).unwrap()
            < Duration::from_millis(3100)
        {
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "a clock stands still"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

#[track_caller]
fn same(first: &Loaded, second: &Loaded) -> Vec<bool> {
    let pairs = first.organisations.iter().zip(&second.organisations);
    pairs.map(|(one, two)| Arc::ptr_eq(one, two)).collect()
}

#[test]
fn what_has_not_changed_is_the_same_organisation() {
    let folder = folder(&FILES);
    let mut reader = reader(folder.path());
    let first = reader.load_with([]).unwrap();
    let ids: Vec<&str> = first
        .organisations
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(ids, ["a-b", "a", "c"]);
    // Known by what is in them, while they are too young for their stamps.
    assert_eq!(same(&first, &reader.load_with([]).unwrap()), [true; 3]);
    settle(folder.path());
    reader.load_with([]).unwrap();
    let second = reader.load_with([]).unwrap();
    assert_eq!(same(&first, &second), [true; 3]);
    assert_eq!(first, second);
    assert_eq!(first, load_in(folder.path(), NONE).unwrap());
}

#[test]
fn a_change_is_seen_however_soon_it_comes_and_however_small_it_is() {
    let folder = folder(&FILES);
    let path = folder.path().join("orgs.d/c.toml");
    let mut reader = reader(folder.path());
    let mut before = reader.load_with([]).unwrap();
    // As long as what was there, at once, and in the same file.
    for letter in ["D", "E", "F", "G"] {
        fs::write(&path, format!("domains = [\"c.nl\"]\nname = \"{letter}\"")).unwrap();
        let after = reader.load_with([]).unwrap();
        assert_eq!(after.organisations[2].name, letter);
        assert_eq!(same(&before, &after), [true, true, false]);
        before = after;
    }
    settle(folder.path());
    reader.load_with([]).unwrap();
    fs::write(&path, "domains = [\"c.nl\"]\nname = \"H\"").unwrap();
    let after = reader.load_with([]).unwrap();
    assert_eq!(after.organisations[2].name, "H");
    assert_eq!(same(&before, &after), [true, true, false]);
}

#[test]
fn files_come_and_go() {
    let folder = folder(&FILES);
    let mut reader = reader(folder.path());
    let before = reader.load_with([]).unwrap();
    fs::remove_file(folder.path().join("orgs.d/a.toml")).unwrap();
    fs::write(folder.path().join("orgs.d/b.toml"), "domains = [\"b.nl\"]").unwrap();
    let after = reader.load_with([]).unwrap();
    let ids: Vec<&str> = after
        .organisations
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(ids, ["a-b", "b", "c"]);
    assert_eq!(same(&before, &after), [true, false, true]);
}

#[test]
fn a_problem_between_two_files_is_found_when_only_one_has_changed() {
    let folder = folder(&FILES);
    settle(folder.path());
    let mut reader = reader(folder.path());
    let before = reader.load_with([]).unwrap();
    let path = folder.path().join("orgs.d/c.toml");
    fs::write(&path, "\ndomains = [\"a-b.nl\"]").unwrap();
    let after = reader.load_with([]).unwrap();
    let problems = after.mistakes.problems();
    let fresh = load_in(folder.path(), NONE).unwrap();
    assert_eq!(problems, fresh.mistakes.problems());
    assert_eq!(problems.len(), 1);
    let text = problems[0].to_string();
    assert!(text.contains("a-b.nl is also in domains of"), "{text}");
    // It stays with the one that had it, and who reads for the first time gives it to nobody.
    assert_eq!(same(&before, &after), [true, true, false]);
    assert_eq!(after.organisations[2].domains, []);
    assert_eq!(fresh.organisations[0].domains, []);
    // The same, read again.
    let again = reader.load_with([]).unwrap();
    assert_eq!((same(&after, &again), &again), (vec![true; 3], &after));
    // And nothing is forgotten for that.
    fs::write(&path, FILES[3].1).unwrap();
    let back = reader.load_with([]).unwrap();
    assert_eq!(
        (same(&before, &back), &back),
        (vec![true, true, false], &before)
    );
}

#[test]
fn what_zegel_toml_says_reaches_the_files_that_have_not_changed() {
    let folder = folder(&FILES);
    settle(folder.path());
    let mut reader = reader(folder.path());
    let before = reader.load_with([]).unwrap();
    let settings = folder.path().join("zegel.toml");
    fs::write(&settings, "[policy]\nhazard = \"reject\"").unwrap();
    let after = reader.load_with([]).unwrap();
    assert_eq!(same(&before, &after), [false; 3]);
    assert_eq!(after, load_in(folder.path(), NONE).unwrap());
    fs::write(&settings, "[policy\n").unwrap();
    reader.load_with([]).unwrap_err();
    fs::write(&settings, "").unwrap();
    assert_eq!(reader.load_with([]).unwrap(), before);
}

#[test]
fn a_mistake_concerns_its_own_organisation() {
    let folder = folder(&FILES);
    let path = |name: &str| folder.path().join("orgs.d").join(name);
    let mut reader = reader(folder.path());
    let before = reader.load_with([]).unwrap();
    fs::write(path("a.toml"), "domians = [\"a.nl\"]").unwrap();
    fs::write(path("c.toml"), "domains = [\"c.nl\"]\nname = \"D\"").unwrap();
    fs::write(path("d.toml"), "domains = [\"d.nl\"").unwrap();
    let after = reader.load_with([]).unwrap();
    assert_eq!(same(&before, &after), [true, true, false]);
    assert_eq!(after.organisations[2].name, "D");
    assert_eq!(after.organisations.len(), 3);
    let broken: Vec<_> = after
        .mistakes
        .broken
        .iter()
        .map(|one| (one.organisation.as_ref().unwrap().as_str(), one.is_kept))
        .collect();
    assert_eq!(broken, [("a", true), ("d", false)]);
    let fresh = load_in(folder.path(), NONE).unwrap();
    let ids: Vec<&str> = fresh
        .organisations
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(ids, ["a-b", "c"]);
    // What is kept keeps its domains.
    fs::write(path("d.toml"), "domains = [\"a.nl\", \"d.nl\"]").unwrap();
    let claimed = reader.load_with([]).unwrap();
    let domains = |loaded: &Loaded, place: usize| {
        let domains = &loaded.organisations[place].domains;
        domains.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(domains(&claimed, 1), ["a.nl"]);
    assert_eq!(domains(&claimed, 3), ["d.nl"]);
    // It is corrected, and has gone to the other one.
    fs::write(path("a.toml"), "domains = [\"a2.nl\"]").unwrap();
    let moved = reader.load_with([]).unwrap();
    assert!(moved.mistakes.is_empty(), "{:?}", moved.mistakes);
    assert_eq!(domains(&moved, 1), ["a2.nl"]);
    assert_eq!(domains(&moved, 3), ["a.nl", "d.nl"]);
}

#[test]
fn a_listener_that_came_later_concerns_only_who_names_it() {
    let settings = |names: &[&str]| -> String {
        let one = |name| format!("[[listener]]\nname = \"{name}\"\nsocket = \"unix:/{name}\"\n");
        names.iter().copied().map(one).collect()
    };
    let folder = folder(&FILES);
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put("zegel.toml", &settings(&["one"]));
    let mut reader = reader(folder.path());
    assert_eq!(reader.load_with([]).unwrap().mistakes.lines(), [].into());
    reader.bind(vec!["one".to_owned()]);
    let senders = "domains = [\"a.nl\", \"aa.nl\"]\n[senders]\nlisteners = [\"two\"]";
    put("zegel.toml", &settings(&["one", "two"]));
    put("orgs.d/a.toml", senders);
    put("orgs.d/d.toml", "domains = [\"d.nl\"]");
    let loaded = reader.load_with([]).unwrap();
    let domains = |loaded: &Loaded| -> Vec<usize> {
        let organisations = loaded.organisations.iter();
        organisations.map(|one| one.domains.len()).collect()
    };
    // The others are as their files are, and the first one as it was.
    assert_eq!(domains(&loaded), [1; 4]);
    let broken = loaded.mistakes.of("a").unwrap();
    assert!(broken.is_kept, "{broken:?}");
    let problem = broken.problems[0].to_string();
    assert!(
        problem.contains("does not have the listener \"two\""),
        "{problem}"
    );
    // The same where organisations alone are read.
    let settings = loaded.settings;
    let loaded = reader.load_organisations(&settings).unwrap();
    assert!(loaded.mistakes.of("a").is_some());
    // Another process has it.
    let mut other = Reader::new(&folder.path().join("zegel.toml"));
    let loaded = other.load_with([]).unwrap();
    assert_eq!(loaded.mistakes.lines(), [].into());
    assert_eq!(domains(&loaded), [1, 2, 1, 1]);
}

/// A record of the domain above would have its mail refused as soon as its file is corrected.
#[test]
fn whoever_a_file_with_a_mistake_names_may_send_below_a_domain_that_never_does() {
    let files = [
        ("zegel.toml", ""),
        ("orgs.d/a.toml", "domains = []\nparked = [\"rijk.nl\"]"),
        (
            "orgs.d/b.toml",
            "domains = [\"b.rijk.nl\"]\nno_such = [\"x.rijk.nl.\"]",
        ),
        (
            "orgs.d/c.toml",
            "domains = [\"C.Rijk.nl\", 'c2.rijk.nl'\n# anders.nl",
        ),
        ("orgs.d/d.toml", "domains = [\"d.rijk.nl\"]"),
        ("orgs.d/e.toml", "domains = [\"d.rijk.nl\", \"e.nl\"]"),
    ];
    let folder = folder(&files);
    let mut reader = reader(folder.path());
    let loaded = reader.load_with([]).unwrap();
    let waits = |loaded: &Loaded| -> Vec<String> {
        let claims = loaded.claims();
        let names = claims.below().names(&"rijk.nl".parse().unwrap());
        names.iter().map(ToString::to_string).collect()
    };
    let expected = ["b.rijk.nl", "c.rijk.nl", "c2.rijk.nl", "d.rijk.nl"];
    let mut found = waits(&loaded);
    found.retain(|name| name != "x.rijk.nl");
    assert_eq!(found, expected);
    // Nothing counts twice once it is as it should be.
    fs::write(
        folder.path().join("orgs.d/b.toml"),
        "domains = [\"b.rijk.nl\"]",
    )
    .unwrap();
    fs::write(folder.path().join("orgs.d/c.toml"), "domains = [\"c.nl\"]").unwrap();
    fs::write(folder.path().join("orgs.d/e.toml"), "domains = [\"e.nl\"]").unwrap();
    let loaded = reader.load_with([]).unwrap();
    assert_eq!(loaded.mistakes.lines(), [].into());
    assert_eq!(waits(&loaded), ["b.rijk.nl", "d.rijk.nl"]);
}
