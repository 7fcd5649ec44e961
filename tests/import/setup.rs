//! A folder with the set-up of another signer, and the command over it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const WEAK_KEY: &str = "tests/fixtures/keys/unsafe-rsa1024-pkcs8.pem";

pub(crate) struct Folder(TempDir);

impl Folder {
    /// With `keys/0.pem` and so on, as many as asked for.
    pub(crate) fn with_keys(number: usize) -> Self {
        let folder = Self(crate::support::open_folder("import"));
        fs::create_dir(folder.path("keys")).unwrap();
        let script = crate::support::checkout().join("tests/support/rsa_keys.py");
        let made = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(folder.path("keys"))
            .arg(number.to_string())
            .status()
            .unwrap();
        assert!(made.success());
        folder
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    /// `{}` in the text is this folder.
    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let folder = self.0.path().display().to_string();
        fs::write(path, text.replace("{}", &folder)).unwrap();
    }

    pub(crate) fn set_mode(&self, relative: &str, mode: u32) {
        fs::set_permissions(self.path(relative), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Every file with its content, and its mode.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut files = BTreeMap::new();
        collect(self.0.path(), &mut files);
        files
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            files.insert(path.clone(), (mode, fs::read(path).unwrap()));
        }
    }
}

/// What an import said.
pub(crate) struct Report {
    pub(crate) status: i32,
    pub(crate) json: Value,
}

/// `zegel import KIND --config FILE --out DIR` with JSON.
pub(crate) fn import(kind: &str, file: &Path, out: &Path, more: &[&str]) -> Report {
    let output = Command::new(env!("CARGO_BIN_EXE_zegel"))
        .env_remove("ZEGEL_CONFIG")
        .args(["import", kind, "--json", "--config"])
        .arg(file)
        .arg("--out")
        .arg(out)
        .args(more)
        .output()
        .unwrap();
    let status = output.status.code().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!(
            "{error}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    Report { status, json }
}

impl Report {
    /// Each finding: its code, its place without the folders, what was found and done.
    pub(crate) fn findings(&self) -> Vec<(String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = self.json["findings"].as_array().unwrap().iter();
        findings
            .map(|finding| {
                let place = text(&finding["place"]);
                let place = place.rsplit('/').next().unwrap_or_default().to_owned();
                let words = format!("{}; {}", text(&finding["found"]), text(&finding["done"]));
                (text(&finding["code"]), place, words)
            })
            .collect()
    }

    /// Panics unless the findings are these, in any order: code, place, and some words.
    #[track_caller]
    pub(crate) fn expect_findings(&self, expected: &[(&str, &str, &str)]) {
        let mut found = self.findings();
        for (code, place, words) in expected {
            let at = found.iter().position(|(its_code, its_place, its_words)| {
                its_code == code && its_place == place && its_words.contains(words)
            });
            let Some(at) = at else {
                panic!("no {code} at {place:?} with {words:?} in {found:#?}");
            };
            found.remove(at);
        }
        assert!(found.is_empty(), "more than was expected: {found:#?}");
    }

    /// The organisation with this id.
    #[track_caller]
    pub(crate) fn organisation(&self, id: &str) -> &Value {
        let organisations = self.json["organisations"].as_array().unwrap();
        let found = organisations.iter().find(|one| one["id"] == id);
        found.unwrap_or_else(|| panic!("no {id} in {organisations:#?}"))
    }
}
