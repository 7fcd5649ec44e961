//! Each problem of `zegel.toml` outside its listeners.

use super::{NONE, expect_problem, good};

/// The file, how the problem begins, and what it says further on.
const CASES: &[(&str, &str, &str)] = &[
    (
        "\n[limits]\nidle = 5s",
        "zegel.toml:3: ",
        "correct the TOML",
    ),
    (
        "[limits]\nidel = \"5s\"",
        "zegel.toml:2: limits.idel: unknown key",
        "mean idle?",
    ),
    (
        "[limit]",
        "zegel.toml:1: limit: unknown key",
        "mean limits?",
    ),
    (
        "[mailbox]",
        "zegel.toml:1: mailbox: unknown key",
        "known here: listener",
    ),
    (
        "\"a[99999999]\" = 1",
        "zegel.toml:1: a[99999999]: unknown",
        "without quotes",
    ),
    (
        "limits = 5",
        "zegel.toml:1: limits: this is a number",
        "as a table",
    ),
    (
        "[limits]\nconnections = 0",
        "zegel.toml:2: limits.connections",
        "from 1 to",
    ),
    (
        "[limits]\nconnections = -1",
        "zegel.toml:2: limits.connections",
        "from 1 to",
    ),
    (
        "[limits]\nconnections = 1.5",
        "zegel.toml:2: limits.connections: this is a number with",
        "from 1 to",
    ),
    (
        "[limits]\ncommands = 999",
        "zegel.toml:2: limits.commands",
        "from 1000 to",
    ),
    (
        "[limits]\nheader_memory = \"512K\"",
        "zegel.toml:2: limits.header_memory",
        "from 1048576 to",
    ),
    (
        "[limits]\ncommand_bytes = \"64K\"",
        "zegel.toml:2: limits.command_bytes",
        "from 1048576 to",
    ),
    (
        "[limits]\nheader_bytes = \"1G\"",
        "zegel.toml:2: limits.header_bytes",
        "from 4096 to",
    ),
    (
        "[limits]\nheader_fields = \"\"",
        "zegel.toml:2: limits.header_fields",
        "from 16",
    ),
    (
        "[limits]\nidle = 600",
        "zegel.toml:2: limits.idle: this is a number",
        "such as 600s",
    ),
    (
        "[limits]\nidle = \"0s\"",
        "zegel.toml:2: limits.idle",
        "from 1s to 1day",
    ),
    (
        "[keystore]\npath = \"\"",
        "zegel.toml:2: keystore.path",
        "fill it in",
    ),
    (
        "[policy]\nhazard = \"drop\"",
        "zegel.toml:2: policy.hazard: \"drop\"",
        "accept, tempfail, reject",
    ),
    (
        "[signing]\ncanonicalization = \"relaxed\"",
        "zegel.toml:2: signing.canonicalization",
        "relaxed/simple",
    ),
    (
        "[signing]\ncanonicalisation = \"simple/simple\"",
        "zegel.toml:2: signing",
        "mean canonicalization?",
    ),
    (
        "[signing]\nexpire = \"5m\"",
        "zegel.toml:2: signing.expire",
        "from 1h to",
    ),
    (
        "[signing]\nexpire = \"never\"",
        "zegel.toml:2: signing.expire",
        "or \"off\"",
    ),
    (
        "[signing.headers]\nsign = [\"Subject\",\n\"Received\"]",
        "zegel.toml:3: signing.headers.sign: Received",
        "take it out",
    ),
    (
        "[signing.headers]\nsign = [\"dkim-signature\"]",
        "zegel.toml:2: signing.headers.sign",
        "take it out",
    ),
    (
        "[signing.headers]\nsign = [\"To:\"]",
        "zegel.toml:2: signing.headers.sign",
        "without a colon",
    ),
    (
        "[signing.headers]\nsign = \"To\"",
        "zegel.toml:2: signing.headers.sign: this is a text",
        "write sign = [",
    ),
    (
        "[signing.headers]\noversign = [\"To\"]",
        "zegel.toml:2: signing.headers.oversign: From",
        "put From in oversign",
    ),
    (
        "[signing.headers]\noversign_if_present = [\"From\"]",
        "zegel.toml:2: signing.headers",
        "put From in oversign",
    ),
    (
        "[signing.headers]\nsign = [\"To\"]\noversign = [\"from\", \"TO\"]",
        "zegel.toml:3: signing.headers.oversign: to",
        "once",
    ),
    (
        "[http]\nlisten = \"9465\"",
        "zegel.toml:2: http.listen",
        "127.0.0.1:9465, [::1]:9465",
    ),
    (
        "[http]\nlisten = \"0.0.0.0:9465\"",
        "zegel.toml:2: http.listen",
        "allow_remote = true",
    ),
    (
        "[http]\nlisten = \"unix:http.sock\"",
        "zegel.toml:2: http.listen",
        "unix:/run",
    ),
    (
        "[http]\nlisten = \"unix:/run/zegel/relay.sock\"",
        "zegel.toml:2: http.listen: the listener relay",
        "choose another",
    ),
    (
        "[keeper]\nhttp = \"127.0.0.1:9465\"",
        "zegel.toml:2: keeper.http",
        "127.0.0.1:9466",
    ),
    (
        "[keeper]\nhttp = \"192.0.2.1:9466\"",
        "zegel.toml:2: keeper.http",
        "allow_remote",
    ),
    (
        "[keeper]\nresolvers = \"sytsem\"",
        "zegel.toml:2: keeper.resolvers: this is a text",
        "must be a list",
    ),
    (
        "[keeper]\nresolvers = [\"127.0.0.1\"]",
        "zegel.toml:2: keeper.resolvers",
        "127.0.0.1:53",
    ),
    (
        "[keeper]\nresolvers = []",
        "zegel.toml:2: keeper.resolvers",
        "\"system\"",
    ),
    (
        "[keeper]\nlead_time = \"30w\"",
        "zegel.toml:2: keeper.lead_time",
        "shorter than rotate_every",
    ),
    (
        "[keeper]\nsettle = \"0s\"",
        "zegel.toml:2: keeper.settle",
        "from 1s",
    ),
    (
        "[keeper]\nrelay_addresses = [\"192.0.2.0/24\"]",
        "zegel.toml:2: keeper.relay_addresses",
        "such as 192.0.2.25",
    ),
    (
        "[keeper]\nsigners = \"http://127.0.0.1:9465\"",
        "zegel.toml:2: keeper.signers: this is a text",
        "must be a list",
    ),
    (
        "[keeper]\nsigners = [\"relay:9465\"]",
        "zegel.toml:2: keeper.signers",
        "unix:/run/zegel/http.sock",
    ),
    (
        "[handover]\nspf = \"v=spf1 include:_spf.relay.example -all\"",
        "zegel.toml:2: handover.spf: \"v=spf1\" is no term",
        "without v=spf1 and all",
    ),
    (
        "[handover]\nrua = \"dmarc@relay.example!10m,mailto:x@y.example\"",
        "zegel.toml:2: handover.rua",
        "such as dmarc@relay.example",
    ),
    (
        "[handover]\nnote = \"a\\nb\"",
        "zegel.toml:2: handover.note",
        "on one line",
    ),
    (
        "[reports]\naddress = \"dmarc\"",
        "zegel.toml:2: reports.address",
        "such as dmarc@relay.example",
    ),
    (
        "[reports]\nauthserv_id = \"mx relay\"",
        "zegel.toml:2: reports.authserv_id",
        "such as mx.relay.example",
    ),
    (
        "[reports]\nkeep = \"30d\"",
        "zegel.toml:2: reports.keep",
        "is out of bounds",
    ),
    (
        "[reports.limits]\nnesting = 0",
        "zegel.toml:2: reports.limits.nesting",
        "from 1 to 10",
    ),
    (
        "[hooks]\ncommand = [\"on-zegel\", \"-v\"]",
        "zegel.toml:2: hooks.command",
        "the whole path of the program",
    ),
    (
        "[database]\ntls = \"off\"",
        "zegel.toml:1: database",
        "add url = ",
    ),
    (
        "[database]\nurl = \"mysql://zegel@db.example/zegel\"",
        "zegel.toml:2: database.url",
        "postgresql://",
    ),
    (
        "[database]\nurl = \"postgresql://zegel:geheim@db.example/zegel\"",
        "zegel.toml:2: database.url: there is a password in it",
        "password_file",
    ),
    (
        "[database]\nurl = \"postgresql://db.example/zegel?password=geheim\"",
        "zegel.toml:2: database.url: there is a password in it",
        "password_file",
    ),
    (
        "[database]\nurl = \"postgresql://zegel@db.example/zegel\"\nrelay = \"a b\"",
        "zegel.toml:3: database.relay",
        "such as relay1",
    ),
    (
        "[log]\nformat = \"xml\"",
        "zegel.toml:2: log.format",
        "text, json",
    ),
    (
        "[log]\nfilter = \"inof\"",
        "zegel.toml:2: log.filter",
        "mean info?",
    ),
    (
        "[log]\nfilter = \"info,zegel=debugg\"",
        "zegel.toml:2: log.filter",
        "mean debug?",
    ),
    (
        "[log]\nfilter = \"zegel=info=debug\"",
        "zegel.toml:2: log.filter: \"info=debug\" is no level",
        "mean debug?",
    ),
    (
        "[log]\nfilter = \",\"",
        "zegel.toml:2: log.filter: \",\" is no level",
        "write a level",
    ),
    (
        "[log]\nfilter = \"info,zegel\"",
        "zegel.toml:2: log.filter: \"zegel\" is no level",
        "module=level",
    ),
    (
        "[log]\nfilter = 5",
        "zegel.toml:2: log.filter: this is a number",
        "in quotes",
    ),
    (
        "[log]\nfilter = 99999999999999999999",
        "zegel.toml:2: log.filter",
        "a smaller number",
    ),
    (
        "\u{feff}[log]\r\nfiltr = \"info\"\r\n",
        "zegel.toml:2: log.filtr",
        "mean filter?",
    ),
];

