//! The checker against sources made up to break each rule, and to look as if they did.

use super::{
    Sources,
    rules::{unexcused, violations},
    source::Crate,
};

/// What the checker says of these files. They are reached if a crate root declares them.
fn check(files: &[(&str, &str)]) -> Vec<String> {
    check_but(files, &[])
}

/// The same with excuses.
fn check_but(files: &[(&str, &str)], excused: &[&str]) -> Vec<String> {
    let sources: Sources = files
        .iter()
        .map(|(name, text)| (format!("src/{name}"), (*text).to_owned()))
        .collect();
    unexcused(&violations(&Crate::read(&sources)), excused)
}

/// Says that there is one violation for each of the beginnings.
#[track_caller]
fn assert_found(files: &[(&str, &str)], beginnings: &[&str]) {
    let found = check(files);
    let fits = found.len() == beginnings.len()
        && found
            .iter()
            .zip(beginnings)
            .all(|(line, beginning)| line.starts_with(beginning));
    assert!(fits, "expected {beginnings:#?}\nfound {found:#?}");
}

const ROOT: (&str, &str) = ("lib.rs", "pub mod config; pub mod dkim; pub mod names;");
const NAMES: (&str, &str) = ("names.rs", "pub struct DomainName;");
const DKIM: (&str, &str) = ("dkim/mod.rs", "use crate::names::DomainName;");

#[test]
fn downward_imports_are_fine() {
    let config = (
        "config.rs",
        "use crate::{dkim::{self, Key}, names::*};\nfn f() { crate::dkim::g() }",
    );
    assert_found(&[ROOT, NAMES, DKIM, config], &[]);
}

#[test]
fn an_upward_import_is_found_in_nested_groups_over_lines() {
    let names = (
        "names.rs",
        "use std::fmt;\nuse crate::{\n    names::{A, B},\n    config::{\n        self,\n        file::{C, D as E},\n    },\n};",
    );
    assert_found(
        &[ROOT, names, DKIM, ("config.rs", "")],
        &[
            "src/names.rs:5: `names` may not import `crate::config`: it comes later",
            "src/names.rs:6: `names` may not import `crate::config::file::C`",
            "src/names.rs:6: `names` may not import `crate::config::file::D`",
        ],
    );
}

#[test]
fn an_inline_path_is_found_also_in_macros_types_attributes_and_behind_super() {
    let dkim = (
        "dkim/mod.rs",
        "mod deep;\n#[serde(with(crate::config::a))]\nstruct A(Vec<crate::config::B>);\n\
         fn f() { log!(\"x {}\", crate::config::c()); }\npub(in crate::dkim) use super::config::D;",
    );
    let deep = (
        "dkim/deep.rs",
        "fn f() { super::super::config::g(); self::h(); super::i(); }",
    );
    assert_found(
        &[ROOT, NAMES, dkim, deep, ("config.rs", "")],
        &[
            "src/dkim/deep.rs:1: `dkim` may not import `crate::config::g`",
            "src/dkim/mod.rs:2:",
            "src/dkim/mod.rs:3:",
            "src/dkim/mod.rs:4:",
            "src/dkim/mod.rs:5:",
        ],
    );
}

#[test]
fn neighbours_on_a_step_do_not_import_each_other() {
    let root = ("lib.rs", "mod organisation; mod keys;");
    let organisation = ("organisation.rs", "use crate::keys::Keyring;");
    let keys = ("keys.rs", "use crate::organisation;");
    assert_found(
        &[root, organisation, keys],
        &[
            "src/keys.rs:1: `keys` may not import `crate::organisation`: they share a step",
            "src/organisation.rs:1: `organisation` may not import",
        ],
    );
}

#[test]
fn what_has_no_place_is_found() {
    let root = ("lib.rs", "mod names; mod odd; pub use names::Thing;");
    let names = (
        "names.rs",
        "use crate::Thing;\nuse crate as zegel;\nuse crate::*;",
    );
    assert_found(
        &[root, names, ("odd.rs", ""), ("lost.rs", "")],
        &[
            "src/lost.rs:1: no `mod` leads to this file",
            "src/names.rs:1: `crate::Thing` is no module of ORDER",
            "src/names.rs:2: the crate root is imported whole",
            "src/names.rs:3: `crate::*` is no module",
            "src/odd.rs:1: `odd` has no place in ORDER",
        ],
    );
}

