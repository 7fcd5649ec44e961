//! Every command of the README and of `docs/` is run, in the order of each page, and does what
//! the page says: see [`page`] for what that is.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod page;
mod settings;
mod several_relays;
mod stand_ins;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::{collections::BTreeMap, fs, thread};

use clap::error::ErrorKind;
use jiff::Zoned;

use page::{What, is_as_shown, quoted_commands, steps};
use stand_ins::{ENDLESS, NOT_RUN};
use world::World;

/// All pages, by their names, with the half-year of the examples made this one.
fn pages() -> BTreeMap<String, String> {
    let folder = support::checkout();
    let files = fs::read_dir(folder.join("docs")).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(folder.join("README.md"));
    let today = Zoned::now();
    let half = if today.month() <= 6 { 'a' } else { 'b' };
    let half = format!("{}{half}", today.year());
    let pages = paths.into_iter().map(|path| {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        (name, text.replace("2026b", &half))
    });
    pages.collect()
}

/// What is not there of a command that is not run.
fn misses(command: &str) -> Option<String> {
    let mut words = command.split_whitespace();
    if words.next() == Some("tests/run") {
        let is_there = support::checkout().join("tests/run").exists();
        return (!is_there).then(|| "tests/run".to_owned());
    }
    let bench = words.skip_while(|word| *word != "--bench").nth(1)?;
    let manifest = fs::read_to_string(support::checkout().join("Cargo.toml")).unwrap();
    let is_there = manifest.contains(&format!("[[bench]]\nname = \"{bench}\""));
    (!is_there).then(|| bench.to_owned())
}

/// What came of following a page.
#[derive(Default)]
struct Account {
    /// What was not as the page says, with its place.
    wrong: Vec<String>,
    commands: usize,
    /// The status of the last command, if the page has yet to show it.
    status: i32,
}

impl Account {
    /// Does all that a page says.
    fn follow(name: &str, text: &str) -> Self {
        let world = World::new(text.contains("<!-- world: publish "));
        let mut account = Self::default();
        for step in steps(text) {
            if let Some(wrong) = account.step(&world, step.what) {
                let place = format!("{name}:{}", step.line);
                account.wrong.push(format!("{place}: {wrong}"));
            }
        }
        if account.status != 0 {
            let status = account.status;
            account
                .wrong
                .push(format!("{name}: the last status is {status}"));
        }
        account
    }

    /// Gives what is wrong.
    fn step(&mut self, world: &World, what: What) -> Option<String> {
        match what {
            What::Other(_) | What::Elsewhere(_) => None,
            What::World(command) => world
                .happen(&command)
                .map(|said| format!("{command}\n{said}")),
            What::Session(command, shown) if command == "echo $?" => {
                let status = std::mem::take(&mut self.status);
                (shown != [status.to_string()]).then(|| format!("the status was {status}"))
            }
            What::Session(command, shown) => self.session(world, &command, &shown),
            What::Command(command, status) => self.command(world, &command, status),
        }
    }

    fn command(&mut self, world: &World, command: &str, status: i32) -> Option<String> {
        self.commands += 1;
        if NOT_RUN.iter().any(|(begin, _)| command.starts_with(begin)) {
            return misses(command).map(|what| format!("there is no {what}"));
        }
        let is_endless = ENDLESS.iter().any(|begin| command.starts_with(begin));
        let done = if is_endless && !command.contains("--once") {
            world.run(&format!("timeout 3 {command}\n[ $? = 124 ]"))
        } else {
            world.run(command)
        };
        let is = done.status;
        (is != status).then(|| format!("status {is}: {command}\n{}", done.said))
    }

    fn session(&mut self, world: &World, command: &str, shown: &[String]) -> Option<String> {
        self.commands += 1;
        let before = self.status;
        let done = world.run(command);
        self.status = done.status;
        if before != 0 {
            return Some(format!("the status of the command before it was {before}"));
        }
        let said: Vec<&str> = done.said.trim_end().lines().collect();
        let blanks = shown.iter().rev().take_while(|line| line.trim().is_empty());
        let shown = &shown[..shown.len() - blanks.count()];
        (!is_as_shown(&said, shown)).then(|| format!("{command} says\n{}", done.said))
    }
}

#[test]
fn every_command_does_what_its_page_says() {
    let only = std::env::var("ZEGEL_TEST_PAGE").unwrap_or_default();
    let (mut wrong, mut number) = (Vec::new(), 0);
    let pages = pages();
    thread::scope(|scope| {
        let chosen = pages.iter().filter(|(name, _)| name.contains(&only));
        let threads: Vec<_> = chosen
            .map(|(name, text)| scope.spawn(|| Account::follow(name, text)))
            .collect();
        for thread in threads {
            let account = thread.join().unwrap();
            wrong.extend(account.wrong);
            number += account.commands;
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        number > 60 || !only.is_empty(),
        "{number} commands were found"
    );
}

/// Whether clap takes it. Part of a command, such as `zegel key`, is one too.
fn parse(command: &str) -> Result<(), String> {
    let words = command.split(" #").next().unwrap_or_default();
    let words = words.split_whitespace().map(|word| word.trim_matches('\''));
    match zegel::cli::command().try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            // In running text a command is often named without all that it needs.
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand => Ok(()),
            _ => Err(error.to_string()),
        },
    }
}

/// A command with a word for each thing that the shell would put in, which is a selector as well as
/// a date, one word for what is quoted, and without the file that its output goes to or the sign
/// that a line goes on.
fn without_expansions(line: &str) -> String {
    let line = line.split(" >").next().unwrap_or_default();
    let line = line.trim().trim_end_matches('\\');
    let parts = line.split('"').enumerate();
    let words = parts.map(|(number, part)| match number % 2 == 1 {
        true if part.starts_with('$') => "2099-01-01".to_owned(),
        true => part.replace(' ', "-"),
        false => part.to_owned(),
    });
    words.collect()
}

#[test]
fn every_command_that_is_named_exists() {
    let mut number = 0;
    for (name, text) in pages() {
        for (command, line) in quoted_commands(&text) {
            let parsed = parse(&command);
            assert!(
                parsed.is_ok(),
                "{name}:{line}: {command}: {}",
                parsed.unwrap_err()
            );
            number += 1;
        }
        for step in steps(&text) {
            let line = match step.what {
                What::Other(line) => line,
                What::Elsewhere(line) if line.trim().starts_with("zegel ") => {
                    let said = parse(&without_expansions(&line)).err().unwrap_or_default();
                    assert!(said.is_empty(), "{name}:{}: {line}: {said}", step.line);
                    continue;
                }
                _ => continue,
            };
            let line = line.trim_start_matches("$ ");
            assert!(
                !line.starts_with("zegel "),
                "{name}:{}: a command in a block that is not run",
                step.line
            );
        }
    }
    assert!(number > 20, "{number} commands were found");
    assert!(parse("zegel key rol").is_err());
    assert!(parse("zegel check --jsn").is_err());
}
