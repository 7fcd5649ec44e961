//! Keys on a mount that can only be read, as Kubernetes makes one of a secret: each name is a
//! link, each file is 0440 and of root, with the group of the service.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sandbox::{inside, launch, lives};
use super::support::checkout;
use super::support::zegel::Zegel;
use super::{NOBODY, give, of_nobody};

/// Root's, for the group of the service to read, and no one's to write.
fn mounted(path: &Path) {
    let folder = path.is_dir();
    if folder {
        for entry in fs::read_dir(path).expect("a folder") {
            mounted(&entry.expect("an entry").path());
        }
    }
    chown(path, Some(0), Some(NOBODY)).expect("an owner");
    let mode = if folder { 0o750 } else { 0o440 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// Moves what is in the keystore into such a mount; the keystore is empty then.
fn moved(zegel: &Zegel, content: &Path) -> PathBuf {
    let (keys, mount) = (zegel.path("keys"), zegel.path("mount"));
    let data = mount.join("..2026_11_28_23_59_59.123456789");
    fs::create_dir(&mount).expect("a mount");
    fs::rename(content, &data).expect("its content");
    mounted(&mount);
    symlink(data.file_name().expect("a name"), mount.join("..data")).expect("a link");
    for entry in fs::read_dir(&data).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        symlink(Path::new("..data").join(&name), mount.join(&name)).expect("a link");
    }
    let _ = fs::remove_dir_all(&keys);
    fs::create_dir(&keys).expect("the folder for the copy");
    give(&keys, NOBODY);
    mount
}

/// Does what is to be done before the start, as the service would.
fn before_start(zegel: &Zegel, command: &str) {
    let keys = zegel.path("keys").display().to_string();
    let prefix = inside(zegel, &[], &["--writable", &keys]);
    let output = Command::new("sh")
        .args(["-c", "umask 0077; exec \"$@\"", "sh"])
        .args(&prefix)
        .args(["sh", "-c", command])
        .output()
        .expect("unshare runs");
    assert!(output.status.success(), "{command}: {output:?}");
}

#[test]
fn a_mount_of_links_is_no_keystore_and_its_copy_is() {
    let mut zegel = of_nobody("");
    let mount = moved(&zegel, &zegel.path("keys"));
    let text = fs::read_to_string(checkout().join("systemd/zegel.service.d/keys-mount.conf"));
    let text = text.expect("a drop-in");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStartPre=/bin/sh -c \""));
    let command = line
        .and_then(|line| line.strip_suffix('"'))
        .expect("what it does before the start")
        .replace("/mnt/zegel-keys", &mount.display().to_string())
        .replace("/run/zegel-keys", &zegel.path("keys").display().to_string());
    before_start(&zegel, &command);
    let hidden = fs::read_dir(zegel.path("keys")).expect("a copy");
    let mut names = hidden.map(|entry| entry.expect("an entry").file_name());
    assert!(names.all(|name| !name.as_encoded_bytes().starts_with(b"..")));
    let prefix = inside(&zegel, &[], &[]);
    launch(&mut zegel, &prefix);
    lives(&mut zegel);
}

/// The command of docs/keys.md for a secret that holds the keystore in one file.
#[test]
fn a_secret_with_one_archive_becomes_a_keystore() {
    let mut zegel = of_nobody("");
    let content = zegel.path("content");
    fs::create_dir(&content).expect("a folder");
    let packed = Command::new("tar")
        .args(["-C".as_ref(), zegel.path("keys").as_os_str()])
        .args(["-cf".as_ref(), content.join("keys.tar").as_os_str()])
        .arg(".")
        .status();
    assert!(packed.expect("tar runs").success());
    let mount = moved(&zegel, &content);
    let page = fs::read_to_string(checkout().join("docs/keys.md")).expect("a page");
    let mut lines = page.lines().map(str::trim);
    let line = lines.find(|line| line.starts_with("umask 0077; tar "));
    let command = line
        .expect("the command")
        .replace("/run/secrets/zegel", &mount.display().to_string())
        .replace("/run/zegel-keys", &zegel.path("keys").display().to_string());
    before_start(&zegel, &command);
    let prefix = inside(&zegel, &[], &[]);
    launch(&mut zegel, &prefix);
    lives(&mut zegel);
}
