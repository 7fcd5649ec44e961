//! OpenDKIM as a milter: it proves the test bed, and is the peer to compare with.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::open_folder;
use super::process::{GUARD, Supervised, program, read_lossy};

/// An OpenDKIM that signs, for one domain with a key that it makes or as it is told.
#[derive(Debug)]
pub struct OpenDkim {
    _process: Supervised,
    folder: tempfile::TempDir,
    domain: String,
}

impl OpenDkim {
    /// Starts it for `domain`, with selector `test` and the socket in a folder of its own.
    pub fn start(domain: &str) -> Self {
        let folder = open_folder("opendkim");
        let path = folder.path().display();
        make_key(folder.path());
        let settings = format!(
            "Mode s\nDomain {domain}\nSelector test\nKeyFile {path}/key.pem\n\
             RequireSafeKeys no\nCanonicalization relaxed/relaxed\n\
             InternalHosts 0.0.0.0/0\nExternalIgnoreList 0.0.0.0/0\n"
        );
        Self::launch(folder, domain, &settings)
    }

    /// Starts it over a configuration, which is read with a socket of its own added.
    pub fn over(settings: &str) -> Self {
        Self::launch(open_folder("opendkim"), "", settings)
    }

    fn launch(folder: tempfile::TempDir, domain: &str, settings: &str) -> Self {
        program("/usr/sbin/opendkim");
        let path = folder.path().display();
        let settings =
            format!("{settings}\nSyslog no\nSocket local:{path}/socket/relay.sock\nUMask 000\n");
        fs::create_dir(folder.path().join("socket")).expect("a folder for the socket");
        fs::write(folder.path().join("opendkim.conf"), settings).expect("a settings file");
        let mut command = Command::new("bash");
        // It would take five seconds to end by itself.
        let script =
            format!(r#"{GUARD} guard 'kill -9 "$daemon"' opendkim -f -x "$0/opendkim.conf""#);
        command.args(["-c", &script]).arg(folder.path());
        let output = folder.path().join("output");
        let mut process = Supervised::start("OpenDKIM", command, &output);
        let socket = folder.path().join("socket/relay.sock");
        // Its name is there a moment before anyone listens.
        process.wait_until(
            "it takes a connection",
            || read_lossy(&output),
            || UnixStream::connect(&socket).is_ok(),
        );
        Self {
            _process: process,
            folder,
            domain: domain.to_owned(),
        }
    }

    /// The milter's address, as `unix:/…`.
    pub fn milter(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// The DNS name and text of its key, for [`super::verify`].
    pub fn record(&self) -> (String, String) {
        let public = Command::new("/usr/bin/openssl")
            .args(["rsa", "-pubout", "-in"])
            .arg(self.folder.path().join("key.pem"))
            .output()
            .expect("openssl runs");
        let pem = String::from_utf8_lossy(&public.stdout);
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let name = format!("test._domainkey.{}", self.domain);
        (name, format!("v=DKIM1; k=rsa; p={base64}"))
    }

    /// The path of the socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket/relay.sock")
    }
}

fn make_key(folder: &Path) {
    let made = Command::new(program("/usr/bin/openssl"))
        .args(["genrsa", "-traditional", "-out"])
        .arg(folder.join("key.pem"))
        .arg("2048")
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "no key: {made:?}");
}
