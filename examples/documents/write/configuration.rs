//! The pages of section 5, out of the files in `conf/`: what a comment there says of a key is
//! what the page says of it.

use clap_mangen::roff::{Roff, bold, roman};

use super::{Edition, MANUAL, Page};

/// A page, and the file that it is made of.
struct Source {
    page: &'static str,
    about: &'static str,
    /// What is said before all else, a paragraph each.
    introduction: &'static [&'static str],
    text: &'static str,
    related: &'static str,
}

const SOURCES: [Source; 2] = [
    Source {
        page: "zegel.toml",
        about: "the configuration of Zegel",
        introduction: &[
            "/etc/zegel/zegel.toml, or the file that --config or ZEGEL_CONFIG names, is in TOML. \
             An unknown key is an error; every problem is reported at once, with its line.",
            "A key behind a # is not in the file as it is shipped.",
        ],
        text: include_str!("../../../conf/zegel.toml"),
        related: "zegel(1), zegel-check(1), zegel-org(5)",
    },
    Source {
        page: "zegel-org",
        about: "an organisation that Zegel signs for",
        introduction: &[
            "/etc/zegel/orgs.d/ORGANISATION.toml is in TOML. An unknown key is an error. Only \
             domains has no default; what the keys are shown with is an example.",
        ],
        text: include_str!("../../../conf/orgs.d/gemeente-voorbeeld.toml"),
        related: "zegel(1), zegel-org(1), zegel-check(1), zegel.toml(5)",
    },
];

/// The pages of section 5.
pub(crate) fn pages(edition: &Edition) -> Vec<Page> {
    SOURCES.iter().map(|source| page(source, edition)).collect()
}

fn page(source: &Source, edition: &Edition) -> Page {
    let mut roff = Roff::new();
    let Source { page, about, .. } = source;
    let title = page.to_uppercase();
    roff.control("TH", [&title, "5", &edition.date, &edition.source, MANUAL])
        .control("SH", ["NAME"])
        .text([roman(format!("{page} - {about}"))])
        .control("SH", ["DESCRIPTION"]);
    for (number, paragraph) in source.introduction.iter().enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*paragraph)]);
    }
    for piece in pieces(source.text) {
        match piece {
            Piece::Prose(text) => {
                roff.control("PP", []).text([roman(text)]);
            }
            Piece::Table { name, about } => {
                roff.control("SH", [name.as_str()]);
                if !about.is_empty() {
                    roff.text([roman(about)]);
                }
            }
            Piece::Keys { keys, about } => {
                for (number, key) in keys.into_iter().enumerate() {
                    roff.control(if number == 0 { "TP" } else { "TQ" }, []);
                    roff.text([bold(key)]);
                }
                if !about.is_empty() {
                    roff.text([roman(about)]);
                }
            }
        }
    }
    roff.control("SH", ["SEE ALSO"])
        .text([roman(source.related)]);
    Page {
        file: format!("{page}.5"),
        text: roff.render(),
    }
}

/// What a file in `conf/` is made of.
#[derive(Debug, Eq, PartialEq)]
enum Piece {
    /// Comments that belong to no key and no table.
    Prose(String),
    Table {
        name: String,
        about: String,
    },
    /// Keys with their values, and what is said of them all.
    Keys {
        keys: Vec<String>,
        about: String,
    },
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    // Comments whose key has not come yet.
    let mut comment: Vec<&str> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let said = line.strip_prefix('#').map(str::trim);
        if line.is_empty() {
            if !comment.is_empty() {
                pieces.push(Piece::Prose(comment.join(" ")));
            }
            comment.clear();
        } else if let Some(said) = said.filter(|said| !is_key(said)) {
            comment.push(said);
        } else if line.starts_with('[') {
            let name = line.to_owned();
            let about = comment.join(" ");
            pieces.push(Piece::Table { name, about });
            comment.clear();
        } else {
            let mut about = comment.join(" ");
            let mut key = line;
            // Too long to stand where a key stands.
            if let Some(name) = line.strip_suffix(" = [") {
                let values = lines.by_ref().take_while(|line| *line != "]");
                let values: Vec<&str> = values.map(str::trim).collect();
                let values = values.join(" ");
                about = format!("{about} [{}]", values.trim_end_matches(','));
                key = name;
            }
            add_key(&mut pieces, key.to_owned(), about);
            comment.clear();
        }
    }
    pieces
}

/// Whether this comment is a key that is not there by default.
fn is_key(said: &str) -> bool {
    let name = said.split_once(" = ").map(|(name, _)| name);
    name.is_some_and(|name| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}

/// A key without a comment of its own shares that of the key before it.
fn add_key(pieces: &mut Vec<Piece>, key: String, about: String) {
    match pieces.last_mut() {
        Some(Piece::Keys { keys, .. }) if about.is_empty() => keys.push(key),
        _ => pieces.push(Piece::Keys {
            keys: vec![key],
            about,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_find_their_keys() {
        let text = "# All.\n\n# A table.\n[one]\n# Two of\n# them.\na = 1\n# b_c = \"x\"\n# Many.\nlist = [\n    1,\n    2,\n]\n# If x = y.\nd = 1\n";
        let keys = |keys: &[&str], about: &str| Piece::Keys {
            keys: keys.iter().map(|&key| key.to_owned()).collect(),
            about: about.to_owned(),
        };
        let expected = [
            Piece::Prose("All.".to_owned()),
            Piece::Table {
                name: "[one]".to_owned(),
                about: "A table.".to_owned(),
            },
            keys(&["a = 1", "# b_c = \"x\""], "Two of them."),
            keys(&["list"], "Many. [1, 2]"),
            keys(&["d = 1"], "If x = y."),
        ];
        assert_eq!(pieces(text), expected);
    }
}
