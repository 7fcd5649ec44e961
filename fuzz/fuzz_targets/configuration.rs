//! `zegel.toml`, and the environment over it.
//!
//! Input: the file, and behind each NUL a variable as `SECTION__KEY=VALUE`.
#![no_main]

use std::{cell::RefCell, ffi::OsString, os::unix::ffi::OsStringExt};

use libfuzzer_sys::fuzz_target;
use zegel_fuzz::files::Configuration;

const ORGANISATION: &[u8] = br#"
domains = ["voorbeeld.example"]
[senders]
listeners = ["relay"]
"#;

thread_local! {
    static FILES: RefCell<Configuration> = RefCell::new({
        let mut files = Configuration::new();
        files.organisations(std::iter::once(ORGANISATION));
        files
    });
}

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|&octet| octet == 0);
    let settings = parts.next().unwrap_or_default();
    let environment: Vec<_> = parts.map(variable).collect();
    FILES.with_borrow(|files| {
        files.settings(settings);
        let _ = files.load(&environment);
    });
});

fn variable(text: &[u8]) -> (OsString, OsString) {
    let end = text.iter().position(|&octet| octet == b'=');
    let (name, value) = text.split_at(end.unwrap_or(text.len()));
    let name = [b"ZEGEL__", name].concat();
    let value = value.strip_prefix(b"=").unwrap_or(value).to_vec();
    (OsString::from_vec(name), OsString::from_vec(value))
}
