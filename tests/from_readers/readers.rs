//! The readers: parsers of other languages, and of C, and one crate.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use zegel::names::DomainName;

/// The exit status with which a program says that a package is missing (EX_UNAVAILABLE).
const MISSING_PACKAGE: i32 = 69;

/// What a reader finds in a value: a domain for each address that it shows.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Found(pub(crate) Vec<Domain>);

/// The domain of an address as a reader shows it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Domain {
    Name(DomainName),
    /// No name at all: a piece of something.
    Other(String),
}

/// What each reader finds in each value.
pub(crate) fn read_all(values: &[Vec<u8>]) -> Vec<BTreeMap<String, Found>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("values");
    let mut stream = Vec::new();
    for value in values {
        stream.extend(format!("{}\n", value.len()).bytes());
        stream.extend(value);
    }
    fs::write(&input, stream).expect("the values can be written");
    let programs = [
        script("/usr/bin/python3", "readers.py"),
        script("/usr/bin/perl", "readers.pl"),
        script("/usr/bin/ruby", "readers.rb"),
        javascript(),
        Command::new(compiled(folder.path())),
    ];
    let mut found: Vec<BTreeMap<String, Found>> = vec![BTreeMap::new(); values.len()];
    thread::scope(|scope| {
        let running = programs.map(|program| scope.spawn(|| run(program, &input)));
        for answers in running {
            let answers = answers.join().expect("the program ends well");
            assert_eq!(answers.len(), values.len(), "a line for each value");
            for (all, answer) in found.iter_mut().zip(answers) {
                all.extend(answer);
            }
        }
    });
    found
}

fn script(interpreter: &str, name: &str) -> Command {
    // Not the first one of PATH: Debian's packages are seen by Debian's only.
    let mut command = Command::new(interpreter);
    command.arg(home().join(name));
    command
}

fn javascript() -> Command {
    let installed = root().join("target/tools/from-readers");
    let mut command = Command::new("node");
    command.arg(home().join("readers.js")).arg(installed);
    command
}

fn compiled(folder: &Path) -> PathBuf {
    let program = folder.join("readers");
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "gmime-3.0"])
        .output();
    let flags = flags.unwrap_or_else(|error| install("pkg-config", &error.to_string()));
    let compiler = Command::new("cc")
        .arg("-o")
        .arg(&program)
        .arg(home().join("readers.c"))
        .args(String::from_utf8_lossy(&flags.stdout).split_whitespace())
        .arg("-lopendkim")
        .output();
    let output = compiler.unwrap_or_else(|error| install("cc", &error.to_string()));
    if !output.status.success() {
        install("readers.c", &String::from_utf8_lossy(&output.stderr));
    }
    program
}

fn run(mut program: Command, input: &Path) -> Vec<BTreeMap<String, Found>> {
    let input = File::open(input).expect("the values just written");
    let output = program.stdin(Stdio::from(input)).output();
    let output =
        output.unwrap_or_else(|error| install(&format!("{program:?}"), &error.to_string()));
    check(&program, &output);
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| {
            let answer: BTreeMap<String, Vec<String>> =
                serde_json::from_str(line).expect("the domains by the names of the readers");
            let found = |texts: Vec<String>| Found(texts.iter().map(|text| domain(text)).collect());
            answer
                .into_iter()
                .map(|(name, texts)| (name, found(texts)))
                .collect()
        })
        .collect()
}

/// A text that only some programs would map to a name is no name.
fn domain(text: &str) -> Domain {
    let text = text.trim().to_ascii_lowercase();
    let is_label = |label: &str| {
        let name = label.parse::<DomainName>();
        label.is_ascii() || name.is_ok_and(|name| name.unicode() == label)
    };
    match text.parse() {
        Ok(name) if text.split('.').all(is_label) => Domain::Name(name),
        _ => Domain::Other(text),
    }
}

fn check(program: &Command, output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(MISSING_PACKAGE) || errors.contains("MODULE_NOT_FOUND") {
        install(&format!("{program:?}"), &errors);
    }
    assert!(output.status.success(), "{program:?}: {errors}");
}

fn install(what: &str, why: &str) -> ! {
    panic!("{what}: {why}\ntests/install-packages installs what this test needs")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn home() -> PathBuf {
    root().join("tests/from_readers")
}