#[test]
fn text_is_no_code() {
    let names = (
        "names.rs",
        "//! [`crate::config`]\n/// crate::config::X, hyper::Y\n// use crate::config;\n/* crate::config */\n\
         const A: &str = \"use crate::config;\"; const B: &str = r#\"hyper::Router\"#; const C: char = '\"';",
    );
    assert_found(&[ROOT, names, DKIM, ("config.rs", "")], &[]);
}

#[test]
fn tests_may_import_anything_and_nothing_behind_them_is_missed() {
    let names = (
        "names.rs",
        "#[cfg(test)]\nuse crate::config::{A};\n#[cfg(test)]\n#[path = \"names_tests.rs\"]\nmod tests;\n\
         #[cfg(all(test, unix))]\nmod inline { mod more; use crate::config::B; }\n\
         #[cfg(test)]\nimpl<const N: usize> Thing<N> { fn f() { crate::config::c(); } }\n\
         #[cfg(test)]\npub(crate) const fn f() { hyper::serve() }\n\
         #[cfg(not(test))]\nuse crate::config::D;",
    );
    assert_found(
        &[
            ROOT,
            names,
            ("names_tests.rs", "mod deeper;"),
            ("names_tests/deeper.rs", "use crate::config::E;"),
            ("names/inline/more.rs", "use crate::config::F;"),
            DKIM,
            ("config.rs", ""),
        ],
        &["src/names.rs:13: `names` may not import `crate::config::D`"],
    );
}

#[test]
fn a_crate_is_named_only_at_home() {
    let root = (
        "lib.rs",
        "mod crypto; mod dkim; mod observe; mod http; mod config;",
    );
    let dkim = (
        "dkim.rs",
        "use ring as backend; fn f(ring: u8) -> u8 { ring }",
    );
    let crypto = ("crypto.rs", "mod der; use {rsa::X, aws_lc_rs};");
    let observe = (
        "observe.rs",
        "mod logging;\n#[derive(clap::Parser)]\nstruct A;\nfn f() -> ::hyper::Router { hickory_resolver::new(); <A>::hyper::x(); return ::rsa::y(); }",
    );
    assert_found(
        &[
            root,
            dkim,
            crypto,
            ("crypto/der.rs", "fn f() { rsa::g(); }"),
            observe,
            (
                "http.rs",
                "use hyper::{self, Router}; fn f() { hyper::serve(); }",
            ),
            ("observe/logging.rs", ""),
            ("config.rs", ""),
        ],
        &[
            "src/dkim.rs:1: the crate `ring` is named only in `crate::crypto`",
            "src/observe.rs:2: the crate `clap`",
            "src/observe.rs:4: the crate `hyper`",
            "src/observe.rs:4: the crate `hickory_resolver` is named only in `crate::dns`",
            "src/observe.rs:4: the crate `rsa`",
        ],
    );
}

#[test]
fn a_module_is_not_taken_for_the_crate_of_its_name() {
    let root = (
        "lib.rs",
        "mod config; mod observe; pub use config::Settings;",
    );
    let config = ("config/mod.rs", "mod source; mod file; use source::read;");
    let source = (
        "config/source.rs",
        "fn f() { ::config::Config::builder(); config::File::new(); }",
    );
    let file = ("config/file.rs", "fn f() { ::config::Config::builder(); }");
    let observe = (
        "observe.rs",
        "use crate::{config, config::A}; fn f() { config::load(); x.config::<A>(); }",
    );
    assert_found(
        &[root, config, source, file, observe],
        &["src/config/file.rs:1: the crate `config` is named only in `crate::config::source`"],
    );
}

#[test]
fn dkim_is_pure() {
    let dkim = (
        "dkim/mod.rs",
        "use std::{fmt, time::Duration};\nuse std::{io, time::{Instant}};\nuse std::time;\n\
         use std::time::*;\nfn f() { std::fs::read(); std::time::Duration::ZERO; }\nuse tokio::sync::Mutex;\nuse crate::sockets::S;",
    );
    let root = ("lib.rs", "mod dkim; mod sockets;");
    let line = |number: u8| format!("src/dkim/mod.rs:{number}: `dkim` is pure");
    let expected: Vec<String> = [2, 3, 4, 5, 6, 7].map(line).into();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert_found(
        &[
            root,
            dkim,
            ("sockets.rs", "use std::{fs, net::TcpListener};"),
        ],
        &expected,
    );
}

