//! Commands about a database, with a real PostgreSQL.

use std::fs;

use crate::{book::Book, setup::Setup, support::postgres::Postgres};

pub(super) fn database(book: &Book) {
    let postgres = Postgres::start();
    let setup = Setup::with_key();
    let settings = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let file = setup.path("sealing.key").display().to_string();
    setup.run(["keystore", "sealing-key", &file]).expect(0);
    let table = format!("[keystore]\nsealing_keys = [\"{file}\"]\n");
    let settings = settings.replace("[keystore]\n", &table);
    let database = postgres.settings("relay1");
    setup.write("zegel.toml", &format!("{settings}{database}"));
    let run = |name: &str| {
        let words = ["database", name];
        book.run(&setup, &format!("database-{name}"), &words);
    };
    run("status");
    run("init");
    run("init");
    run("sync");
    run("status");
    // Its key lies in the clear.
    run("upload");
    setup.run(["keystore", "seal"]).expect(0);
    book.run(
        &setup,
        "database-upload",
        &["database", "upload", "--dry-run"],
    );
    run("upload");
    postgres.psql("insert into zegel.relay values ('relay2', 0, '0.1.0', true)");
    run("status");
    run("sync");
    // Rows that nobody can use.
    postgres.psql(
        "insert into zegel.organisation values ('kapot', 1, null); \
         insert into zegel.key (organisation, place, document) values ('kapot', 0, \
         '{\"selector\": \"x\", \"algorithm\": \"y\", \"fingerprint\": \"z\"}')",
    );
    run("sync");
    // What was changed here stays.
    setup
        .run(["key", "generate", "voorbeeld", "--another"])
        .expect(0);
    book.run(&setup, "error", &["database", "sync"]);
}
