//! The rules, and what breaks them.

use super::{
    circles::circles,
    source::{Crate, File, Function, Link, NamedPath},
};

/// The modules below the crate root. Each may import from the steps before its own, and from
/// nothing else; what shares a step is apart.
pub(crate) const ORDER: &[&[&str]] = &[
    &[
        "names", "words", "shell", "files", "sockets", "guard", "crypto",
    ],
    &["report", "paper", "dmarc"],
    &["evidence"],
    &["ladder"],
    &["dkim"],
    &["keys", "organisation", "sealing"],
    &["keystore"],
    &["config"],
    &["database"],
    &["observe"],
    &["snapshot"],
    &["dns"],
    &["judgement"],
    &["audit", "handover", "doctor", "import", "sending"],
    &["letter", "signer"],
    &["milter", "page"],
    &["process"],
    &["http"],
    &["daemon", "keeper"],
    &["cli"],
    &["main"],
];

/// Besides the keystore itself, the modules that open one by its path: from the settings, or for
/// a trial.
const KEYSTORE_OPENERS: &[&str] = &["config::settings", "cli::demo"];

/// Crates that are named in one module only, and below it.
pub(crate) struct Home {
    /// As in a path.
    pub(crate) crates: &'static [&'static str],
    /// As in a path from the crate root.
    pub(crate) module: &'static str,
}

/// Crates that may be exchanged one day, or that are to be read in one sitting.
pub(crate) const HOMES: &[Home] = &[
    Home {
        crates: &["aws_lc_rs", "ring", "rsa"],
        module: "crypto",
    },
    Home {
        crates: &["config"],
        module: "config::source",
    },
    Home {
        crates: &["csv"],
        module: "cli::sheet",
    },
    Home {
        crates: &["hyper", "hyper_util", "http_body_util"],
        module: "http",
    },
    Home {
        crates: &["prometheus_client"],
        module: "observe::metrics",
    },
    Home {
        crates: &["tracing_subscriber"],
        module: "observe::logging",
    },
    Home {
        crates: &["indymilter"],
        module: "milter",
    },
    Home {
        crates: &["mail_auth"],
        module: "dns",
    },
    Home {
        crates: &["maud"],
        module: "page::html",
    },
    Home {
        crates: &["form_urlencoded"],
        module: "page::request",
    },
    Home {
        crates: &["clap"],
        module: "cli",
    },
    Home {
        crates: &["quick_xml"],
        module: "report::xml",
    },
    Home {
        crates: &["zip", "flate2"],
        module: "report::packed",
    },
    Home {
        crates: &["mail_parser"],
        module: "report::message",
    },
    Home {
        crates: &["encoding_rs"],
        module: "report::text",
    },
    Home {
        crates: &["rusqlite"],
        module: "evidence::store",
    },
    Home {
        crates: &[
            "tokio_postgres",
            "tokio_postgres_rustls",
            "rustls",
            "rustls_native_certs",
        ],
        module: "database",
    },
    Home {
        crates: &["psl"],
        module: "evidence::suffix",
    },
    Home {
        crates: &["arc_swap"],
        module: "snapshot",
    },
    Home {
        crates: &["listenfd"],
        module: "daemon",
    },
    Home {
        crates: &["landlock"],
        module: "keeper::hooks::runner",
    },
    Home {
        crates: &["sd_notify"],
        module: "process",
    },
];

/// They come with mail_auth and live with it.
const RESOLVER_CRATES: &str = "hickory_";

/// The modules that are pure.
const PURE: &[&str] = &["crypto", "dkim", "keys", "sealing"];

/// What pure modules have no business with: tasks, files, the network, the clock, the
/// environment.
const IMPURE: &[&str] = &[
    "tokio",
    "rustix",
    "std::fs",
    "std::net",
    "std::os",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "std::path",
    "crate::sockets",
];

/// `dkim` has no use for dates either; `keys` calculates with those that it is given.
const DATES: &str = "jiff";

/// The longest that a file may be with its tests.
const FILE_LINES: usize = 600;

/// The longest that a function outside tests may be, from `fn` to its closing brace.
const FUNCTION_LINES: usize = 60;

/// Something that breaks a rule.
#[derive(Debug)]
pub(crate) struct Violation {
    /// As `file:line: what, and which rule`.
    pub(crate) text: String,
    /// What would have to be excused: a file, `file::function`, the modules of a circle. Empty
    /// where there is no excuse.
    pub(crate) offenders: Vec<String>,
}

/// Everything that breaks a rule.
pub(crate) fn violations(source: &Crate) -> Vec<Violation> {
    let unexcused = broken(source).into_iter().map(|text| Violation {
        text,
        offenders: Vec::new(),
    });
    let mut found: Vec<Violation> = unexcused.collect();
    found.extend(long(source));
    found.extend(circles(source));
    found
}

/// The violations that are not excused, and the excuses that nobody needs any more.
pub(crate) fn unexcused(found: &[Violation], excused: &[&str]) -> Vec<String> {
    let is_excused = |offender: &String| excused.contains(&offender.as_str());
    let (forgiven, rest): (Vec<&Violation>, Vec<&Violation>) = found
        .iter()
        .partition(|one| !one.offenders.is_empty() && one.offenders.iter().all(is_excused));
    let needless = excused.iter().filter(|name| {
        !forgiven
            .iter()
            .any(|one| one.offenders.iter().any(|offender| offender == *name))
    });
    let needless =
        needless.map(|name| format!("{name}: keeps to the rules; take it out of EXCUSED"));
    rest.iter()
        .map(|one| one.text.clone())
        .chain(needless)
        .collect()
}

