//! A configuration and a keystore in a folder of their own, and the binary over them.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use zegel::keystore::{Keystore, make_sealing_key};

pub(crate) const RSA_KEY: &str = "tests/fixtures/keys/unsafe-rsa2048-pkcs8.pem";
pub(crate) const OTHER_RSA_KEY: &str = "tests/fixtures/keys/unsafe-rsa3072-pkcs8.pem";
pub(crate) const ED25519_KEY: &str = "tests/fixtures/keys/unsafe-ed25519-v1.pem";

pub(crate) const MESSAGE: &str = "From: Een <een@voorbeeld.nl>\nTo: twee@example.com\nSubject: hoi\n\n\
                           Dag,\n\nde groeten.\n";

pub(crate) struct Setup {
    folder: TempDir,
}

/// Whether keys lie sealed in these tests.
pub(crate) fn is_sealed() -> bool {
    std::env::var_os("ZEGEL_TEST_SEALED").is_some()
}

/// What a command did.
pub(crate) struct Done {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Setup {
    /// The organisation `voorbeeld`, and no keys.
    pub(crate) fn new() -> Self {
        let setup = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::create_dir(setup.path("orgs.d")).unwrap();
        setup.make_keystore();
        let keys = setup.path("keys");
        setup.write(
            "zegel.toml",
            &format!(
                // Nobody listens on port 1, and the system says so at once.
                "[keystore]\npath = \"{}\"\n{}[keeper]\nresolvers = [\"127.0.0.1:1\"]\n",
                keys.display(),
                setup.sealing()
            ),
        );
        setup.write(
            "orgs.d/voorbeeld.toml",
            "name = \"Gemeente Voorbeeld\"\n\
             domains = [\"voorbeeld.nl\", \"nieuws.voorbeeld.nl\"]\n\
             parked = [\"oud-voorbeeld.nl\"]\n",
        );
        setup
    }

    /// With the RSA key `s1` in use for all domains of `voorbeeld`.
    pub(crate) fn with_key() -> Self {
        let setup = Self::new();
        let arguments = ["key", "import", "voorbeeld", RSA_KEY, "--selector", "s1"];
        setup
            .run(arguments.into_iter().chain(["--assume-published"]))
            .expect(0);
        setup
    }

    pub(crate) fn make_keystore(&self) {
        Keystore::create(&self.path("keys")).unwrap();
    }

    /// The setting with which keys lie sealed, if they are to.
    fn sealing(&self) -> String {
        if !is_sealed() {
            return String::new();
        }
        let file = self.path("sealing.key");
        make_sealing_key(&file).unwrap();
        format!("sealing_keys = [\"{}\"]\n", file.display())
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, text: &str) -> String {
        let path = self.path(relative);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = zegel();
        command.arg("--config").arg(self.path("zegel.toml"));
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Done {
        finish(self.command().args(arguments), b"")
    }

    /// With this on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Done {
        finish(self.command().args(arguments), input)
    }
}

impl Done {
    /// That it ended with this status.
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(
            self.status, status,
            "standard output:\n{}\nstandard error:\n{}",
            self.out, self.err
        );
        self
    }

    /// That it said each of these on standard error, and said everything in our name.
    #[track_caller]
    pub(crate) fn complains(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.err.contains(text), "no {text:?} in:\n{}", self.err);
        }
        for line in self.err.lines() {
            assert!(line.starts_with("zegel: "), "{line}");
        }
        self
    }

    /// That it said each of these on standard output.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.out.contains(text), "no {text:?} in:\n{}", self.out);
        }
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// A member of the document that it printed, such as `keys`.
    pub(crate) fn member(&self, name: &str) -> Value {
        self.json()[name].take()
    }

    /// That it warned a program of each of these, and said nothing else.
    #[track_caller]
    pub(crate) fn warns(self, texts: &[&str]) -> Self {
        assert_eq!(self.err, "");
        let warnings = self.member("warnings").to_string();
        for text in texts {
            assert!(warnings.contains(text), "no {text:?} in {warnings}");
        }
        self
    }
}

/// The binary, in an environment that says nothing to it.
pub(crate) fn zegel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zegel"));
    command.env_remove("ZEGEL_CONFIG");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    command
}

pub(crate) fn finish(command: &mut Command, input: &[u8]) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    Done {
        status: status.code().expect("no signal ended it"),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}
