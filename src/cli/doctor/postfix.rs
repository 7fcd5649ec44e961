//! The programs of Postfix that print its settings and ask its lookup tables.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::ErrorKind,
    path::Path,
    process::{Command, Output},
};

use super::Failure;
use crate::doctor::{Answer, Tables};

/// What postconf prints; nothing if it is not there.
pub(super) fn postconf(
    folder: Option<&Path>,
    arguments: &[&str],
) -> Result<Option<String>, Failure> {
    let Some(output) = output("postconf", folder, arguments)? else {
        return Ok(None);
    };
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::Other(complaint.trim().to_owned()));
    }
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn output(
    program: &str,
    folder: Option<&Path>,
    arguments: &[&str],
) -> Result<Option<Output>, Failure> {
    // The second is where it is, even if the path of a user does not lead there.
    for program in [program.to_owned(), format!("/usr/sbin/{program}")] {
        let mut command = Command::new(&program);
        if let Some(folder) = folder {
            command.arg("-c").arg(folder);
        }
        match command.args(arguments).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::Other(format!("{program}: {error}"))),
            Ok(output) => return Ok(Some(output)),
        }
    }
    Ok(None)
}

/// Asks the tables of this host.
pub(super) struct Postmap<'a> {
    /// That of main.cf, where it has to be named.
    folder: Option<&'a Path>,
    /// Table and key, and what came of it: many services have the same tables.
    asked: RefCell<BTreeMap<[String; 2], Answer>>,
}

impl<'a> Postmap<'a> {
    /// With the folder of main.cf, where it has to be named.
    pub(super) fn new(folder: Option<&'a Path>) -> Self {
        Self {
            folder,
            asked: RefCell::default(),
        }
    }

    fn ask(&self, table: &str, key: &str) -> Answer {
        let Ok(Some(output)) = output("postmap", self.folder, &["-q", key, table]) else {
            return Answer::Unknown;
        };
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() {
            Answer::Found(found)
        } else if output.stderr.is_empty() {
            Answer::Nothing
        } else {
            Answer::Unknown
        }
    }
}

impl Tables for Postmap<'_> {
    fn look_up(&self, table: &str, key: &str) -> Answer {
        let question = [table.to_owned(), key.to_owned()];
        let mut asked = self.asked.borrow_mut();
        let answer = asked
            .entry(question)
            .or_insert_with(|| self.ask(table, key));
        answer.clone()
    }
}