#[test]
fn keys_are_pure_and_have_dates_but_no_clock() {
    let keys = (
        "keys/mod.rs",
        "use jiff::Timestamp;\nfn f() -> Timestamp { jiff::Timestamp::UNIX_EPOCH }\n\
         fn g() { Timestamp::now() }\nfn h() { jiff::Timestamp::now() }\n\
         use std::path::PathBuf;\nuse std::fs;\nfn i() { jiff::Zoned::now() }",
    );
    let dkim = ("dkim.rs", "use jiff::Timestamp;");
    let line = |number: u8| format!("src/keys/mod.rs:{number}: `keys` is pure");
    let mut expected = vec!["src/dkim.rs:1: `dkim` is pure".to_owned()];
    expected.extend([3, 4, 5, 6, 7].map(line));
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert_found(&[("lib.rs", "mod dkim; mod keys;"), keys, dkim], &expected);
}

#[test]
fn a_file_has_at_most_600_lines_with_its_tests() {
    let root = ("lib.rs", "mod names; mod dkim;");
    let code = "const A: u8 = 0;\n";
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", code.repeat(100));
    let full = code.repeat(497) + &tests;
    let over = code.repeat(498) + &tests;
    assert_found(
        &[root, ("names.rs", &full), ("dkim.rs", &over)],
        &["src/dkim.rs:600: 601 lines; 600 is the most"],
    );
    let split = "#[cfg(test)] mod tests;\n";
    let root = ("lib.rs", "mod names;");
    let tests = code.repeat(601);
    assert_found(
        &[root, ("names.rs", split), ("names/tests.rs", &tests)],
        &["src/names/tests.rs:600: 601 lines"],
    );
}

#[test]
fn a_function_has_at_most_60_lines() {
    let function = |name: &str, lines: usize| {
        let body = "    x();\n".repeat(lines - 2);
        format!("#[doc = \"no line of it\"]\npub(crate) fn {name}() {{\n{body}}}\n")
    };
    let full = function("full", 60);
    let text = [
        full.clone(),
        format!("impl A {{\n{}}}\n", function("over", 61)),
        format!("trait B {{ fn none(&self);\n{full}}}\n"),
        "type C = fn(u8) -> u8;\n".to_owned(),
        format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            function("long_test", 99)
        ),
        format!(
            "macro_rules! d {{ () => {{\n{}}} }}\n",
            function("within", 62)
        ),
    ];
    assert_found(
        &[("lib.rs", "mod names;"), ("names.rs", &text.concat())],
        &[
            "src/names.rs:64: `over` has 61 lines; 60 is the most",
            "src/names.rs:295: `within` has 62 lines",
        ],
    );
}

/// A room of these files.
fn room<'a>(files: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [
        &[("lib.rs", "mod dkim; mod names;"), ("names.rs", "")],
        files,
    ]
    .concat()
}

#[test]
fn files_of_a_room_do_not_go_round_in_circles() {
    let top = ("dkim/mod.rs", "mod a; mod b; mod c; mod d;");
    let a = ("dkim/a.rs", "use super::b::B;\nuse crate::dkim::d::D;");
    let b = ("dkim/b.rs", "fn f() { crate::dkim::c::g(); }");
    let c = ("dkim/c.rs", "use super::a;\nfn g() -> a::A { a::h() }");
    let d = ("dkim/d.rs", "use super::super::names::N;");
    let found = check(&room(&[top, a, b, c, d]));
    let circle = "dkim::a: a circle with dkim::b, dkim::c:\n    \
        of dkim::b: src/dkim/a.rs:1 dkim::b::B\n    \
        of dkim::c: src/dkim/b.rs:1 dkim::c::g\n    \
        of dkim::a: src/dkim/c.rs:1 dkim::a, src/dkim/c.rs:2 dkim::a::A, src/dkim/c.rs:2 dkim::a::h";
    assert_eq!(found, [circle]);
    // Neither tests nor a constant make one.
    let b = (
        "dkim/b.rs",
        "use super::c::SIZE;\nfn f() { super::c::D_2; }",
    );
    let d = (
        "dkim/d.rs",
        "#[cfg(test)]\nmod tests { use super::super::a::A; }",
    );
    assert_found(&room(&[top, a, b, c, d]), &[]);
}

