//! What can be wrong in a keystore. Each message names the file and the way out.

mod sealing;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

pub use self::sealing::{SealingError, UnusedSealingKey};

use crate::{
    dkim::key::{Fingerprint, KeyError},
    keys::{Change, ChangeRefusal, CommandError, KeyringProblem, Place},
    names::{DomainName, OrganisationId, Selector},
    sealing::SealedProblem,
    shell,
};

/// A file or folder that is not used.
#[derive(Debug)]
pub struct FileError {
    /// Which one.
    pub path: PathBuf,
    /// Why.
    pub problem: FileProblem,
}

impl FileError {
    pub(super) fn new(path: impl Into<PathBuf>, problem: FileProblem) -> Self {
        Self {
            path: path.into(),
            problem,
        }
    }

    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => FileProblem::Missing,
            _ => FileProblem::Io(error),
        };
        Self::new(path, problem)
    }
}

impl std::error::Error for FileError {}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path.display(), self.problem)?;
        match self.problem.advice(&self.path) {
            Some(advice) => write!(formatter, "; {advice}"),
            None => Ok(()),
        }
    }
}

/// Why a file or folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It is not there.
    #[error("it does not exist")]
    Missing,
    /// It is not followed: it could point to another key from one moment to the next.
    #[error("it is a symbolic link")]
    Symlink,
    /// A folder, a pipe, a socket or a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// Something else where a folder should be; links are not followed.
    #[error("it is not a folder")]
    NotAFolder,
    /// It has other names, perhaps in a folder where others may go.
    #[error("it has {count} names (hard links)")]
    HardLinks {
        /// How many.
        count: u64,
    },
    /// It belongs to someone else.
    #[error("it belongs to user {user}, not to user {expected} or root")]
    Owner {
        /// To whom.
        user: u32,
        /// To whom it should.
        expected: u32,
    },
    /// Others may use the file.
    #[error("it can be used by others (mode {:04o})", mode & 0o7777)]
    FileMode {
        /// The mode as it is.
        mode: u32,
    },
    /// Others may change what is in the folder.
    #[error("others can write in this folder (mode {:04o})", mode & 0o7777)]
    FolderMode {
        /// The mode as it is.
        mode: u32,
    },
    /// Others may put another keystore in the place of this one.
    #[error("others can write in this folder above the keystore (mode {:04o})", mode & 0o7777)]
    ParentMode {
        /// The mode as it is.
        mode: u32,
    },
    /// Far longer than it can be.
    #[error("it has {octets} octets, far more than such a file has")]
    TooLarge {
        /// How many it has.
        octets: u64,
    },
    /// No permission to read it.
    #[error("there is no permission to read it")]
    Unreadable {
        /// The owner of the keystore.
        user: u32,
    },
    /// Anything else that the system says.
    #[error("{0}")]
    Io(io::Error),
}

impl FileProblem {
    /// The command that mends it, if there is one that is always right.
    fn advice(&self, path: &Path) -> Option<String> {
        let path = shell::quoted_path(path);
        match self {
            Self::Symlink => Some(format!(
                "put the file itself there: cp --remove-destination \"$(readlink -f {path})\" {path}"
            )),
            Self::HardLinks { .. } => Some(format!(
                "make it a file of its own: cp -p {path} {path}.new && mv {path}.new {path}"
            )),
            Self::NotAFile | Self::NotAFolder | Self::TooLarge { .. } => Some(format!(
                "mv {path} {path}.wrong, and restore it from a back-up"
            )),
            Self::Owner { expected, .. } => Some(format!("chown {expected} {path}")),
            Self::FileMode { .. } => Some(format!("chmod 600 {path}")),
            Self::FolderMode { .. } => Some(format!("chmod 700 {path}")),
            Self::ParentMode { .. } => Some(format!("chmod go-w {path}")),
            Self::Unreadable { user } => Some(format!("chown {user} {path} && chmod 600 {path}")),
            Self::Io(error) => way_out(error).map(|way| format!("nothing was changed; {way}")),
            Self::Missing => None,
        }
    }
}

/// What to do about a disk that takes no more. Only writing gives these errors.
fn way_out(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("make room on this file system, and do it again")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("make this file system writable (mount -o remount,rw), and do it again")
        }
        _ => None,
    }
}

/// A key that is not used, while the others of its organisation are.
#[derive(Debug)]
pub struct KeyProblem {
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Which one.
    pub selector: Selector,
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub refusal: KeyRefusal,
}

impl std::error::Error for KeyProblem {}

