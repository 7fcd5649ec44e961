//! Every command of the README and of `docs/` is run, in the order of each page, and does what
//! the page says: see [`page`] for what that is.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod page;
mod settings;
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

/// Does all that a page says; gives what was not so, and how many commands there are.
fn follow(name: &str, text: &str) -> (Vec<String>, usize) {
    let world = World::new(text.contains("<!-- world: publish "));
    let (mut wrong, mut number, mut last) = (Vec::new(), 0, 0);
    for step in steps(text) {
        let (command, status, shown) = match step.what {
            What::World(what) => {
                if let Some(said) = world.happen(&what) {
                    wrong.push(format!("{name}:{}: {what}\n{said}", step.line));
                }
                continue;
            }
            What::Other(_) => continue,
            What::Session(command, shown) if command == "echo $?" => {
                if shown != [last.to_string()] {
                    wrong.push(format!("{name}:{}: the status was {last}", step.line));
                }
                last = 0;
                continue;
            }
            What::Session(command, shown) => (command, None, Some(shown)),
            What::Command(command, status) => (command, Some(status), None),
        };
        number += 1;
        if last != 0 {
            wrong.push(format!(
                "{name}:{}: before it, the status was {last}",
                step.line
            ));
        }
        last = 0;
        if NOT_RUN.iter().any(|(begin, _)| command.starts_with(begin)) {
            continue;
        }
        let is_endless = ENDLESS.iter().any(|begin| command.starts_with(begin));
        let line = if is_endless {
            format!("timeout 3 {command}\n[ $? = 124 ]")
        } else {
            command.clone()
        };
        let done = world.run(&line);
        if let Some(status) = status
            && done.status != status
        {
            let (line, is) = (step.line, done.status);
            wrong.push(format!(
                "{name}:{line}: status {is}: {command}\n{}",
                done.said
            ));
        }
        if let Some(shown) = shown {
            last = done.status;
            let said: Vec<&str> = done.said.trim_end().lines().collect();
            let shown: Vec<String> = shown
                .join("\n")
                .trim_end()
                .lines()
                .map(str::to_owned)
                .collect();
            if !is_as_shown(&said, &shown) {
                wrong.push(format!(
                    "{name}:{}: {command} says\n{}",
                    step.line, done.said
                ));
            }
        }
    }
    if last != 0 {
        wrong.push(format!("{name}: the last status is {last}"));
    }
    (wrong, number)
}

#[test]
fn every_command_does_what_its_page_says() {
    let only = std::env::var("ZEGEL_TEST_PAGE").unwrap_or_default();
    let (mut wrong, mut number) = (Vec::new(), 0);
    let pages = pages();
    thread::scope(|scope| {
        let chosen = pages.iter().filter(|(name, _)| name.contains(&only));
        let threads: Vec<_> = chosen
            .map(|(name, text)| scope.spawn(|| follow(name, text)))
            .collect();
        for thread in threads {
            let (here, commands) = thread.join().unwrap();
            wrong.extend(here);
            number += commands;
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
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::MissingSubcommand => Ok(()),
            // In running text a command is often named without all that it needs.
            ErrorKind::MissingRequiredArgument => Ok(()),
            _ => Err(error.to_string()),
        },
    }
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
            let What::Other(line) = step.what else {
                continue;
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
