//! Why keys can be neither opened nor sealed.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use super::{FileError, FileProblem};
use crate::sealing::{SealingKeyId, SealingKeyProblem};

/// Why keys can be neither opened nor sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// A bare name, and no credentials.
    #[error(
        "sealing key {0}: a name without / is a credential of systemd, and $CREDENTIALS_DIRECTORY \
         is not set here: while the service runs, root can set it for a command \
         (CREDENTIALS_DIRECTORY=/run/credentials/zegel.service zegel ...); or write the path of a \
         file into [keystore] sealing_keys"
    )]
    NoCredentials(String),
    /// Its file is unsafe or can't be read.
    #[error("sealing key {0}")]
    File(FileError),
    /// A folder above its file is unsafe. Whose folder that is nobody knows here, so nobody is told
    /// to change its mode.
    #[error(
        "sealing key {}: {}: {}; put the file into a folder of its own, which nobody else can \
         write in, nor in those above it",
        file.display(),
        folder.path.display(),
        folder.problem
    )]
    Folder {
        /// The file.
        file: PathBuf,
        /// What is wrong with which folder.
        folder: FileError,
    },
    /// What is in its file is no sealing key.
    #[error("sealing key {}: {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: SealingKeyProblem,
    },
    /// None of the keys could be opened.
    #[error(
        "no key of this keystore can be opened: its keys are sealed with {}, and [keystore] \
         sealing_keys has {}; add the file of the sealing key that is wanted",
        list(wanted.iter()),
        list(there.iter().map(|(path, id)| format!("{id} ({})", path.display())))
    )]
    NoneFits {
        /// The ids that the keys name.
        wanted: BTreeSet<SealingKeyId>,
        /// The files, and what is in them.
        there: Vec<(PathBuf, SealingKeyId)>,
    },
    /// Keys are sealed with these, which are in use and not among those that are to come.
    #[error(
        "keys are still sealed with {}, which [keystore] sealing_keys has no more: name its file \
         there behind the first one, and take it out when `zegel keystore seal` has been run and \
         no key is sealed with it",
        list(.0.iter())
    )]
    StillNeeded(BTreeSet<SealingKeyId>),
    /// There is nothing to seal with.
    #[error(
        "no sealing key is configured: make one with `zegel keystore sealing-key FILE`, and name \
         it in [keystore] sealing_keys"
    )]
    NotConfigured,
    /// The system fails.
    #[error("the key can't be sealed: {0}")]
    System(String),
}

impl SealingError {
    /// What is wrong with the file of a sealing key, or with a folder above it.
    pub(in crate::keystore) fn of_file(file: &Path, error: FileError) -> Self {
        let is_of_folder = match error.problem {
            FileProblem::FolderMode { .. } | FileProblem::ParentMode { .. } => true,
            // The path is without links, and ends as it was given.
            FileProblem::Owner { .. } => error.path.file_name() != file.file_name(),
            _ => false,
        };
        if !is_of_folder {
            return Self::File(error);
        }
        Self::Folder {
            file: file.to_owned(),
            folder: error,
        }
    }

    /// Whether it may come right by itself: whoever brings the sealing key may be late.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::File(error) => matches!(
                error.problem,
                FileProblem::Missing | FileProblem::Unreadable { .. } | FileProblem::Io(_)
            ),
            Self::Key { problem, .. } => problem.may_pass(),
            Self::System(_) => true,
            Self::NoCredentials(_)
            | Self::Folder { .. }
            | Self::NoneFits { .. }
            | Self::StillNeeded(_)
            | Self::NotConfigured => false,
        }
    }
}

/// A file of a sealing key that is not there, though no key names another one than those that are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnusedSealingKey(pub PathBuf);

impl fmt::Display for UnusedSealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "sealing key {}: it does not exist, and no key names it: take it out of [keystore] \
             sealing_keys",
            self.0.display()
        )
    }
}

fn list(items: impl Iterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}
