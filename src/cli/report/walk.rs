//! The files that a path stands for.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// Folders within folders that are walked.
const DEPTH: usize = 64;

/// A file to be read, or why a path cannot be walked.
pub(super) type Walked = Result<PathBuf, (PathBuf, io::Error)>;

/// Hands on every file below `path`, in the order of their names. In a folder, what is no
/// regular file is left alone. Of a Maildir, so is what is still being written, and what mail
/// servers keep beside the messages.
pub(super) fn walk(path: &Path, each: &mut dyn FnMut(Walked)) {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => each(Ok(path.to_owned())),
        Ok(found) if found.is_dir() => folder(path, 0, each),
        Ok(_) => {
            let error = io::Error::other("this is neither a file nor a folder");
            each(Err((path.to_owned(), error)));
        }
        Err(error) => each(Err((path.to_owned(), error))),
    }
}

fn folder(path: &Path, depth: usize, each: &mut dyn FnMut(Walked)) {
    let entries = fs::read_dir(path).and_then(|entries| {
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            names.push((entry.file_name(), entry.file_type()?));
        }
        Ok(names)
    });
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return each(Err((path.to_owned(), error))),
    };
    entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let has = |name: &str| {
        entries
            .iter()
            .any(|(one, kind)| one == name && kind.is_dir())
    };
    let is_maildir = has("cur") && has("new");
    for (name, kind) in &entries {
        let below = path.join(name);
        if kind.is_file() {
            if !(is_maildir && is_of_server(name)) {
                each(Ok(below));
            }
        } else if kind.is_dir() && !(is_maildir && name == "tmp") {
            if depth < DEPTH {
                folder(&below, depth + 1, each);
            } else {
                let error = io::Error::other("folders are walked 64 deep");
                each(Err((below, error)));
            }
        }
    }
}

/// Marks, quotas and indexes of Maildir++, Dovecot and Courier.
fn is_of_server(name: &OsStr) -> bool {
    const NAMES: [&str; 3] = ["maildirfolder", "maildirsize", "subscriptions"];
    const BEGINNINGS: [&[u8]; 2] = [b"dovecot", b"courierimap"];
    let octets = name.as_encoded_bytes();
    NAMES.iter().any(|one| name == *one) || BEGINNINGS.iter().any(|one| octets.starts_with(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["cur", "new", "tmp", "a", ".Archive/Aggregate/cur"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::create_dir(root.join(".Archive/Aggregate/new")).unwrap();
        let beside = [
            "maildirfolder",
            "dovecot.index.log",
            ".Archive/Aggregate/maildirfolder",
        ];
        let messages = ["cur/2", "new/1", "tmp/3", "a/x", ".Archive/Aggregate/cur/4"];
        for name in messages.into_iter().chain(beside) {
            fs::write(root.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("a/loop")).unwrap();
        std::os::unix::net::UnixListener::bind(root.join("a/socket")).unwrap();
        let mut found = Vec::new();
        walk(root, &mut |file| {
            let file = file.unwrap();
            found.push(file.strip_prefix(root).unwrap().display().to_string());
        });
        assert_eq!(found, [".Archive/Aggregate/cur/4", "a/x", "cur/2", "new/1"]);
        let mut failed = 0;
        for path in ["a/socket", "missing"] {
            walk(&root.join(path), &mut |file| {
                failed += usize::from(file.is_err());
            });
        }
        assert_eq!(failed, 2);
    }
}
