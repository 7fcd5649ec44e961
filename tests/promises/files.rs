//! The files of the keystore and of `orgs.d/`, and what happens to them from outside.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::events::{DOMAINS, ORGANISATIONS, Org, Place};

/// All files, in a folder that goes away with the value.
pub(crate) struct Files {
    folder: tempfile::TempDir,
}

/// What a file of `orgs.d/` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Content {
    pub(crate) sent: Vec<usize>,
    pub(crate) parked: Vec<usize>,
    /// Ed25519; otherwise RSA, of which no keys are made here: that takes long.
    pub(crate) has_algorithm: bool,
}

impl Content {
    /// With the third domain in its place.
    pub(crate) fn of(org: Org, place: Place, is_parked: bool, has_algorithm: bool) -> Self {
        let (mut sent, mut parked) = (vec![org], vec![]);
        if is_parked {
            std::mem::swap(&mut sent, &mut parked);
        }
        match place {
            Place::Sent(one) if one == org => sent.push(2),
            Place::Parked(one) if one == org => parked.push(2),
            Place::Both => sent.push(2),
            _ => {}
        }
        Self {
            sent,
            parked,
            has_algorithm,
        }
    }
}

const SETTINGS: &str = "[keystore]\npath = \"{folder}/keys\"\n\
                        [[listener]]\nname = \"relay\"\nsocket = \"unix:{folder}/relay.sock\"\n\
                        outbound = \"all\"\n";

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let settings = SETTINGS.replace("{folder}", files.folder.path().to_str().unwrap());
        fs::write(files.path("zegel.toml"), settings).unwrap();
        for name in ["orgs.d", "away"] {
            fs::create_dir(files.path(name)).unwrap();
        }
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// In the folder of an organisation in the keystore.
    pub(crate) fn of(&self, org: Org, name: &str) -> PathBuf {
        self.path("keys").join(ORGANISATIONS[org]).join(name)
    }

    pub(crate) fn write_organisation(&self, org: Org, content: &Content) {
        let path = self.organisation_file(org);
        let _ = fs::remove_dir(&path);
        let names = |domains: &[usize]| {
            let names: Vec<_> = domains.iter().map(|one| DOMAINS[*one]).collect();
            format!("{names:?}")
        };
        let algorithm = if content.has_algorithm {
            "ed25519-sha256"
        } else {
            "rsa-sha256"
        };
        // Both come to the same selectors, which must not meet on a domain that moves.
        let text = format!(
            "domains = {}\nparked = {}\nalgorithms = [\"{algorithm}\"]\nselector = \"s-{{year}}\"\n",
            names(&content.sent),
            names(&content.parked)
        );
        fs::write(path, text).unwrap();
    }

    pub(crate) fn organisation_file(&self, org: Org) -> PathBuf {
        self.path("orgs.d")
            .join(format!("{}.toml", ORGANISATIONS[org]))
    }

    /// As a mount that failed leaves it.
    pub(crate) fn make_folder(&self, name: &str) {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }

    /// A copy with the modes as they are.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        remove(&self.path(to));
        copy(&self.path(from), &self.path(to));
    }
}

/// Whether something was there.
pub(crate) fn remove(path: &Path) -> bool {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.is_ok()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
