//! The tables keep the promises, whoever writes.

use super::{Postgres, Relay};

#[test]
fn plain_sql_breaks_no_promise() {
    let postgres = Postgres::start();
    let first = Relay::leading(&postgres);
    first.run(&["database", "init"]);
    first.run(&["key", "generate", "een", "--another", "--selector", "s2"]);
    first.run(&["database", "upload"]);
    // A key, its selector and its fingerprint are there once, and for ever.
    for (sql, expected) in [
        ("delete from zegel.key", "nothing is ever removed"),
        ("delete from zegel.publication", "nothing is ever removed"),
        ("truncate zegel.publication", "nothing is ever removed"),
        ("delete from zegel.organisation", "nothing is ever removed"),
        ("delete from zegel.keystore", "nothing is ever removed"),
        (
            "update zegel.key set document = jsonb_set(document, '{selector}', '\"s9\"') \
             where selector = 's2'",
            "become another one",
        ),
        (
            "update zegel.key set document = jsonb_set(document, '{fingerprint}', '\"aa\"')",
            "become another one",
        ),
        (
            "insert into zegel.key (organisation, place, document) select organisation, 9, \
             document from zegel.key where selector = 's2'",
            "duplicate key",
        ),
        (
            "insert into zegel.organisation values ('twee', 1, null); \
             insert into zegel.key (organisation, place, document) select 'twee', 0, \
             jsonb_set(document, '{selector}', '\"t1\"') from zegel.key where selector = 's2'",
            "key_fingerprint_key",
        ),
        // One key signs for a domain.
        (
            "update zegel.publication set document = jsonb_set(document, '{state}', '\"active\"') \
             where selector = 's2'",
            "publication_active",
        ),
        // A key that signed is never new again, and none becomes that of another domain.
        (
            "update zegel.publication set document = \
             jsonb_set(document, '{state}', '\"published\"') where selector = 'een-ed25519'",
            "become published again",
        ),
        (
            "update zegel.publication set domain = 'other.example' where selector = 's2'",
            "one key in one domain for ever",
        ),
        (
            "update zegel.publication set document = jsonb_set(document, '{state}', '\"new\"') \
             where selector = 's2'",
            "check constraint",
        ),
        (
            "update zegel.publication set document = document || \
             '{\"state\": \"draining\", \"withdrawal\": \"gone\"}' where selector = 'een-ed25519'; \
             update zegel.publication set document = jsonb_set(document, '{state}', '\"active\"') \
             where selector = 'een-ed25519'",
            "its record is given up",
        ),
        // Private keys are there sealed, and stay.
        ("update zegel.key set sealed = null", "is never removed"),
        (
            "update zegel.key set sealed = '-----BEGIN PRIVATE KEY-----'",
            "check constraint",
        ),
        // A keystore keeps its id, and its numbers grow.
        ("update zegel.keystore set revision = 0", "its number grows"),
        (
            "update zegel.keystore set id = 'ffffffffffffffffffffffffffffffff'",
            "keeps its id",
        ),
        (
            "insert into zegel.keystore values (false, 'ffffffffffffffffffffffffffffffff', 1, gen_random_uuid())",
            "check constraint",
        ),
    ] {
        let said = postgres.refuses(sql);
        assert!(said.contains(expected), "{sql}: {said}");
    }
}

/// The function in the tables says what the drawing in the source says.
#[test]
fn states_follow_each_other_in_the_tables_as_in_the_source() {
    use zegel::keys::State;
    const ALL: [State; 6] = [
        State::Generated,
        State::Published,
        State::Active,
        State::Draining,
        State::Withdrawn,
        State::Revoked,
    ];
    let postgres = Postgres::start();
    let first = Relay::leading(&postgres);
    first.run(&["database", "init"]);
    for before in ALL {
        for after in ALL {
            let sql = format!("select zegel.may_follow('{before}', '{after}')");
            let is_so = postgres.psql(&sql) == "t\n";
            assert_eq!(is_so, before.may_become(after), "{before} {after}");
        }
    }
}

#[test]
fn the_printed_statements_make_the_same_tables() {
    let (postgres, by_hand) = (Postgres::start(), Postgres::start());
    let first = Relay::leading(&postgres);
    first.run(&["database", "init"]);
    let again = first.run(&["database", "init"]);
    assert!(again.contains("already"), "{again}");
    by_hand.psql(&first.run(&["database", "init", "--sql"]));
    let tables = |postgres: &Postgres| {
        postgres.psql(
            "select table_name, column_name, data_type, is_generated \
             from information_schema.columns where table_schema = 'zegel' order by 1, 2",
        )
    };
    assert_eq!(tables(&postgres), tables(&by_hand));
    postgres.psql("insert into zegel.schema (version) values (99)");
    let said = first.refuses(&["database", "status"]);
    assert!(said.contains("upgrade zegel"), "{said}");
}
