//! What lies about in the folders, and who may change it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use super::{NONE, folder, good, load_in, short};
use crate::config::Problem;

fn warnings(folder: &Path) -> Vec<String> {
    let loaded = load_in(folder, NONE).unwrap_or_else(|problems| panic!("{problems}"));
    loaded.warnings.iter().map(short).collect()
}

fn only_problem(folder: &Path) -> Problem {
    let mut problems = match load_in(folder, NONE) {
        Ok(loaded) => loaded.mistakes.problems(),
        Err(problems) => problems.0,
    };
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_missing_file_is_a_clear_problem() {
    let line = short(&only_problem(folder(&[]).path()));
    assert!(
        line.starts_with("zegel.toml: there is no such file"),
        "{line}"
    );
    assert!(line.contains("--config FILE"), "{line}");
}

#[test]
fn a_missing_folder_is_a_warning() {
    let folder = folder(&[("zegel.toml", "")]);
    fs::remove_dir(folder.path().join("orgs.d")).unwrap();
    let found = warnings(folder.path());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("orgs.d: there is no such folder"),
        "{}",
        found[0]
    );
}

#[test]
fn what_is_no_organisation_is_left_alone() {
    let folder = folder(&[
        ("zegel.toml", ""),
        ("orgs.d/a.toml", "domains = [\"a.nl\"]"),
        ("orgs.d/a.toml~", "?"),
        ("orgs.d/a.toml.bak", "?"),
        ("orgs.d/#a.toml#", "?"),
        ("orgs.d/.a.toml.swp", "?"),
        ("orgs.d/.#a.toml", "?"),
        ("orgs.d/.toml", "?"),
        ("orgs.d/README", "?"),
    ]);
    fs::create_dir(folder.path().join("orgs.d/more.toml")).unwrap();
    let loaded = load_in(folder.path(), NONE).unwrap();
    assert_eq!(loaded.organisations.len(), 1);
    let found = warnings(folder.path());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("more.toml: subfolders are not read"),
        "{}",
        found[0]
    );
}

#[test]
fn files_that_everyone_may_change_are_refused() {
    for path in ["zegel.toml", "orgs.d/a.toml", "orgs.d"] {
        let folder = folder(&[
            ("zegel.toml", ""),
            ("orgs.d/a.toml", "domains = [\"a.nl\"]"),
        ]);
        open(&folder.path().join(path), 0o777);
        let problem = only_problem(folder.path());
        assert!(problem.file.ends_with(path), "{problem}");
        assert!(problem.advice.contains("chmod o-w /"), "{problem}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = folder(&[("zegel.toml", "")]);
    let file = folder.path().join("orgs.d/a.toml");
    symlink("nowhere", &file).unwrap();
    let line = short(&only_problem(folder.path()));
    assert!(line.starts_with("a.toml: cannot be read"), "{line}");
    assert!(line.contains("namei -l"), "{line}");

    fs::remove_file(&file).unwrap();
    fs::write(&file, b"domains = [\n\"\xff\"]").unwrap();
    let line = short(&only_problem(folder.path()));
    assert!(line.starts_with("a.toml: line 2 is not UTF-8"), "{line}");

    // It must not be opened: that would wait for a writer.
    fs::remove_file(&file).unwrap();
    let status = std::process::Command::new("mkfifo")
        .arg(&file)
        .status()
        .unwrap();
    assert!(status.success());
    let line = short(&only_problem(folder.path()));
    assert!(line.starts_with("a.toml: this is no file"), "{line}");
}

#[test]
fn a_socket_for_other_hosts_is_a_warning_when_asked_for() {
    let text = "[[listener]]\nname = \"a\"\nsocket = \"inet:0.0.0.0:8891\"\nallow_remote = true\n\
                [http]\nlisten = \"[::]:9465\"\nallow_remote = true\n";
    let found: Vec<String> = good(&[("zegel.toml", text)], NONE)
        .warnings
        .iter()
        .map(short)
        .collect();
    assert_eq!(found.len(), 2, "{found:?}");
    for beginning in [
        "zegel.toml:3: listener[0].socket",
        "zegel.toml:6: http.listen",
    ] {
        assert!(
            found.iter().any(|line| line.starts_with(beginning)),
            "{found:?}"
        );
    }
}

proptest::proptest! {
    /// The files that are shipped, with a piece replaced: good or not, but no panic, and
    /// whatever is wrong has advice.
    #[test]
    fn no_text_is_too_odd(at in 0..6000_usize, length in 0..40_usize, piece in "(?s).{0,12}|[\\[\\]{}=\"',.\n0-9a-z]{0,12}") {
        let replaced = |text: &str| {
            let characters: Vec<char> = text.chars().collect();
            let at = at % characters.len();
            let end = (at + length).min(characters.len());
            let (before, after) = (&characters[..at], &characters[end..]);
            before.iter().copied().chain(piece.chars()).chain(after.iter().copied()).collect::<String>()
        };
        let settings = replaced(include_str!("../../../conf/zegel.toml"));
        let organisation = replaced(include_str!("../../../conf/orgs.d/gemeente-voorbeeld.toml"));
        let folder = folder(&[("zegel.toml", &settings), ("orgs.d/a.toml", &organisation)]);
        if let Err(problems) = load_in(folder.path(), NONE) {
            proptest::prop_assert!(!problems.0.is_empty());
            for problem in problems.0 {
                proptest::prop_assert!(!problem.advice.is_empty() && !problem.text.is_empty());
                proptest::prop_assert_eq!(problem.to_string().lines().count(), 1);
            }
        }
    }
}
