//! Nothing of a sealed key is found in the files that a thief could have: keystore, mark, backup,
//! log. `disk` looks at what is written at all.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use base64::{Engine, engine::general_purpose::STANDARD};
use memchr::memmem;

use super::support::zegel::{Org, Zegel};
use super::{assert_signed, configure, files_below, make_sealing_key, public_keys, run};

/// Its numbers are known, and it is never in the clear in a folder of this test.
pub(super) const KEY: &str = "tests/fixtures/keys/unsafe-rsa2048-pkcs8.pem";
const OTHER: &str = "tests/fixtures/keys/unsafe-ed25519-v1.pem";

/// Pieces of a key in every form in which it could lie about.
pub(super) fn pieces(pem: &str) -> Vec<Vec<u8>> {
    let lines: Vec<&str> = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let mut pieces: Vec<Vec<u8>> = lines
        .iter()
        .map(|line| line[line.len() / 2..].into())
        .collect();
    let der = STANDARD.decode(lines.concat()).expect("base64");
    // The key itself begins behind a head that all keys have. Every part that is a secret is
    // longer than two of these.
    let from = if der.len() > 100 { 300 } else { 16 };
    for part in der[from..].chunks_exact(16) {
        pieces.push(part.to_vec());
        let mut hex = String::new();
        for octet in part {
            write!(hex, "{octet:02x}").expect("text");
        }
        pieces.push(hex.to_uppercase().into_bytes());
        pieces.push(hex.into_bytes());
        // As base64 has it, wherever the part begins.
        for before in 0..3 {
            let text = STANDARD.encode([&vec![0; before], part].concat());
            pieces.push(text.as_bytes()[4..text.len() - 4].to_vec());
        }
        let mut reversed = part.to_vec();
        reversed.reverse();
        pieces.push(reversed);
    }
    // The last line of a file may be so short that it is anywhere.
    pieces.retain(|piece| piece.len() >= 12);
    pieces
}

#[test]
fn nothing_of_a_sealed_key_is_in_a_file() {
    let orgs = [
        Org::new("een", &["een.example"]).without_keys(),
        Org::new("twee", &["twee.example"])
            .signing_by(zegel::dkim::Algorithm::Ed25519Sha256)
            .without_keys(),
    ];
    let mut zegel = Zegel::prepared(&orgs, "");
    make_sealing_key(&zegel, "sealing.key");
    configure(&zegel, &["sealing.key"]);
    let settings = fs::read_to_string(zegel.path("zegel.toml")).expect("settings");
    fs::write(
        zegel.path("zegel.toml"),
        settings + "[log]\nfilter = \"trace\"\n",
    )
    .expect("settings");
    for (organisation, file) in [("een", KEY), ("twee", OTHER)] {
        run(
            &zegel,
            &[
                "key",
                "import",
                organisation,
                file,
                "--selector",
                "s1",
                "--assume-published",
            ],
        );
    }
    zegel.launch();
    let keys = public_keys(&zegel);
    assert_signed(&zegel, &keys, "een.example", 1);
    assert_signed(&zegel, &keys, "twee.example", 1);
    zegel.signal("HUP");
    zegel.wait_for_log(" reloaded ", 1);
    run(&zegel, &["check"]);
    assert!(zegel.terminate().success());
    let copied = Command::new("cp")
        .arg("-a")
        .args([zegel.path("keys"), zegel.path("backup")])
        .status();
    assert!(copied.expect("cp runs").success());

    let files = files_below(&zegel.path(""));
    assert!(files.len() > 10, "{files:?}");
    let texts: Vec<Vec<u8>> = files
        .iter()
        .map(|file| fs::read(file).expect("a file"))
        .collect();
    let found = |pieces: &[Vec<u8>]| {
        let mut found = Vec::new();
        for piece in pieces {
            let finder = memmem::Finder::new(piece);
            let places = files.iter().zip(&texts);
            let places = places.filter(|(_, text)| finder.find(text).is_some());
            found.extend(places.map(|(file, _)| file.display().to_string()));
        }
        found
    };
    for file in [KEY, OTHER] {
        let pem = fs::read_to_string(file).expect("a key");
        assert_eq!(found(&pieces(&pem)), Vec::<String>::new(), "{file}");
    }
    // That the search finds what is there.
    let sealing = fs::read(zegel.path("sealing.key")).expect("a sealing key");
    assert_eq!(found(&[sealing[..40].to_vec()]).len(), 1);
}
