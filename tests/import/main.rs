//! `zegel import`: what another signer does, Zegel then does, with the same keys; and what
//! cannot be taken over is named.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod both;
mod opendkim;
mod rspamd;
mod setup;

use std::collections::BTreeSet;

use zegel::import::Code;

#[test]
fn every_word_of_a_report_is_explained() {
    let page = include_str!("../../docs/migration.md");
    let known: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(known.len(), Code::ALL.len());
    for word in known {
        assert!(page.contains(&format!("| `{word}` |")), "{word}");
    }
}
