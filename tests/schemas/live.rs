//! The signer and the keeper, with real name servers.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::Value;
use zegel::dkim::Algorithm::Ed25519Sha256;

use crate::{
    book::Book,
    setup::{finish, zegel},
    support::{
        self,
        keeper::Keeper,
        milter::{Message, send},
        name_world::World,
        port::Port,
        reports::ingest,
        stage::wait_until,
        zegel::{Org, Zegel, get},
    },
};

fn run(book: &Book, zegel: &Zegel, schema: &str, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    let config = zegel.path("zegel.toml");
    let mut command = self::zegel();
    let done = finish(command.args(&arguments).arg("--config").arg(config), b"");
    book.take(&done, schema, &arguments)
}

fn settings(world: &World, http: &Port) -> String {
    format!(
        "[keeper]\nlocal_servers = true\nresolvers = [\"{}\"]\nhttp = \"127.0.0.1:{}\"\n\
         check_every = \"1s\"\nsettle = \"1s\"\n\
         [handover]\nspf = \"include:_spf.relay.example\"\nrua = \"dmarc@relay.example\"\n\
         [reports]\nstate = \"{{folder}}/reports\"\n",
        world.resolver.address(),
        http.number()
    )
}

pub(super) fn processes(book: &Book) {
    let world = World::start();
    world.set_ttl(1);
    for domain in ["een.example", "twee.example", "drie.example"] {
        world.set_both(domain, "");
    }
    let orgs = [
        Org::new("een", &["een.example"]).signing_by(Ed25519Sha256),
        Org::new("twee", &["twee.example"]).without_keys(),
        Org::new("drie", &["drie.example"]).with_lost_keys(),
    ];
    let http = Port::free();
    let listeners = "[[listener]]\nname = \"relay\"\nsocket = \"unix:{folder}/relay.sock\"\n\
                     [[listener]]\nname = \"trial\"\nsocket = \"unix:{folder}/trial.sock\"\n\
                     observe = true\n";
    let zegel = Zegel::with_settings(&orgs, &(settings(&world, &http) + listeners));
    ingest(&zegel.path(""));
    for domain in [
        "een.example",
        "twee.example",
        "drie.example",
        "elsewhere.example",
    ] {
        let body = if domain == "een.example" {
            "x".repeat(2000)
        } else {
            String::new()
        };
        let text = format!("From: a@{domain}\r\nSubject: s\r\n\r\n{body}\r\n");
        for listener in ["relay", "trial"] {
            let address = zegel.milter_of(listener);
            send(&address, &Message::parse(text.as_bytes()));
        }
    }
    run(book, &zegel, "status", &["status"]);
    let keeper = Keeper::start(&zegel.path(""), &http);
    run(book, &zegel, "key-list", &["keeper", "look", "een"]);
    run(book, &zegel, "dns-check", &["dns", "check"]);
    run(book, &zegel, "audit", &["audit"]);
    let pack = run(book, &zegel, "dns-records", &["dns", "records", "een"]);
    let record = &pack["domains"][0]["keys"][0]["record"]["zone_line"];
    let record = record.as_str().unwrap();
    let zone = format!("{record}\n@ TXT \"v=spf1 -all\"\n");
    world.set_both("een.example", &zone);
    run(book, &zegel, "key-list", &["keeper", "look", "een"]);
    let roll = ["key", "roll", "een", "--by", "2999-01-02"];
    run(book, &zegel, "key-added", &roll);
    run(book, &zegel, "key-list", &["keeper", "look", "een"]);
    run(book, &zegel, "audit", &["audit"]);
    let counted = || {
        let config = zegel.path("zegel.toml");
        let mut command = self::zegel();
        command.args(["org", "unsigned", "--since", "yesterday", "--config"]);
        keeper.signal("-HUP");
        finish(command.arg(config), b"")
            .out
            .contains("awaiting_key")
    };
    wait_until("the keeper has counted", counted);
    run(book, &zegel, "org-unsigned", &["org", "unsigned"]);
    run(book, &zegel, "status", &["status"]);
    run(book, &zegel, "check", &["check"]);
    run(
        book,
        &zegel,
        "org-list-waiting",
        &["org", "list", "--waiting"],
    );
    run(book, &zegel, "dns-records", &["dns", "records", "een"]);
    let body = |page: String| page.split_once("\r\n\r\n").unwrap().1.to_owned();
    for ask in ["/status.json", "/status.json?top=5"] {
        let page = get(zegel.http_address(), ask).unwrap();
        book.add("status-json-signer", ask, &body(page));
    }
    let address = ([127, 0, 0, 1], http.number()).into();
    let page = get(address, "/status.json").unwrap();
    book.add("status-json-keeper", "/status.json", &body(page));
}

pub(super) fn hook(book: &Book) {
    let world = World::start();
    world.set_ttl(1);
    world.set_both("lid.example", "");
    let work = support::open_folder("schemas");
    let program = work.path().join("on-zegel");
    let all = work.path().join("all.json");
    fs::write(&program, format!("#!/bin/sh\ncat >> {}\n", all.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let http = Port::free();
    let hooks = format!("[hooks]\ncommand = [\"{}\"]\n", program.display());
    let zegel = Zegel::with_settings(&[], &(settings(&world, &http) + &hooks));
    let _keeper = Keeper::start(&zegel.path(""), &http);
    let kept = zegel.path("keys/keeper.hooks");
    wait_until("telling has begun", || kept.exists());
    let add = [
        "org",
        "add",
        "lid",
        "--name",
        "Lid",
        "--domain",
        "lid.example",
    ];
    let add = [&add[..], &["--contact", "dns@lid.example"]].concat();
    run(book, &zegel, "org-add", &add);
    let told = || fs::read_to_string(&all).unwrap_or_default();
    wait_until("it is told", || told().contains("\"keys\":[{"));
    let list = zegel.path("orgs.d/lid.toml");
    fs::remove_file(list).unwrap();
    wait_until("it is told that it is gone", || {
        told().contains("\"gone\":true")
    });
    for line in told().lines() {
        book.add("hook", "the hook", line);
    }
}