#[test]
fn each_problem_of_the_settings() {
    for (text, beginning, words) in CASES {
        expect_problem(&[("zegel.toml", *text)], beginning, words);
    }
}

#[test]
fn the_keeper_serves_its_pages_where_nothing_else_is() {
    let listener = |address: &str| {
        format!("[[listener]]\nname = \"relay\"\nsocket = \"inet:{address}\"\noutbound = \"all\"\n")
    };
    for (text, expected) in [
        (String::new(), "127.0.0.1:9466"),
        ("[keeper]\nhttp = \"off\"".to_owned(), "off"),
        ("[keeper]\nhttp = \"[::1]:1\"".to_owned(), "[::1]:1"),
        ("[http]\nlisten = \"127.0.0.1:9466\"".to_owned(), "off"),
        (listener("127.0.0.1:9466"), "off"),
        (listener("127.0.0.1:9467"), "127.0.0.1:9466"),
    ] {
        let loaded = good(&[("zegel.toml", text.as_str())], NONE);
        assert_eq!(loaded.settings.keeper.http.to_string(), expected, "{text}");
    }
}

#[test]
fn the_status_page_is_for_this_host_unless_asked_for() {
    for (http, expected) in [
        ("", true),
        ("listen = \"[::1]:9465\"", true),
        ("listen = \"unix:/run/http.sock\"", true),
        ("listen = \"127.0.0.1:1\"\npage = false", false),
        ("listen = \"192.0.2.1:9465\"\nallow_remote = true", false),
        ("listen = \"0.0.0.0:9465\"\nallow_remote = true", false),
        (
            "listen = \"192.0.2.1:9465\"\nallow_remote = true\npage = true",
            true,
        ),
    ] {
        let text = format!("[http]\n{http}\n");
        let settings = good(&[("zegel.toml", &text)], NONE).settings;
        assert_eq!(settings.http_page, expected, "{http}");
    }
}

#[test]
fn reports_go_to_rua_or_else_to_the_address_where_they_come_in() {
    let rua = "[handover]\nrua = \"mailto:rua@relay.example\"\n";
    let address = "[reports]\naddress = \"in@relay.example\"\n";
    for (text, expected) in [
        (String::new(), None),
        (rua.to_owned(), Some("rua@relay.example")),
        (address.to_owned(), Some("in@relay.example")),
        (format!("{rua}{address}"), Some("rua@relay.example")),
    ] {
        let settings = good(&[("zegel.toml", &text)], NONE).settings;
        assert_eq!(settings.report_address(), expected, "{text}");
    }
}
