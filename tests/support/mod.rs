//! The test bed: real Postfix and Sendmail instances, an SMTP client, a sink that keeps what
//! leaves, and a milter client that can misbehave.
//!
//! Everything listens on 127.0.0.1, lives below a temporary folder and is gone when its value is
//! dropped, or when the test process dies. What cannot be set up panics with the reason and, where
//! a package is missing, with the name of `tests/install-packages`: nothing is ever skipped.
//!
//! ```text
//!   smtp::Client ──> postfix::Postfix / sendmail::Sendmail ──> sink::Sink
//!                          │   ▲
//!                          ▼   │
//!                  the milter under test  <── milter::Connection
//! ```

// Each file of tests/ is a crate of its own and uses another part of this module.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod arrivals;
pub mod corpus;
pub mod keeper;
pub mod logins;
pub mod milter;
pub mod name_query;
pub mod name_server;
pub mod name_world;
pub mod opendkim;
pub mod port;
pub mod postfix;
pub mod postgres;
pub mod process;
pub mod reports;
pub mod sandbox;
pub mod sendmail;
pub mod signatures;
pub mod sink;
pub mod smtp;
pub mod stage;
pub mod trials;
pub mod verifiers;
pub mod verify;
pub mod zegel;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The checkout that the tests belong to.
pub fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Panics unless the test runs as root, which the mail servers need.
pub fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "tests with real mail servers run as root (after tests/install-packages): \
         try `sudo -E cargo test`"
    );
}

/// The text of a settings fragment below `conf/`, which users copy and the test bed uses as it is.
pub fn fragment(path: &str) -> String {
    let path = checkout().join("conf").join(path);
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// A new temporary folder that every user may enter.
pub fn open_folder(name: &str) -> tempfile::TempDir {
    let folder = tempfile::Builder::new()
        .prefix(&format!("zegel-{name}-"))
        .tempdir()
        .expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    folder
}