impl KeyProblem {
    /// Whether it says nothing about the key: the system could not read the file just then,
    /// as for want of descriptors or memory.
    pub fn is_of_the_moment(&self) -> bool {
        match &self.refusal {
            KeyRefusal::File(file) => matches!(file.problem, FileProblem::Io(_)),
            KeyRefusal::Sealing(error) => error.may_pass(),
            _ => false,
        }
    }
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refusal {
            KeyRefusal::File(error) => write!(formatter, "{error}")?,
            other => write!(formatter, "{}: {other}", self.path.display())?,
        }
        write!(
            formatter,
            " (key {} of {} is not used)",
            self.selector, self.organisation
        )
    }
}

/// Why a key is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyRefusal {
    /// Its file is in the keyring and not in the folder.
    #[error("the key file is missing: restore it from a back-up, or make a new key")]
    Missing,
    /// Its file is unsafe or cannot be read.
    #[error(transparent)]
    File(FileError),
    /// What is in its file is not a key that signs.
    #[error("{0}; restore it from a back-up, or make a new key")]
    Key(KeyError),
    /// It is sealed, and does not open.
    #[error("{0}")]
    Sealed(SealedProblem),
    /// It is sealed, and a sealing key can't be read.
    #[error("it is sealed, and can't be opened: {0}")]
    Sealing(SealingError),
    /// It is sealed for a keystore whose id nobody knows.
    #[error(
        "it is sealed, and the keystore has no id, without which no sealed key opens: restore \
         the file keystore.id from a back-up"
    )]
    NoId,
    /// Its file holds another key.
    #[error(
        "the file holds another key than the keyring says \
         (fingerprint {found}, not {expected}): restore it from a back-up"
    )]
    OtherKey {
        /// Of the keyring.
        expected: Fingerprint,
        /// Of the file.
        found: Fingerprint,
    },
    /// The mark knows that it signs no more, and an older keyring does not.
    #[error(
        "it was given up on {time:.0}, and an older copy of the keystore brought it back: run \
         `zegel keystore restore`, which gives it up here too"
    )]
    GivenUp {
        /// When.
        time: Timestamp,
    },
    /// Its file is in the folder and not in the keyring.
    #[error(
        "the key is not in the keyring, so it is not used: move the file away, \
         and bring it in with `zegel key import` if it is needed"
    )]
    NotInKeyring,
    /// The same, and it is sealed: which key it is to be stands nowhere.
    #[error(
        "the key is sealed and not in the keyring, so that nothing can open it: restore the \
         keyring from a back-up if it named this key, or remove the file"
    )]
    SealedStray,
    /// The folder has it, or has it further, and the database that it is a copy of does not.
    #[error(
        "the database does not have this key, or knows less of it: `zegel database upload` \
         brings it there"
    )]
    NotInDatabase,
}

