//! Logins for the mail servers, in password files of Cyrus SASL.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::program;

/// The realm of all logins.
pub const REALM: &str = "testbed.example";

/// The password of the usual logins.
pub const PASSWORD: &str = "geheim";

/// A name and a password.
#[derive(Debug, Clone)]
pub struct Login {
    /// What `{auth_authen}` says.
    pub name: String,
    /// In clear text.
    pub password: String,
}

/// The logins that the options have by default: `crm` and `nieuwsbrief`.
pub fn usual() -> Vec<Login> {
    ["crm", "nieuwsbrief"].map(Login::new).into()
}

impl Login {
    /// A login with the usual password.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: PASSWORD.to_owned(),
        }
    }
}

/// Makes `folder` with a password file and the settings that name it, and returns the path of the
/// password file. `seen` is the path that the server has for the folder.
pub fn make(folder: &Path, settings: &str, seen: &Path, logins: &[Login]) -> PathBuf {
    fs::create_dir(folder).expect("a folder for Cyrus SASL");
    let text = format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n\
         sasldb_path: {}\n",
        seen.join("sasldb2").display()
    );
    fs::write(folder.join(settings), text).expect("the settings of Cyrus SASL");
    let database = folder.join("sasldb2");
    for login in logins {
        add(&database, login);
    }
    if logins.is_empty() {
        fs::write(&database, "").expect("an empty password file");
    }
    fs::set_permissions(&database, fs::Permissions::from_mode(0o600)).expect("a mode");
    database
}

fn add(database: &Path, login: &Login) {
    let mut child = Command::new(program("/usr/sbin/saslpasswd2"))
        .args(["-p", "-c", "-u", REALM, "-f"])
        .arg(database)
        .arg(&login.name)
        .stdin(Stdio::piped())
        .spawn()
        .expect("saslpasswd2 runs");
    let mut input = child.stdin.take().expect("a piped input");
    input
        .write_all(login.password.as_bytes())
        .expect("a password is taken");
    drop(input);
    let status = child.wait().expect("saslpasswd2 ends");
    assert!(status.success(), "no login {}: {status}", login.name);
}
