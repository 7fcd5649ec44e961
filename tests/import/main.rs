//! `zegel import`: what another signer does, Zegel then does, with the same keys; and what
//! cannot be taken over is named.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod both;
mod differential;
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

/// The lines of the documentation that are for a shell.
fn commands() -> Vec<&'static str> {
    let pages = [
        include_str!("../../docs/migration.md"),
        include_str!("../../docs/install.md"),
    ];
    let lines = pages.into_iter().flat_map(str::lines).map(str::trim);
    lines
        .filter(|line| line.starts_with("zegel import "))
        .collect()
}

#[test]
fn the_commands_of_the_documentation_do_what_it_says() {
    let folder = setup::Folder::with_keys(1);
    folder.write(
        "opendkim.conf",
        "Domain voorbeeld.example\nSelector mail\nKeyFile {}/keys/0.pem\nMode s\n\
         Canonicalization relaxed/relaxed\n",
    );
    folder.write(
        "rspamd/local.d/dkim_signing.conf",
        "use_esld = false;\ndomain { voorbeeld.example { path = {}/keys/0.pem; selector = s } }\n",
    );
    folder.write(
        "zegel/zegel.toml",
        "[keystore]\npath = \"{}/keys-of-zegel\"\n",
    );
    let own = |path: &str| folder.path(path).display().to_string();
    let commands = commands();
    assert!(commands.len() >= 3, "{commands:?}");
    for command in commands {
        let command = command
            .replace("/etc/opendkim.conf", &own("opendkim.conf"))
            .replace("/etc/rspamd", &own("rspamd"))
            .replace("/etc/zegel", &own("zegel"));
        let before = folder.snapshot();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_zegel"))
            .args(command.split_whitespace().skip(1))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}: {text}");
        assert!(
            text.contains("1 organisations with 1 domains and 1 keys"),
            "{text}"
        );
        assert_eq!(folder.snapshot(), before, "each is a dry run");
    }
}
