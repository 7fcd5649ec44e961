//! What is wrong with the configuration: where, what, and the way out.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt::{self, Write},
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::words::printable;

/// Where in a file a problem is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// Counted from 1; none for the file as a whole and for the environment.
    pub line: Option<usize>,
    /// The key path, such as `limits.idle`; empty for the file as a whole.
    pub key: String,
}

/// One thing that is wrong, or that deserves attention.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file; `environment` for a value from the environment.
    pub file: PathBuf,
    /// Where in the file.
    pub place: Place,
    /// What is wrong.
    pub text: String,
    /// The way out.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.file.display().to_string();
        if let Some(number) = self.place.line {
            write!(line, ":{number}")?;
        }
        if !self.place.key.is_empty() {
            write!(line, ": {}", self.place.key)?;
        }
        write!(line, ": {}; {}", self.text, self.advice)?;
        // Keys, values and file names may hold line ends and terminal codes.
        formatter.write_str(&printable(&line))
    }
}

/// Everything that is wrong, at least one problem; displayed one a line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Where the first one is: the file, and the line if there is one.
    pub fn place(&self) -> Option<String> {
        let first = self.0.first()?;
        let file = first.file.display();
        Some(match first.place.line {
            Some(line) => printable(&format!("{file}:{line}")),
            None => printable(&file.to_string()),
        })
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// What is wrong with one value, before it is known where that stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    pub(super) text: String,
    pub(super) advice: String,
}

impl Fault {
    pub(super) fn new(text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            advice: advice.into(),
        }
    }
}

/// Where a value stands; cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Site {
    pub(super) file: Rc<Path>,
    pub(super) line: Option<usize>,
    pub(super) key: Rc<str>,
}

impl Site {
    /// The file as a whole.
    pub(super) fn file(file: &Path) -> Self {
        Self {
            file: file.into(),
            line: None,
            key: "".into(),
        }
    }

    /// The key `name` of the table that stands here.
    pub(super) fn child(&self, name: &str) -> Self {
        let key = if self.key.is_empty() {
            name.into()
        } else {
            format!("{}.{name}", self.key).into()
        };
        Self {
            key,
            ..self.clone()
        }
    }

    pub(super) fn on_line(&self, line: usize) -> Self {
        Self {
            line: Some(line),
            ..self.clone()
        }
    }

    pub(super) fn problem(&self, fault: Fault) -> Problem {
        Problem {
            file: self.file.to_path_buf(),
            place: Place {
                line: self.line,
                key: self.key.to_string(),
            },
            text: fault.text,
            advice: fault.advice,
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        self.line
            .map_or(Ok(()), |line| write!(formatter, ":{line}"))
    }
}

/// Collects problems and warnings while everything is read to its end.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Report {
    pub(super) fn problem(&self, site: &Site, fault: Fault) {
        self.problems.borrow_mut().push(site.problem(fault));
    }

    pub(super) fn warning(&self, site: &Site, fault: Fault) {
        self.warnings.borrow_mut().push(site.problem(fault));
    }

    /// Puts these problems behind what is here.
    pub(super) fn add(&self, problems: Vec<Problem>) {
        self.problems.borrow_mut().extend(problems);
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// The problems alone.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// Whether there is nothing to report.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.borrow().is_empty() && self.warnings.borrow().is_empty()
    }

    /// The warnings, unless there were problems.
    pub(super) fn conclude(self) -> Result<Vec<Problem>, Problems> {
        let problems = self.problems.into_inner();
        if problems.is_empty() {
            Ok(in_order(self.warnings.into_inner()))
        } else {
            Err(Problems(in_order(problems)))
        }
    }
}

/// File by file, and in each by line.
pub(super) fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    let mut files = HashMap::new();
    for problem in &problems {
        let next = files.len();
        files.entry(problem.file.clone()).or_insert(next);
    }
    problems.sort_by_key(|problem| (files[&problem.file], problem.place.line));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_is_one_line() {
        let site = Site::file(Path::new("/etc/zegel/zegel.toml"));
        let fault = || Fault::new("a\nb \u{1b}[31m", "do so");
        for (site, expected) in [
            (
                site.clone(),
                "/etc/zegel/zegel.toml: a\\nb \\u{1b}[31m; do so",
            ),
            (
                site.child("limits").child("idle").on_line(3),
                "/etc/zegel/zegel.toml:3: limits.idle: a\\nb \\u{1b}[31m; do so",
            ),
        ] {
            assert_eq!(site.problem(fault()).to_string(), expected);
        }
        let problem = site.problem(fault());
        let lines = Problems(vec![problem.clone(), problem]).to_string();
        assert_eq!(lines.lines().count(), 2);
    }
}
