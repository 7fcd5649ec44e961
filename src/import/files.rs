//! How the files of another signer are reached.

use std::{io, path::Path};

/// Reads files; in tests from memory.
pub trait Files {
    /// The text of a file, whatever is not UTF-8 in it replaced.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The names in a folder.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Whether there is a file.
    fn is_file(&self, path: &Path) -> bool;
}