fn long(source: &Crate) -> Vec<Violation> {
    let files = source.files.iter().map(|file| (&file.name, file.lines));
    let tests = source.tests.iter().map(|(name, lines)| (name, *lines));
    let files = files.chain(tests).filter(|(_, lines)| *lines > FILE_LINES);
    let files = files.map(|(name, lines)| Violation {
        text: format!("{name}:{FILE_LINES}: {lines} lines; {FILE_LINES} is the most"),
        offenders: vec![name.clone()],
    });
    let functions = source.files.iter().flat_map(|file| {
        let long = file
            .functions
            .iter()
            .filter(|function| function.lines > FUNCTION_LINES);
        long.map(|Function { name, line, lines }| Violation {
            text: format!(
                "{}:{line}: `{name}` has {lines} lines; {FUNCTION_LINES} is the most",
                file.name
            ),
            offenders: vec![format!("{}::{name}", file.name)],
        })
    });
    files.chain(functions).collect()
}

fn broken(source: &Crate) -> Vec<String> {
    let mut found = source.problems.clone();
    for file in &source.files {
        found.extend(placeless(file));
        for path in &file.paths {
            let broken = [
                against_order(file, path),
                away_from_home(file, path),
                impure(file, path),
            ];
            let place = format!("{}:{}", file.name, path.line);
            found.extend(
                broken
                    .into_iter()
                    .flatten()
                    .map(|rule| format!("{place}: {rule}")),
            );
        }
        found.extend(
            file.links
                .iter()
                .filter_map(|link| unconfigured(file, link)),
        );
    }
    found
}

fn step(module: &str) -> Option<usize> {
    ORDER.iter().position(|step| step.contains(&module))
}

fn placeless(file: &File) -> Option<String> {
    let module = file.module.first()?;
    let missing = step(module).is_none();
    missing.then(|| {
        format!(
            "{}:1: `{module}` has no place in ORDER of tests/architecture/rules.rs",
            file.name
        )
    })
}

fn against_order(file: &File, path: &NamedPath) -> Option<String> {
    let own = file.module.first()?;
    if path.segments[0] != "crate" || own == "main" {
        return None;
    }
    let Some(other) = path.segments.get(1) else {
        return Some("the crate root is imported whole; name the module".to_owned());
    };
    let Some(theirs) = step(other) else {
        return Some(format!(
            "`crate::{other}` is no module of ORDER in tests/architecture/rules.rs"
        ));
    };
    let allowed = own == other || theirs < step(own)?;
    let advice = if theirs == step(own)? {
        "they share a step"
    } else {
        "it comes later"
    };
    (!allowed).then(|| {
        format!(
            "`{own}` may not import `{}`: {advice} ({})",
            path.segments.join("::"),
            order()
        )
    })
}

fn order() -> String {
    let steps: Vec<String> = ORDER.iter().map(|step| step.join(", ")).collect();
    steps.join(" → ")
}

fn away_from_home(file: &File, path: &NamedPath) -> Option<String> {
    let first = path.segments[0].as_str();
    let home = if first.starts_with(RESOLVER_CRATES) {
        "dns"
    } else {
        HOMES
            .iter()
            .find(|home| home.crates.contains(&first))?
            .module
    };
    let module = file.module.join("::");
    let at_home = module == home || module.starts_with(&format!("{home}::"));
    (!at_home).then(|| format!("the crate `{first}` is named only in `crate::{home}`"))
}

/// A keystore that is opened without the settings has no sealing keys: its new keys would lie in
/// the clear.
fn unconfigured(file: &File, link: &Link) -> Option<String> {
    let opens = match link.segments.as_slice() {
        [room, kind, opens] if room == "keystore" && kind == "Keystore" => opens,
        _ => return None,
    };
    let is_opening = matches!(opens.as_str(), "open" | "make" | "create");
    let module = file.module.join("::");
    let may_open = file.module.first().is_some_and(|own| own == "keystore")
        || KEYSTORE_OPENERS.contains(&module.as_str());
    (is_opening && !may_open).then(|| {
        format!(
            "{}:{}: `Keystore::{opens}` leaves out the sealing keys; `Settings` opens and makes \
             keystores",
            file.name, link.line
        )
    })
}

fn impure(file: &File, path: &NamedPath) -> Option<String> {
    let own = file.module.first()?;
    if !PURE.contains(&own.as_str()) {
        return None;
    }
    let text = path.segments.join("::");
    let whole = text.trim_end_matches("::*");
    let below = |name: &str, top: &str| name == top || name.starts_with(&format!("{top}::"));
    let dates = (own == "dkim").then_some(&DATES);
    let broken = IMPURE.iter().find(|rule| {
        // `use std::time` would let the clock in under another name.
        below(whole, rule) || (path.imported && below(rule, whole))
    });
    let broken = broken
        .or(dates.filter(|rule| below(whole, rule)))
        .or(path.asks_clock().then_some(&"now"));
    broken.map(|rule| format!("`{own}` is pure and does not name `{rule}` (here `{text}`)"))
}
