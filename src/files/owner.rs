//! Root at work in a folder of another user, as that user.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use rustix::{
    process::{Gid, Uid, getegid, geteuid, getgroups},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

/// Does this as the owner of the folder, if root does it: what root makes there would lock the
/// owner out, and a link that the owner puts there would lead root elsewhere. Whoever owns a folder
/// above it can put another one in its place, so the first one from the top that is not root's
/// tells who that is. Only this thread is another user meanwhile. Everybody else does it as they
/// are, and so does root where all of it is root's.
///
/// # Errors
/// When the owner cannot be told, or the system does not let root become another user.
pub fn as_owner<T>(folder: &Path, work: impl FnOnce() -> T) -> io::Result<T> {
    if !geteuid().is_root() {
        return Ok(work());
    }
    let Some((user, group)) = owner(folder)? else {
        return Ok(work());
    };
    let _back = Back::of(user, group)?;
    Ok(work())
}

/// Who may change what is at this path, if it is not root alone.
fn owner(folder: &Path) -> io::Result<Option<(Uid, Gid)>> {
    let folder = std::path::absolute(folder)?;
    let mut from_the_top: Vec<&Path> = folder.ancestors().collect();
    from_the_top.reverse();
    for path in from_the_top {
        let found = match fs::symlink_metadata(path) {
            // A link of root is as good as what it leads to.
            Ok(found) if found.is_symlink() && found.uid() == 0 => fs::metadata(path),
            found => found,
        };
        match found {
            Ok(found) if found.uid() == 0 => {}
            Ok(found) => {
                let (user, group) = (Uid::from_raw(found.uid()), Gid::from_raw(found.gid()));
                return Ok(Some((user, group)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Makes the thread root again when it is dropped.
struct Back {
    group: Gid,
    groups: Vec<Gid>,
}

impl Back {
    fn of(user: Uid, group: Gid) -> io::Result<Self> {
        // From here on, whatever fails is taken back.
        let back = Self {
            group: getegid(),
            groups: getgroups()?,
        };
        set_thread_groups(&[])?;
        set_thread_res_gid(None, group, None)?;
        set_thread_res_uid(None, user, None)?;
        Ok(back)
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        // Root may always become root again: it still is the saved user. Should the system not
        // let it, the thread has fewer rights than it could have, and says so when it needs them.
        let _ = set_thread_res_uid(None, Uid::ROOT, None);
        let _ = set_thread_res_gid(None, self.group, None);
        let _ = set_thread_groups(&self.groups);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn root_makes_files_of_the_owner_and_follows_no_link_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        let secret = folder.path().join("secret");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&secret, "x").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let owner = |path: &Path| fs::metadata(path).map(|found| (found.uid(), found.gid()));
        let ours = owner(&secret).unwrap();
        let write = |name: &str| fs::write(inner.join(name), "");
        assert!(!geteuid().is_root() || chown(&inner, Some(4711), Some(4712)).is_ok());
        as_owner(&inner, || write("one")).unwrap().unwrap();
        assert_eq!(owner(&inner.join("one")).unwrap(), owner(&inner).unwrap());
        // And afterwards it is as before.
        write("two").unwrap();
        assert_eq!(owner(&inner.join("two")).unwrap(), ours);
        symlink(&secret, inner.join("link")).unwrap();
        let followed = as_owner(&inner, || write("link")).unwrap();
        assert_eq!(followed.is_err(), geteuid().is_root());
        as_owner(&inner.join("missing"), || ()).unwrap();
        // A link in the place of the folder, to one of somebody else, makes nobody that one.
        symlink(folder.path(), inner.join("elsewhere")).unwrap();
        let elsewhere = inner.join("elsewhere");
        let read = as_owner(&elsewhere, || fs::read(elsewhere.join("secret"))).unwrap();
        assert_eq!(read.is_err(), geteuid().is_root());
        let who = as_owner(&elsewhere, geteuid).unwrap();
        assert!(!geteuid().is_root() || who.as_raw() == 4711, "{who:?}");
    }
}
