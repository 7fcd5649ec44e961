//! The configuration as a whole: folders with files in, settings or problems out.

mod again;
mod bindings;
mod changes;
mod delegation;
mod files;
mod focus;
mod listeners;
mod organisations;
mod settings;

use std::{ffi::OsString, fs, path::Path, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    dkim::key::Algorithm,
    ladder::Share,
    organisation::{Action, Client, Sender},
};

type Environment<'a> = &'a [(&'a str, &'a str)];

const NONE: Environment<'static> = &[];

/// A folder with files, each a path and a text.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("orgs.d")).unwrap();
    for (path, text) in files {
        fs::write(folder.path().join(path), text).unwrap();
    }
    folder
}

fn load_in(folder: &Path, environment: Environment<'_>) -> Result<Loaded, Problems> {
    let variable = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    load_with(&folder.join("zegel.toml"), environment.iter().map(variable))
}

fn good(files: &[(&str, &str)], environment: Environment<'_>) -> Loaded {
    let loaded = load_in(folder(files).path(), environment);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.mistakes.is_empty(), "{:?}", loaded.mistakes);
    loaded
}

fn problems(files: &[(&str, &str)], environment: Environment<'_>) -> Vec<Problem> {
    match load_in(folder(files).path(), environment) {
        Ok(loaded) => loaded.mistakes.problems(),
        Err(problems) => problems.0,
    }
}

/// A problem as `file:line: key: text; advice` with the name of the file alone.
fn short(problem: &Problem) -> String {
    let mut problem = problem.clone();
    problem.file = problem.file.file_name().unwrap().into();
    problem.to_string()
}

/// Expects exactly one problem, with this beginning, and these words later on.
fn expect_problem(files: &[(&str, &str)], beginning: &str, words: &str) {
    let found: Vec<String> = problems(files, NONE).iter().map(short).collect();
    assert_eq!(found.len(), 1, "{files:?}\n{found:#?}");
    assert!(found[0].starts_with(beginning), "{files:?}\n{}", found[0]);
    assert!(found[0].contains(words), "{files:?}\n{}", found[0]);
}

#[test]
fn an_empty_file_has_every_default() {
    let loaded = good(&[("zegel.toml", "")], NONE);
    assert_eq!(loaded.settings, Settings::default());
    assert!(loaded.organisations.is_empty());
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_files_that_are_shipped_are_good_and_hold_the_defaults() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/zegel.toml");
    let loaded = load_with(&conf, []).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.settings, Settings::default());
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let [organisation] = &loaded.organisations[..] else {
        panic!("one organisation is shipped")
    };
    assert_eq!(organisation.id.as_str(), "gemeente-voorbeeld");
    assert_eq!(organisation.domains.len(), 2);
    assert_eq!(organisation.algorithms, [Algorithm::RsaSha256]);
    assert_eq!(organisation.policy.unauthorised_sender, Action::Reject);
    assert_eq!(organisation.policy.signing_failure, Action::Tempfail);
}

#[test]
fn settings_are_what_is_written() {
    let text = r#"
        keystore.path = "keys"
        [[listener]]
        name = "a"
        socket = "inet:[::1]:8891"
        outbound = "all"
        [[listener]]
        name = "b"
        socket = "unix:/run/b.sock"
        mode = "0600"
        group = "postfix"
        outbound = { networks = ["10.0.0.1", "2001:db8::/32"] }
        [[listener]]
        name = "c"
        socket = "fd:c"
        [signing]
        canonicalization = "relaxed/simple"
        expire = "14d"
        headers.sign = ["Date"]
        [limits]
        header_bytes = "64K"
        [http]
        listen = "unix:/run/http.sock"
        organisations = 50
        [keeper]
        resolvers = ["127.0.0.1:5353"]
        relay_addresses = ["192.0.2.25"]
    "#;
    let folder = folder(&[("zegel.toml", text)]);
    let settings = load_in(folder.path(), NONE).unwrap().settings;
    assert_eq!(settings.keystore_path, folder.path().join("keys"));
    let sockets: Vec<String> = settings
        .listeners
        .iter()
        .map(|listener| listener.socket.to_string())
        .collect();
    assert_eq!(sockets, ["inet:[::1]:8891", "unix:/run/b.sock", "fd:c"]);
    let client = |client: &str, login| Sender {
        login,
        client: Client::At(client.parse().unwrap()),
        listener: "b",
    };
    for (listener, sender, expected) in [
        (0, client("192.0.2.1", None), true),
        (1, client("10.0.0.1", None), true),
        (1, client("10.0.0.2", Some("login")), false),
        (2, client("192.0.2.1", Some("login")), true),
        (2, client("192.0.2.1", Some("")), false),
        (2, client("127.0.0.9", None), true),
        (2, client("192.0.2.1", None), false),
    ] {
        let outbound = &settings.listeners[listener].outbound;
        assert_eq!(
            outbound.ground(&sender).is_some(),
            expected,
            "{listener} {sender:?}"
        );
    }
    let signing = &settings.signing;
    assert_eq!(
        signing.canonicalisation.body,
        crate::dkim::Canonicalisation::Simple
    );
    assert_eq!(signing.expire, Some(Duration::from_hours(14 * 24)));
    let date = "date".parse().unwrap();
    assert!(signing.headers.sign.contains(&date));
    assert!(!signing.headers.oversign_if_present.contains(&date));
    assert_eq!(settings.limits.header_bytes, 65536);
    assert_eq!(settings.http, HttpListen::Unix("/run/http.sock".into()));
    assert_eq!(settings.organisation_series, 50);
    let addresses = vec!["127.0.0.1:5353".parse().unwrap()];
    assert_eq!(settings.keeper.resolvers, Resolvers::Addresses(addresses));
}

