//! Documents as they come, each under the name of its schema.

use std::{cell::Cell, fs, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::setup::{Done, Setup};

pub(super) struct Book {
    folder: TempDir,
    count: Cell<usize>,
}

impl Book {
    pub(super) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            count: Cell::new(0),
        }
    }

    /// A document that came from there.
    pub(super) fn add(&self, schema: &str, from: &str, text: &str) {
        let folder = self.folder.path().join(schema);
        fs::create_dir_all(&folder).unwrap();
        self.count.set(self.count.get() + 1);
        let from = from.replace('/', "_");
        let from: String = from.chars().take(100).collect();
        let file = format!("{} {from}.json", self.count.get());
        fs::write(folder.join(file), text).unwrap();
    }

    /// That a command prints such a document, and nothing else.
    #[track_caller]
    pub(super) fn run(&self, setup: &Setup, schema: &str, arguments: &[&str]) -> Value {
        self.run_with(setup, schema, (arguments, ""))
    }

    /// The same with something on standard input.
    #[track_caller]
    pub(super) fn run_with(
        &self,
        setup: &Setup,
        schema: &str,
        (arguments, input): (&[&str], &str),
    ) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let done = setup.run_with(&arguments, input.as_bytes());
        self.take(&done, schema, &arguments)
    }

    #[track_caller]
    pub(super) fn take(&self, done: &Done, schema: &str, arguments: &[&str]) -> Value {
        let is_error = schema == "error";
        assert!(
            is_error || done.status <= 1,
            "{}: {}",
            done.status,
            done.out
        );
        assert_eq!(done.err, "", "{arguments:?}");
        self.add(schema, &arguments.join(" "), &done.out);
        done.json()
    }

    /// What is wrong with the documents, or with the schemas.
    pub(super) fn wrong(&self) -> Vec<String> {
        let output = Command::new("/usr/bin/python3")
            .args(["tests/schemas/validate.py", "docs/schemas"])
            .arg(self.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(str::to_owned).collect()
    }
}
