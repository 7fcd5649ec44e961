//! Files for what reads files: written anew for each input, in memory where there is a
//! folder for that. Who starts the target sets `TMPDIR`, and takes it away again.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use zegel::config::{Loaded, Problems, load_with};

/// A folder of configuration.
pub struct Configuration {
    folder: TempDir,
    /// How many files are in `orgs.d/`.
    organisations: usize,
}

impl Configuration {
    /// An empty one.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a folder for files");
        fs::create_dir(folder.path().join("orgs.d")).expect("a folder in it");
        Self {
            folder,
            organisations: 0,
        }
    }

    /// Writes `zegel.toml`.
    pub fn settings(&self, text: &[u8]) {
        fs::write(self.settings_file(), text).expect("a file in memory");
    }

    /// Writes the files of organisations `a`, `b` and so on, and takes away what was there.
    pub fn organisations<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>) {
        let mut written = 0;
        for (number, text) in texts.enumerate() {
            fs::write(self.organisation_file(number), text).expect("a file in memory");
            written = number + 1;
        }
        for number in written..self.organisations {
            fs::remove_file(self.organisation_file(number)).expect("it was written before");
        }
        self.organisations = written;
    }

    /// Reads it all, twice; each time the same must come of it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn load(&self, environment: &[(OsString, OsString)]) -> Result<Loaded, Problems> {
        let load = || load_with(&self.settings_file(), environment.iter().cloned());
        let loaded = load();
        match (&loaded, load()) {
            (Ok(one), Ok(other)) => assert_eq!(*one, other, "read twice"),
            (Err(one), Err(other)) => {
                assert_eq!(one.to_string(), other.to_string(), "read twice");
            }
            (one, other) => panic!("read twice: {one:?}, {other:?}"),
        }
        self.check(&loaded);
        loaded
    }

    /// What holds for whatever is in the files.
    fn check(&self, loaded: &Result<Loaded, Problems>) {
        let problems = match loaded {
            Err(problems) => {
                assert!(!problems.0.is_empty(), "refused for no reason");
                &problems.0
            }
            Ok(loaded) => {
                check_organisations(loaded);
                &loaded.warnings
            }
        };
        for problem in problems {
            let known = problem.file.starts_with(self.folder.path())
                || problem.file == Path::new("environment");
            assert!(known, "a file that is not ours: {problem:?}");
            assert!(
                !problem.text.is_empty() && !problem.advice.is_empty(),
                "{problem:?}"
            );
            let line = problem.to_string();
            assert!(!line.contains(char::is_control), "controls: {line:?}");
        }
    }

    fn settings_file(&self) -> PathBuf {
        self.folder.path().join("zegel.toml")
    }

    fn organisation_file(&self, number: usize) -> PathBuf {
        let letter = char::from(b'a' + u8::try_from(number % 26).expect("it is below 26"));
        let name = letter.to_string().repeat(1 + number / 26);
        self.folder.path().join("orgs.d").join(name + ".toml")
    }
}

impl Default for Configuration {
    fn default() -> Self {
        Self::new()
    }
}

/// No domain belongs to two organisations, and none is both sent from and parked.
fn check_organisations(loaded: &Loaded) {
    let mut ids: Vec<_> = loaded.organisations.iter().map(|one| &one.id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), loaded.organisations.len());
    let mut domains: Vec<_> = loaded
        .organisations
        .iter()
        .flat_map(|organisation| organisation.domains.iter().chain(&organisation.parked))
        .collect();
    let all = domains.len();
    domains.sort();
    domains.dedup();
    assert_eq!(domains.len(), all, "a domain is there twice");
}
