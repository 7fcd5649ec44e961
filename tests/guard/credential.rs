//! A keystore that nobody can write to, and one that comes as a credential of systemd.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::sandbox::{inside, launch, lives};
use super::support::checkout;
use super::{NOBODY, give, of_nobody};

/// 0500 and 0400, as far as it goes down.
fn close(path: &Path) {
    let folder = path.is_dir();
    if folder {
        for entry in fs::read_dir(path).expect("a folder") {
            close(&entry.expect("an entry").path());
        }
    }
    let mode = if folder { 0o500 } else { 0o400 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_keystore_that_can_only_be_read_is_enough() {
    let mut zegel = of_nobody("");
    close(&zegel.path("keys"));
    let prefix = inside(&zegel, &[], &[]);
    launch(&mut zegel, &prefix);
    lives(&mut zegel);
}

/// What the drop-in does before the start, with its own words.
#[test]
fn a_keystore_comes_out_of_a_credential() {
    let mut zegel = of_nobody("");
    let (keys, store) = (zegel.path("keys"), zegel.path("credentials"));
    fs::create_dir(&store).expect("a folder");
    let packed = Command::new("tar")
        .args(["-C".as_ref(), keys.as_os_str(), "-cf".as_ref()])
        .args([store.join("keys.tar").as_os_str(), ".".as_ref()])
        .status();
    assert!(packed.expect("tar runs").success());
    give(&store, NOBODY);
    close(&store);
    fs::remove_dir_all(&keys).expect("a keystore");
    fs::create_dir(&keys).expect("the RuntimeDirectory");
    give(&keys, NOBODY);

    let drop_in = checkout().join("systemd/zegel.service.d/keys-credential.conf");
    let text = fs::read_to_string(&drop_in).expect("a drop-in");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStartPre="));
    let command = line
        .expect("what it does before the start")
        .replace("${CREDENTIALS_DIRECTORY}", &store.display().to_string())
        .replace("/run/zegel-keys", &keys.display().to_string());
    // Inside the same restrictions, and with the umask of the unit.
    let before = inside(&zegel, &[], &["--writable", &keys.display().to_string()]);
    let output = Command::new("sh")
        .args(["-c", "umask 0077; exec \"$@\"", "sh"])
        .args(&before)
        .args(command.split(' '))
        .output()
        .expect("unshare runs");
    assert!(output.status.success(), "{output:?}");

    let prefix = inside(&zegel, &[], &[]);
    launch(&mut zegel, &prefix);
    lives(&mut zegel);
}