#[test]
fn the_environment_wins() {
    let file = (
        "zegel.toml",
        "[log]\nformat = \"text\"\nfilter = \"warn\"\n",
    );
    let environment = [
        ("ZEGEL__LOG__FORMAT", "json"),
        ("ZEGEL__LIMITS__CONNECTIONS", "50"),
        ("ZEGEL__LIMITS__IDLE", "5m"),
        ("ZEGEL__KEEPER__RESOLVERS", "127.0.0.1:53, [::1]:53"),
        ("ZEGEL__SIGNING__HEADERS__OVERSIGN", "From,Subject"),
        ("ZEGEL__HTTP__ALLOW_REMOTE", "true"),
        ("ZEGEL_LOG_FORMAT", "not ours"),
        ("PATH", "/bin"),
    ];
    let settings = good(&[file], &environment).settings;
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.log.filter.to_string(), "warn");
    assert_eq!(settings.limits.connections, 50);
    assert_eq!(settings.limits.idle, Duration::from_mins(5));
    assert_eq!(settings.signing.headers.oversign.len(), 2);
    assert!(matches!(settings.keeper.resolvers, Resolvers::Addresses(list) if list.len() == 2));
}

#[test]
fn problems_of_the_environment_name_the_variable() {
    for (variable, words) in [
        (("ZEGEL__LOG__FORMAT", "xml"), "write one of: text, json"),
        (("ZEGEL__LOG__FORMATT", "json"), "did you mean format?"),
        (("ZEGEL__LIMITS__IDLE", "5"), "with its unit"),
        (("ZEGEL__LIMITS__CONNECTIONS", "many"), "from 1 to"),
        (("ZEGEL__LOG", "json"), "must be a table"),
        (("ZEGEL__LISTENER__0__NAME", "x"), "in zegel.toml"),
        (("ZEGEL__A[99999999]", "x"), "ZEGEL__SECTION__KEY"),
        (("ZEGEL__", "x"), "ZEGEL__SECTION__KEY"),
    ] {
        let found = problems(&[("zegel.toml", "[log]\nformat = \"text\"")], &[variable]);
        assert_eq!(found.len(), 1, "{variable:?} {found:?}");
        let line = found[0].to_string();
        assert!(
            line.starts_with(&format!("environment: {}: ", variable.0)),
            "{line}"
        );
        assert!(line.contains(words), "{line}");
    }
}

/// Found by fuzzing: which of the two counted was a matter of chance.
#[test]
fn two_variables_for_one_setting_are_a_problem() {
    let two = |one, other| problems(&[("zegel.toml", "")], &[one, other]);
    // The second is left out, so that nothing else is said of it.
    let found = two(
        ("ZEGEL__KEEPER__RESOLVERS", "192.0.2.1:53"),
        ("ZEGEL__KEEPER__Resolvers", "nonsense"),
    );
    assert_eq!(
        found.iter().map(short).collect::<Vec<_>>(),
        [
            "environment: ZEGEL__KEEPER__Resolvers: ZEGEL__KEEPER__RESOLVERS is the same setting; \
             keep one of the two"
        ]
    );
    let section = ("ZEGEL__SIGNING__HEADERS", "x");
    let found = two(("ZEGEL__SIGNING__HEADERS__SIGN", "from"), section);
    let line = found.iter().map(short).collect::<Vec<_>>().join("\n");
    assert!(
        line.contains("HEADERS__SIGN: ZEGEL__SIGNING__HEADERS sets all of the section"),
        "{line}"
    );
    let apart = [
        ("ZEGEL__LOG__FORMAT", "json"),
        ("ZEGEL__LOG__FILTER", "info"),
        ("ZEGEL__LIMITS__HEADER_BYTES", "4096"),
        ("ZEGEL__LIMITS__HEADER_FIELDS", "100"),
    ];
    good(&[("zegel.toml", "")], &apart);
}

#[test]
fn the_numbers_of_the_ladder_have_bounds() {
    for (line, words) in [
        ("none_days = 0", "write a number from 1 to 365"),
        ("reporters = 101", "write a number from 1 to 100"),
        ("failed_messages = 0", "write a number from 1 to 1000000"),
        ("replay_factor = 0", "write a number from 1 to 1000"),
        (
            "replay_messages = 1000001",
            "write a number from 1 to 1000000",
        ),
        ("aligned_share = \"100.1%\"", "no share from 0% to 100%"),
        ("aligned_share = \"99\"", "such as \"99%\" or \"0.1%\""),
        ("aligned_share = \"0.15%\"", "such as \"99%\" or \"0.1%\""),
        ("aligned_share = \"-1%\"", "such as \"99%\" or \"0.1%\""),
        (
            "aligned_share = \"9999999%\"",
            "such as \"99%\" or \"0.1%\"",
        ),
        ("aligned_share = 99", "aligned_share"),
        ("confirm = \"often\"", "confirm"),
        ("days = 3", "none_days"),
    ] {
        let text = format!("[dmarc]\n{line}\n");
        let found = problems(&[("zegel.toml", &text)], &[]);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        let told = short(&found[0]);
        assert!(told.contains(words), "{told}");
    }
    let text = "[dmarc]\naligned_share = \"100%\"\nunknown_share = \"0.0%\"\n";
    let loaded = load_in(folder(&[("zegel.toml", text)]).path(), &[]).unwrap();
    assert_eq!(loaded.settings.dmarc.aligned_share, Share(1_000));
    assert_eq!(loaded.settings.dmarc.unknown_share, Share(0));
}
