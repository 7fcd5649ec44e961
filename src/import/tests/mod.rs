//! Configurations in memory.

mod plans;
mod texts;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use super::*;

/// Files by their paths.
#[derive(Default)]
struct Memory(HashMap<PathBuf, String>);

impl Memory {
    fn with(files: &[(&str, &str)]) -> Self {
        let files = files.iter();
        Self(
            files
                .map(|(path, text)| (path.into(), (*text).to_owned()))
                .collect(),
        )
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.0
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let inside = self.0.keys().filter_map(|path| {
            let name = path.strip_prefix(folder).ok()?.iter().next()?;
            Some(name.to_string_lossy().into_owned())
        });
        Ok(inside.collect())
    }

    fn is_file(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }
}