#[test]
fn what_is_within_a_module_belongs_to_it() {
    let top = (
        "dkim/mod.rs",
        "mod a; mod b;\nuse a::A;\npub struct Shared(A);",
    );
    // The face of a room and those within are no circle, whoever names whom.
    let a = (
        "dkim/a/mod.rs",
        "mod one; mod two;\nuse super::Shared; fn f() { one::f() }",
    );
    let one = ("dkim/a/one.rs", "use super::f; use crate::dkim::b::B;");
    let two = ("dkim/a/two.rs", "");
    assert_found(&room(&[top, a, one, two, ("dkim/b.rs", "")]), &[]);
    // `b` needs `a` by one file, and is needed by another.
    let b = ("dkim/b.rs", "fn f() { super::a::two::g() }");
    assert_found(
        &room(&[top, a, one, two, b]),
        &["dkim::a: a circle with dkim::b:"],
    );
    let two = ("dkim/a/two.rs", "use super::one::O;");
    let one = ("dkim/a/one.rs", "use super::two;");
    assert_found(
        &room(&[top, a, one, two, ("dkim/b.rs", "")]),
        &["dkim::a::one: a circle with dkim::a::two:"],
    );
}

#[test]
fn what_a_module_hands_on_is_needed_of_the_file_that_has_it() {
    let top = (
        "dkim/mod.rs",
        "mod a; mod deep;\npub use a::A;\npub(crate) use deep::{B as C, E};",
    );
    let deep = (
        "dkim/deep.rs",
        "mod b; mod e; pub(super) use b::B; pub use e::*;",
    );
    let b = ("dkim/deep/b.rs", "use crate::dkim::{Unknown, A};");
    let files = |a| room(&[top, deep, a, b, ("dkim/deep/e.rs", "")]);
    assert_found(
        &files(("dkim/a.rs", "use super::C;")),
        &["dkim::a: a circle with dkim::deep:"],
    );
    assert_found(&files(("dkim/a.rs", "use super::{A, D, X};")), &[]);
    // What a module uses itself it does not only hand on.
    let top = ("dkim/mod.rs", "mod a; mod b;");
    let a = ("dkim/a.rs", "use super::b::Own;");
    let handed_on = ("dkim/b.rs", "pub use super::a::A;\nstruct Own(u8);");
    assert_found(&room(&[top, a, handed_on]), &[]);
    let used = ("dkim/b.rs", "pub use super::a::A;\nstruct Own(A);");
    assert_found(&room(&[top, a, used]), &["dkim::a: a circle with dkim::b:"]);
}

#[test]
fn an_excuse_is_needed_or_goes() {
    let top = ("dkim/mod.rs", "mod a; mod b;");
    let a = ("dkim/a.rs", "use super::b::B;");
    let b = ("dkim/b.rs", "use super::a::A;");
    let files = room(&[top, a, b]);
    assert!(check_but(&files, &["dkim::a", "dkim::b"]).is_empty());
    // One module of a circle does not excuse the other, which may be new in it.
    let found = check_but(&files, &["dkim::a"]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("dkim::a: a circle"), "{found:?}");
    let needless = "dkim::a: keeps to the rules; take it out of EXCUSED";
    assert_eq!(found[1], needless);
    assert_eq!(
        check_but(&room(&[("dkim.rs", "")]), &["dkim::a"]),
        [needless]
    );
    // Nothing else is excused.
    let upward = [
        ("lib.rs", "mod dkim; mod cli;"),
        ("dkim.rs", "use crate::cli::x;"),
        ("cli.rs", ""),
    ];
    let found = check_but(&upward, &["src/dkim.rs"]);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn what_cannot_be_read_is_said() {
    assert_found(
        &[("lib.rs", "mod names;\nmod gone;"), ("names.rs", "fn f( {")],
        &[
            "src/lib.rs:2: no file for `mod gone`",
            "src/names.rs:1: not Rust",
        ],
    );
}

#[test]
fn a_keystore_that_is_opened_without_the_settings_is_found() {
    let root = ("lib.rs", "mod keystore; mod config; mod cli;");
    let keystore = (
        "keystore.rs",
        "pub fn f() { crate::keystore::Keystore::open() }",
    );
    let config = ("config.rs", "mod settings;");
    let settings = (
        "config/settings.rs",
        "use crate::keystore::Keystore;\nfn f() { Keystore::make() }",
    );
    let cli = (
        "cli.rs",
        "use crate::keystore::{self, Keystore as Store};\nfn f() { Store::make(); Store::by() }\n\
         fn g() { keystore::Keystore::open() }\n\
         #[cfg(test)]\nmod tests { fn h() { super::Store::create() } }",
    );
    assert_found(
        &[root, keystore, config, settings, cli],
        &[
            "src/cli.rs:2: `Keystore::make` leaves out the sealing keys",
            "src/cli.rs:3: `Keystore::open` leaves out the sealing keys",
        ],
    );
}
