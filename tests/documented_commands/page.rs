//! What a page of the documentation has in its fenced blocks.
//!
//! - `sh`: commands. Each must end with status 0, or with N where its comment says
//!   `exit status N`.
//! - `console`: a session. A command stands behind `$ `, and below it everything that it says;
//!   `…` is any text, and on a line of its own any lines. Where its status is not 0, the next
//!   command is `echo $?`.
//! - Any other block has no commands.
//!
//! `<!-- world: COMMAND -->` on a line of its own is done in between, and not shown.
//! `<!-- elsewhere: WHY -->` says of the next block that it needs what is not here, such as an
//! MTA at work, and what runs it: then every `zegel` in it only has to be one that exists.

/// A command of a page, or what happens between two.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Step {
    /// Of the page, from 1.
    pub(crate) line: usize,
    pub(crate) what: What,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum What {
    /// Between two commands.
    World(String),
    /// From an `sh` block, with the status that it must have.
    Command(String, i32),
    /// A line of an `sh` block that something else runs.
    Elsewhere(String),
    /// From a `console` block, with what it says.
    Session(String, Vec<String>),
    /// A line of any other block.
    Other(String),
}

/// All of a page, in order.
pub(crate) fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = text.lines().zip(1..);
    let mut elsewhere = false;
    while let Some((line, number)) = lines.next() {
        let what = line.trim();
        if what.starts_with("<!-- elsewhere: ") {
            elsewhere = true;
            continue;
        }
        if let Some(command) = what.strip_prefix("<!-- world: ") {
            let command = command.strip_suffix(" -->").expect("one line");
            steps.push(Step {
                line: number,
                what: What::World(command.to_owned()),
            });
        } else if let Some(language) = what.strip_prefix("```") {
            let indent = line.len() - line.trim_start().len();
            let block = lines
                .by_ref()
                .take_while(|(line, _)| line.trim() != "```")
                .map(|(line, number)| (line.get(indent..).unwrap_or_default(), number))
                .collect::<Vec<_>>();
            match language {
                "sh" if std::mem::take(&mut elsewhere) => {
                    steps.extend(block.iter().map(|(line, number)| Step {
                        line: *number,
                        what: What::Elsewhere((*line).to_owned()),
                    }));
                }
                "sh" => steps.extend(commands(&block)),
                "console" => steps.extend(session(&block)),
                _ => steps.extend(block.iter().map(|(line, number)| Step {
                    line: *number,
                    what: What::Other((*line).to_owned()),
                })),
            }
        }
    }
    steps
}

fn commands(block: &[(&str, usize)]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = block.iter();
    while let Some((first, number)) = lines.next() {
        if first.trim().is_empty() || first.starts_with('#') {
            continue;
        }
        let mut command = (*first).to_owned();
        while command.ends_with('\\') {
            command.push('\n');
            command.push_str(lines.next().expect("a further line").0);
        }
        if let Some((_, end)) = command.clone().split_once("<<'") {
            let end = end.split('\'').next().expect("a word");
            loop {
                let (line, _) = lines.next().expect("the end of a document");
                command.push('\n');
                command.push_str(line);
                if *line == end {
                    break;
                }
            }
        }
        let status = command.split_once("exit status ").map_or(0, |(_, number)| {
            let digits = number.chars().take_while(char::is_ascii_digit);
            digits.collect::<String>().parse().expect("a number")
        });
        steps.push(Step {
            line: *number,
            what: What::Command(command, status),
        });
    }
    steps
}

fn session(block: &[(&str, usize)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (line, number) in block {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                line: *number,
                what: What::Session(command.to_owned(), Vec::new()),
            });
        } else {
            match &mut steps.last_mut().expect("a command first").what {
                What::Session(command, said) if said.is_empty() && command.ends_with('\\') => {
                    command.push('\n');
                    command.push_str(line);
                }
                What::Session(_, said) => said.push((*line).to_owned()),
                _ => unreachable!("a session has nothing else"),
            }
        }
    }
    steps
}

/// What stands between backquotes outside of blocks and begins with `zegel `.
pub(crate) fn quoted_commands(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut is_block = false;
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            let quoted = line.split('`').skip(1).step_by(2);
            let commands = quoted.filter(|quoted| quoted.starts_with("zegel "));
            found.extend(commands.map(|command| (command.to_owned(), number)));
        }
    }
    found
}

/// Whether this was said, line by line.
pub(crate) fn is_as_shown(said: &[&str], shown: &[String]) -> bool {
    match shown.split_first() {
        None => said.is_empty(),
        Some((first, rest)) if first.trim() == "…" => {
            (0..=said.len()).any(|skipped| is_as_shown(&said[skipped..], rest))
        }
        Some((first, rest)) => said.split_first().is_some_and(|(line, others)| {
            matches(line.trim_end(), first.trim_end()) && is_as_shown(others, rest)
        }),
    }
}

/// Blanks in a row count once: the columns of tables are as wide as what is in them.
fn matches(line: &str, pattern: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (line, pattern) = (words(line), words(pattern));
    let mut parts = pattern.split('…').map(str::trim);
    let Some(rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in middle {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn blocks_are_read_as_they_are_meant() {
    let page = "```sh\na b \\\n  c   # exit status 1\ncat >x <<'END'\ny\nEND\n```\n\
                <!-- world: z -->\n  ```console\n  $ a\n  says …\n  ```\n```text\nzegel x\n```\n";
    let what: Vec<What> = steps(page).into_iter().map(|step| step.what).collect();
    let text = str::to_owned;
    assert_eq!(
        what,
        [
            What::Command(text("a b \\\n  c   # exit status 1"), 1),
            What::Command(text("cat >x <<'END'\ny\nEND"), 0),
            What::World(text("z")),
            What::Session(text("a"), vec![text("says …")]),
            What::Other(text("zegel x")),
        ]
    );
    let quoted = quoted_commands("as `zegel a` and `b`\n```\n`zegel c`\n```\n");
    assert_eq!(quoted, [(text("zegel a"), 1)]);
}

#[test]
fn what_is_said_is_as_it_is_shown() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let said = ["a   b c", "d", "e"];
    for good in ["a b c\nd\ne", "a … c\n…\ne", "…\na b…\nd\ne\n…", "…"] {
        assert!(is_as_shown(&said, &shown(good)), "{good}");
    }
    for bad in ["a b c\nd", "a … d\n…", "a b\n…", "…\nx", "a b c\ne"] {
        assert!(!is_as_shown(&said, &shown(bad)), "{bad}");
    }
}