/// Why the keystore, or an organisation in it, cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder of the keystore itself is not there.
    #[error(
        "{}: there is no keystore; make it with `install -d -m 700 -o USER {}`, \
         where USER is the one that zegel runs as, or set [keystore] path",
        .0.display(), shell::quoted_path(.0)
    )]
    NoKeystore(PathBuf),
    /// A private key would be given to others in the clear.
    #[error(
        "{}: the key lies in the clear, and only sealed keys go into a database: set [keystore] \
         sealing_keys, and run `zegel keystore seal`",
        .0.display()
    )]
    NotSealed(PathBuf),
    /// The folder belongs to another keystore than the database.
    #[error(
        "{}: this folder is of another keystore than the database: set [keystore] path to an \
         empty folder, or [database] url to the database of this one",
        .0.display()
    )]
    OtherKeystore(PathBuf),
    /// The folder is a copy, and what is changed here would be lost.
    #[error(
        "this relay follows the database: run this on the relay that leads, which `zegel database \
         status` names, or set [keeper] lead = true here, and false there"
    )]
    Follows,
    /// Which state of a database the folder has can't be told.
    #[error("{}: it is broken: remove it, and run `zegel database sync`", .0.display())]
    CopyState(PathBuf),
    /// The folder is there, and nothing says that it was ever a keystore.
    #[error(
        "{}: this folder was never made a keystore: if the keystore is on a file system of its \
         own, mount it; if this is to be a new one, run `zegel keystore init`",
        .0.display()
    )]
    NotInitialised(PathBuf),
    /// The folder is empty, and there was a keystore.
    #[error(
        "{}: the keystore is empty, though {} says that there was one: mount it, or restore it \
         from a backup with `zegel keystore restore --from DIR`",
        path.display(), mark.display()
    )]
    EarlierThanMark {
        /// The folder.
        path: PathBuf,
        /// What says so.
        mark: PathBuf,
    },
    /// The folder is no keystore, and has something else in it.
    #[error(
        "{}: this folder is no keystore, and {name} is in it: set [keystore] path to an empty \
         folder, or move what is there away",
        path.display()
    )]
    SomethingElse {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        name: String,
    },
    /// A backup would be mixed with what is there.
    #[error(
        "{}: the keystore is not empty; move what is there away before a backup is restored into \
         this folder",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// What is in `keystore.id` is not an id.
    #[error("{}: it is not the id of a keystore: restore this file from a backup", .0.display())]
    NotAnId(PathBuf),
    /// Keys are sealed for a keystore whose id nobody knows.
    #[error(
        "{}: keystore.id is missing, and keys are sealed for the keystore that it names: restore \
         this file from a backup",
        .0.display()
    )]
    IdIsMissing(PathBuf),
    /// The keyring of an organisation.
    #[error("{place}: {problem}")]
    Keyring {
        /// Where it is kept.
        place: Place,
        /// What is wrong.
        problem: KeyringProblem,
    },
    /// The file of what was handed over is none of ours.
    #[error(
        "{place}: it does not say what was handed over when: {why}; upgrade zegel if a later one \
         wrote it, or take the file away: only those dates are lost"
    )]
    HandedOver {
        /// Where it is kept.
        place: Place,
        /// What is wrong.
        why: String,
    },
    /// Nothing is changed that the audit log does not tell of.
    #[error(
        "{place}: nothing was changed, since it cannot be told here: {error}{}",
        way_out(error).map(|way| format!("; {way}")).unwrap_or_default()
    )]
    Audit {
        /// The audit log.
        place: Place,
        /// What the system says.
        error: io::Error,
    },
    /// Not a number.
    #[error("{}: it is not a number; write a number there that is higher than ever before", .0.display())]
    Generation(PathBuf),
    /// A key can be neither opened nor sealed.
    #[error("{0}")]
    Sealing(SealingError),
    /// Another process is writing.
    #[error("{}: the keystore is locked by {holder}; try again when it is done", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// An id that is the name of a file of the keystore.
    #[error("an organisation cannot have the id {0}: the keystore has a file of that name")]
    ReservedName(OrganisationId),
    /// A selector belongs to one key for ever.
    #[error(
        "{organisation} has or had a key with the selector {selector}: choose another selector"
    )]
    SelectorUsed {
        /// Whose.
        organisation: OrganisationId,
        /// Which.
        selector: Selector,
    },
    /// There is one record of a name.
    #[error(
        "{organisation} has or had a key with the selector {selector} for {domain}: choose \
         another selector"
    )]
    SelectorTaken {
        /// Who has it.
        organisation: OrganisationId,
        /// Which.
        selector: Selector,
        /// For which domain.
        domain: DomainName,
    },
    /// A key belongs to one organisation, under one selector.
    #[error("this key is already that of {organisation}, with the selector {selector}")]
    KeyKnown {
        /// Whose.
        organisation: OrganisationId,
        /// Which.
        selector: Selector,
    },
    /// It signed once, and must not sign again.
    #[error(
        "this key was given up: {organisation} had it, with the selector {selector}; make a new \
         one with `zegel key generate`"
    )]
    KeyGivenUp {
        /// Whose it was.
        organisation: OrganisationId,
        /// Which.
        selector: Selector,
    },
    /// Each selector of the template has, or had, a key.
    #[error(
        "{0}: no selector is free for a new key; change `selector` in the file of the organisation"
    )]
    NoFreeSelector(OrganisationId),
    /// No such key.
    #[error("{organisation} has no key with the selector {selector}")]
    UnknownKey {
        /// Whose it would be.
        organisation: OrganisationId,
        /// Which it would be.
        selector: Selector,
    },
    /// A key cannot be made, or brought in.
    #[error("the key cannot be used: {0}")]
    Key(#[from] KeyError),
    /// A key cannot be used, or is in the way.
    #[error(transparent)]
    UnusableKey(Box<KeyProblem>),
    /// What the operator wants of a key cannot be done.
    #[error(transparent)]
    Command(CommandError),
    /// A plan for the keys of an organisation is not carried out.
    #[error("{organisation}: {selector}, for {domain}: {refusal}; nothing was changed")]
    Change {
        /// Whose keys.
        organisation: OrganisationId,
        /// The key.
        selector: Selector,
        /// The domain.
        domain: DomainName,
        /// Why.
        refusal: ChangeRefusal,
    },
}

impl KeystoreError {
    /// Whether only a change of the configuration, or of the file of a sealing key, helps: it is
    /// not worth trying again.
    pub fn is_of_configuration(&self) -> bool {
        matches!(self, Self::Sealing(error) if !error.may_pass())
    }

    pub(super) fn not_changed(
        organisation: &OrganisationId,
        (change, refusal): (&Change, ChangeRefusal),
    ) -> Self {
        Self::Change {
            organisation: organisation.clone(),
            selector: change.selector.clone(),
            domain: change.domain.clone(),
            refusal,
        }
    }
}
