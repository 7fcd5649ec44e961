//! The files of organisations, each of which may claim the domains of another.
//!
//! Input: the files, with a NUL between them.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use zegel_fuzz::files::Configuration;

const SETTINGS: &[u8] = br#"
[[listener]]
name = "relay"
socket = "inet:127.0.0.1:8891"
[[listener]]
name = "nieuwsbrief"
socket = "inet:127.0.0.1:8892"
"#;

/// More are of no use to find anything.
const MOST: usize = 8;

thread_local! {
    static FILES: RefCell<Configuration> = RefCell::new({
        let files = Configuration::new();
        files.settings(SETTINGS);
        files
    });
}

fuzz_target!(|input: &[u8]| {
    FILES.with_borrow_mut(|files| {
        files.organisations(input.split(|&octet| octet == 0).take(MOST));
        let Ok(loaded) = files.load(&[]) else {
            return;
        };
        for organisation in &loaded.organisations {
            let selector = organisation.selector.render(jiff::civil::date(2026, 7, 1));
            for domain in &organisation.domains {
                assert!(
                    selector.record_name(domain).len() <= 253,
                    "{organisation:?}"
                );
            }
            assert!(!organisation.algorithms.is_empty(), "{organisation:?}");
        }
    });
});
