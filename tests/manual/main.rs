//! The manual pages and the completions that a package has: all are there, and say what is so.

// A test may panic.
#![allow(clippy::unwrap_used)]

mod keys;
#[path = "../../examples/documents/write/mod.rs"]
mod write;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use jiff::Timestamp;
use tempfile::TempDir;

/// What `cargo run --example documents` writes.
static DOCUMENTS: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    write::write(folder.path(), Timestamp::UNIX_EPOCH).unwrap();
    folder
});

fn document(path: &str) -> PathBuf {
    DOCUMENTS.path().join(path)
}

fn pages() -> Vec<PathBuf> {
    let files = fs::read_dir(document("man")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// What it prints, as text; it must succeed.
#[track_caller]
fn good(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = said(&output);
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn said(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(said).unwrap()
}

fn zegel() -> Command {
    Command::new(env!("CARGO_BIN_EXE_zegel"))
}

/// The page as a reader sees it, without the breaks of lines.
fn read(page: &Path) -> String {
    let text = good(
        Command::new("man")
            .env("MANWIDTH", "1000")
            .arg("-l")
            .arg(page),
    );
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn no_linter_has_anything_to_say() {
    for page in pages() {
        let lint = good(Command::new("mandoc").args(["-T", "lint"]).arg(&page));
        assert_eq!(lint, "", "{}", page.display());
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(&page);
        let output = man.env("LC_ALL", "C.UTF-8").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{page:?}");
    }
}

/// The commands below this one, as `--help` lists them.
fn commands(above: &[&str]) -> Vec<String> {
    let help = good(zegel().args(above).arg("--help"));
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let lines = list.lines().take_while(|line| !line.is_empty());
    // What is further in is a line that was broken.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.collect()
}

#[test]
fn every_command_has_a_page_with_all_of_its_options() {
    let mut expected = vec!["zegel.1".to_owned()];
    let mut words: Vec<Vec<String>> = commands(&[]).into_iter().map(|name| vec![name]).collect();
    while let Some(command) = words.pop() {
        let above: Vec<&str> = command.iter().map(String::as_str).collect();
        words.extend(
            commands(&above)
                .into_iter()
                .map(|name| [&command[..], &[name]].concat()),
        );
        let page = format!("zegel-{}.1", command.join("-"));
        let text = read(&document("man").join(&page));
        for word in good(zegel().args(&above).arg("--help")).split_whitespace() {
            let option = word.trim_end_matches([',', ';', '.', ':', ')']);
            if option.starts_with("--") {
                assert!(text.contains(option), "{page} lacks {option}");
            }
        }
        expected.push(page);
    }
    expected.extend(["zegel-org.5".to_owned(), "zegel.toml.5".to_owned()]);
    expected.sort();
    let mut found: Vec<String> = pages()
        .iter()
        .map(|page| page.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, expected);
    assert!(found.len() > 20, "{found:?}");
}

#[test]
fn the_shells_complete_commands_and_options() {
    let (bash, zsh, fish) = (
        document("completions/zegel.bash"),
        document("completions/_zegel"),
        document("completions/zegel.fish"),
    );
    let script = "source \"$0\"; COMP_WORDS=(zegel key \"$1\"); COMP_CWORD=2; \
        _zegel zegel \"$1\" key; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let found = good(
        Command::new("bash")
            .args(["-ec", script])
            .arg(&bash)
            .arg("re"),
    );
    assert_eq!(found, "revoke\n");
    let script = "source $argv[1]; complete -C 'zegel key import --assume'";
    let found = good(Command::new("fish").args(["-N", "-c", script]).arg(&fish));
    assert!(found.starts_with("--assume-published\t"), "{found}");
    // Only the line editor of zsh could say more.
    good(Command::new("zsh").args(["-f", "-n"]).arg(&zsh));
    let found = fs::read_to_string(&zsh).unwrap();
    assert!(found.starts_with("#compdef zegel\n"), "{found}");
    for name in commands(&["key"]) {
        assert!(found.contains(&format!("'{name}:")), "{name}");
    }
}
