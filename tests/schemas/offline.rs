//! Commands that need nobody else.

use std::{collections::HashMap, fs};

use crate::{
    book::Book,
    dns_server::{Answer, serve},
    setup::{ED25519_KEY, MESSAGE, OTHER_RSA_KEY, RSA_KEY, Setup, finish, zegel},
};

/// A second organisation, with all that a file can have.
fn with_another() -> Setup {
    let setup = Setup::with_key();
    setup.write(
        "orgs.d/streng.toml",
        "name = \"Streng\"\ncontact = \"dns@streng.example\"\ndomains = [\"streng.example\"]\n\
         algorithms = [\"ed25519-sha256\"]\n\
         [senders]\nauth = [\"crm\"]\nnetworks = [\"10.20.0.0/16\"]\nlisteners = [\"relay\"]\n",
    );
    setup
}

fn add_settings(setup: &Setup, more: &str) {
    let settings = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    setup.write("zegel.toml", &format!("{settings}{more}"));
}

pub(super) fn organisations(book: &Book) {
    let setup = with_another();
    let add = [
        "org",
        "add",
        "lid",
        "--name",
        "Lid",
        "--contact",
        "dns@lid.example",
    ];
    let domains = ["--domain", "lid.example", "--parked", "oud-lid.example"];
    let add = [&add[..], &domains].concat();
    book.run(&setup, "org-add", &add);
    book.run(&setup, "org-add", &add);
    let sheet = "id,name,domains,parked,contact,sender_login\n\
                 een,Een,een.example,,dns@een.example,\n\
                 twee,Twee,lid.example,,dns@twee.example,\n";
    let sheet = setup.write("leden.csv", sheet);
    let from = ["org", "add", "--from", &sheet];
    book.run(&setup, "org-add-from", &from);
    book.run(
        &setup,
        "org-add-from",
        &[&from[..], &["--keep-going"]].concat(),
    );
    book.run(&setup, "org-list", &["org", "list"]);
    book.run(&setup, "org-show", &["org", "show", "streng"]);
    book.run(&setup, "org-show", &["org", "show", "voorbeeld"]);
    book.run(&setup, "org-handed-over", &["org", "handed-over", "lid"]);
    book.run(
        &setup,
        "key-added",
        &["key", "roll", "voorbeeld", "--by", "2999-01-02"],
    );
    book.run(&setup, "org-list-waiting", &["org", "list", "--waiting"]);
    let wait = ["org", "wait", "lid", "--timeout", "0s"];
    book.run(&setup, "org-wait", &wait);
    book.run(&setup, "org-wait", &["org", "wait", "voorbeeld"]);
    let moving = ["org", "move", "nieuws.voorbeeld.nl", "--to", "lid"];
    book.run(&setup, "org-move", &moving);
    book.run(&setup, "org-list", &["org", "list"]);
    book.run(&setup, "org-show", &["org", "show", "lid"]);
    book.run(&setup, "org-move", &[&moving[..], &["--cancel"]].concat());
    let parked = ["org", "move", "oud-voorbeeld.nl", "--to", "lid"];
    let moved = book.run(&setup, "org-move", &parked);
    assert_eq!(moved["moved"], true, "{moved}");
    for command in ["suspend", "suspend", "resume", "resume", "suspend"] {
        book.run(&setup, "org-standing", &["org", command, "voorbeeld"]);
    }
    book.run(&setup, "org-list", &["org", "list"]);
    book.run(&setup, "audit", &["audit"]);
    fs::remove_file(setup.path("orgs.d/voorbeeld.toml")).unwrap();
    book.run(&setup, "org-retire", &["org", "retire", "voorbeeld"]);
    let again = book.run(&setup, "org-retire", &["org", "retire", "voorbeeld"]);
    let warning = again["warnings"][0].as_str().unwrap();
    assert!(warning.contains("nothing to retire"), "{warning}");
    book.run(&setup, "org-unsigned", &["org", "unsigned"]);
}

/// By the operator's word, while the file is there.
pub(super) fn leaving(book: &Book) {
    let setup = Setup::with_key();
    add_settings(
        &setup,
        "[handover]\nspf = \"include:_spf.relay.example\"\nrua = \"dmarc@relay.example\"\n",
    );
    let look = || {
        book.run(&setup, "key-list", &["key", "list", "--retired"]);
        book.run(&setup, "org-show", &["org", "show", "voorbeeld"]);
        book.run(&setup, "org-list", &["org", "list"]);
        book.run(&setup, "dns-records", &["dns", "records", "voorbeeld"]);
        book.run(&setup, "check", &["check"]);
        book.run(&setup, "status", &["status"]);
        book.run(&setup, "audit", &["audit"]);
    };
    let retire = ["org", "retire", "voorbeeld"];
    let domain = [&retire[..], &["--domain", "nieuws.voorbeeld.nl"]].concat();
    book.run(&setup, "org-retire", &domain);
    let given = book.run(
        &setup,
        "org-retire",
        &[&retire[..], &["--grace", "30d"]].concat(),
    );
    assert_eq!(given["became"], "leaving");
    look();
    let now = [&retire[..], &["--now"]].concat();
    let left = book.run(&setup, "org-retire", &now);
    assert_eq!(left["became"], "left");
    assert_eq!(left["drained"].as_array().map(Vec::len), Some(2), "{left}");
    look();
    let stays = book.run(&setup, "org-retire", &[&retire[..], &["--undo"]].concat());
    assert_eq!(stays["became"], "stays");
}

/// Keys in a zone of the operator, by each of the ways.
pub(super) fn delegation(book: &Book) {
    for way in ["dname", "ns", "cname"] {
        let setup = Setup::with_key();
        let settings = fs::read_to_string(setup.path("zegel.toml")).unwrap();
        add_settings(
            &setup,
            "[handover]\nzone = \"dkim.relay.example\"\nname_servers = [\"ns1.relay.example\"]\n",
        );
        let file = fs::read_to_string(setup.path("orgs.d/voorbeeld.toml")).unwrap();
        setup.write(
            "orgs.d/voorbeeld.toml",
            &format!("delegation = \"{way}\"\n{file}"),
        );
        setup.run(["key", "roll", "voorbeeld"]).expect(0);
        let add = ["org", "add", "lid", "--name", "Lid", "--delegation", way];
        let domain = ["--domain", "lid.example", "--contact", "dns@lid.example"];
        book.run(&setup, "org-add", &[&add[..], &domain].concat());
        let records = ["dns", "records", "voorbeeld"];
        let pack = book.run(&setup, "dns-records", &records);
        assert_eq!(pack["domains"][0]["delegation"]["way"], way, "{pack}");
        book.run(&setup, "key-list", &["key", "list"]);
        let waiting = ["org", "list", "--waiting"];
        book.run(&setup, "org-list-waiting", &waiting);
        let handed_over = ["org", "handed-over", "voorbeeld"];
        book.run(&setup, "org-handed-over", &handed_over);
        let folder = setup.path("packs").display().to_string();
        let all = ["dns", "records", "--all", "--out", &folder];
        book.run(&setup, "dns-records-all", &all);
        book.run(&setup, "status", &["status"]);
        // Nobody says to where.
        setup.write("zegel.toml", &settings);
        book.run(&setup, "status", &["status"]);
        book.run(&setup, "check", &["check"]);
    }
}

pub(super) fn keys(book: &Book) {
    let setup = Setup::new();
    let import = [
        "key",
        "import",
        "voorbeeld",
        OTHER_RSA_KEY,
        "--selector",
        "s1",
    ];
    book.run(
        &setup,
        "key-import",
        &[&import[..], &["--assume-published"]].concat(),
    );
    let other = [
        "key",
        "import",
        "voorbeeld",
        ED25519_KEY,
        "--selector",
        "s2",
    ];
    let other = book.run(&setup, "key-import", &other);
    assert!(!other["warnings"].as_array().unwrap().is_empty(), "{other}");
    book.run(&setup, "key-added", &["key", "generate", "voorbeeld"]);
    let made = book.run(&setup, "key-added", &["key", "generate", "voorbeeld"]);
    let next = made["keys"][0]["selector"].as_str().unwrap();
    let activate = ["key", "activate", "voorbeeld", next];
    let waits = book.run(&setup, "key-activate", &activate);
    assert!(waits["domains"][0]["reason"].is_string(), "{waits}");
    let assumed = [&activate[..], &["--assume-published"]].concat();
    let active = book.run(&setup, "key-activate", &assumed);
    assert_eq!(active["domains"][0]["instead_of"], "s1");
    book.run(&setup, "key-activate", &assumed);
    book.run(&setup, "key-list", &["key", "list"]);
    book.run(&setup, "audit", &["audit", "voorbeeld"]);
    let rolled = book.run(&setup, "key-added", &["key", "roll", "voorbeeld"]);
    book.run(&setup, "key-list", &["key", "list", "voorbeeld"]);
    let successor = rolled["keys"][0]["selector"].as_str().unwrap();
    let abort = ["key", "roll", "--abort", "voorbeeld", successor];
    book.run(&setup, "key-given-up", &abort);
    let withdraw = ["key", "withdraw", "voorbeeld", "s1", "--force"];
    book.run(&setup, "key-given-up", &withdraw);
    let revoke = ["key", "revoke", "voorbeeld", next, "--compromised"];
    let revoked = book.run(&setup, "key-revoke", &revoke);
    assert_eq!(
        revoked["unsigned"].as_array().map(Vec::len),
        Some(2),
        "{revoked}"
    );
    book.run(&setup, "key-list", &["key", "list"]);
    book.run(&setup, "audit", &["audit"]);
    let report = setup.path("report.json").display().to_string();
    book.run(&setup, "audit-out", &["audit", "--out", &report]);
    book.add("audit", "the file", &fs::read_to_string(&report).unwrap());
    // One that can't be read is told, and the others are listed.
    setup.write("orgs.d/stuk.toml", "domains = [\"stuk.example\"]\n");
    fs::create_dir(setup.path("keys/stuk")).unwrap();
    setup.write("keys/stuk/keyring.json", "{");
    let listed = book.run(&setup, "key-list", &["key", "list"]);
    let warning = listed["warnings"][0].as_str().unwrap();
    assert!(warning.contains("keys/stuk/keyring.json"), "{warning}");
    book.run(&setup, "audit", &["audit"]);
}

pub(super) fn records(book: &Book) {
    let setup = with_another();
    setup.run(["key", "generate", "streng"]).expect(0);
    let records = ["dns", "records", "voorbeeld"];
    // What the keeper would have found in reports.
    for folder in ["keeper.seen", "keeper.senders"] {
        fs::create_dir_all(setup.path("keys").join(folder)).unwrap();
    }
    let record = "v=DMARC1; p=none";
    let seen = serde_json::json!({"domains": {"voorbeeld.nl": {
        "checked": "2026-01-02T00:00:00Z", "spf": [], "dmarc": [record], "findings": [],
    }}});
    setup.write("keys/keeper.seen/voorbeeld.json", &seen.to_string());
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let found = serde_json::json!({"domains": {"voorbeeld.nl": {
        "found": "2026-01-02T00:00:00Z", "from": "2026-01-01", "to": today, "reports": 1,
        "streams": [], "others": 0, "other_messages": 0,
        "selectors": [{"domain": "voorbeeld.nl", "selector": "s1", "messages": 2, "passed": 1,
            "last_seen": "2026-01-02"}],
        "climbing": {"step": "none", "published": record, "since": null, "action": "publish",
            "acting_since": "2026-01-02T00:00:00Z", "text": "why", "to": "quarantine", "lost": 0, "name": "_dmarc.voorbeeld.nl",
            "record": "v=DMARC1; p=quarantine", "not_before": null, "holds": []},
    }}});
    setup.write("keys/keeper.senders/voorbeeld.json", &found.to_string());
    book.run(&setup, "key-list", &["key", "list"]);
    book.run(&setup, "dns-records", &records);
    let zone = ["dns", "records", "streng", "--cname", "relay.example"];
    book.run(&setup, "dns-records", &zone);
    let plain = setup.run([&records[..], &["--format", "json"]].concat());
    book.add("dns-records", "--format json", &plain.expect(0).out);
    let folder = setup.path("packs").display().to_string();
    let all = ["dns", "records", "--all", "--out", &folder];
    // What the keeper would have seen of a parked domain.
    setup.write(
        "orgs.d/stil.toml",
        "name = \"Stil\"\nparked = [\"oud.example\"]\n",
    );
    fs::create_dir_all(setup.path("keys/keeper.seen")).unwrap();
    let seen = "{\"domains\": {\"oud.example\": {\"checked\": \"2026-01-02T00:00:00Z\", \
                \"spf\": [], \"dmarc\": [], \"findings\": [{\"code\": \"spf.not_parked\", \
                \"name\": \"oud.example\", \"seen\": \"\", \"expected\": \"v=spf1 -all\", \
                \"since\": \"2026-01-02T00:00:00Z\"}]}}}";
    setup.write("keys/keeper.seen/stil.json", seen);
    book.run(&setup, "dns-records-all", &all);
    setup.write("packs/voorbeeld.txt", "mine");
    fs::remove_file(setup.path("orgs.d/stil.toml")).unwrap();
    book.run(&setup, "dns-records-all", &all);
    book.run(&setup, "dns-check", &["dns", "check"]);
    book.run(&setup, "check", &["check"]);
    let broken = setup.write(
        "orgs.d/stuk.toml",
        "domains = [\"stuk.example\"]\nname = 1\n",
    );
    book.run(&setup, "check", &["check"]);
    let listed = book.run(&setup, "org-list", &["org", "list"]);
    let warning = listed["warnings"][0].as_str().unwrap();
    assert!(warning.contains("orgs.d/stuk.toml"), "{warning}");
    fs::remove_file(broken).unwrap();
}

pub(super) fn messages(book: &Book) {
    let setup = with_another();
    let explain = |from: &[&str], message: &str| {
        let arguments = [&["explain"], from].concat();
        book.run_with(&setup, "explain", (&arguments, message))
    };
    explain(&[], MESSAGE);
    explain(&["--client", "192.0.2.1"], MESSAGE);
    let strict = MESSAGE.replace("een@voorbeeld.nl", "een@streng.example");
    explain(&["--auth", "crm"], &strict);
    explain(&[], &MESSAGE.replace("From:", "X-From:"));
    let long = format!("{MESSAGE}{}\n", "x".repeat(2000));
    explain(&[], &long);
    let signed = setup.run_with(&["sign"], MESSAGE.as_bytes()).expect(0).out;
    let verify = |options: &[&str], message: &str| {
        let arguments = [&["verify"], options].concat();
        book.run_with(&setup, "verify", (&arguments, message));
    };
    verify(&["--key", RSA_KEY], &signed);
    verify(&["--key", OTHER_RSA_KEY], &signed);
    verify(&["--key", ED25519_KEY], &signed);
    verify(&["--key", RSA_KEY], MESSAGE);
}

pub(super) fn keystore(book: &Book) {
    let setup = Setup::with_key();
    book.run(&setup, "keystore-init", &["keystore", "init"]);
    sealing(book);
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(setup.path("keys"))
        .arg(setup.path("backup"))
        .status();
    assert!(copied.unwrap().success());
    setup
        .run(["key", "revoke", "voorbeeld", "s1", "--compromised"])
        .expect(0);
    fs::remove_dir_all(setup.path("keys")).unwrap();
    fs::rename(setup.path("backup"), setup.path("keys")).unwrap();
    book.run(&setup, "keystore-restore", &["keystore", "restore"]);
    book.run(&setup, "audit", &["audit"]);
}

fn sealing(book: &Book) {
    let setup = Setup::with_key();
    let file = setup.path("sealing.key").display().to_string();
    let make = ["keystore", "sealing-key", &file];
    book.run(&setup, "keystore-sealing-key", &make);
    let settings = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    let table = format!("[keystore]\nsealing_keys = [\"{file}\"]\n");
    setup.write("zegel.toml", &settings.replace("[keystore]\n", &table));
    book.run(&setup, "check", &["check"]);
    book.run(&setup, "keystore-seal", &["keystore", "seal"]);
    book.run(&setup, "check", &["check"]);
    setup.run(["key", "export", "voorbeeld", "s1"]).expect(0);
    // What it warns of is in the document.
    book.run(&setup, "keystore-seal", &["keystore", "seal", "--plain"]);
    fs::write(setup.path("keys/voorbeeld/s1.pem"), "rubbish").unwrap();
    book.run(&setup, "keystore-seal", &["keystore", "seal"]);
    book.run(&setup, "audit", &["audit"]);
}

pub(super) fn others(book: &Book) {
    let setup = Setup::with_key();
    let parameters =
        "smtpd_milters = unix:/run/zegel/milter.sock\nmilter_default_action = accept\n";
    let parameters = setup.write("postconf-n", parameters);
    let services = setup.write("postconf-m", "smtp inet n - y - - smtpd\n");
    let files = ["--postconf-n", &parameters, "--postconf-m", &services];
    let doctor = [&["doctor", "--postfix-version", "3.7.6"][..], &files].concat();
    book.run(&setup, "doctor", &doctor);
    let key = fs::canonicalize(RSA_KEY).unwrap();
    let table = setup.write(
        "keytable",
        &format!("k1 oud.example:oud:{}\n", key.display()),
    );
    let signing = setup.write("signingtable", "*@oud.example k1\n*@weg.example k9\n");
    let conf = setup.write(
        "opendkim.conf",
        &format!("KeyTable file:{table}\nSigningTable refile:{signing}\n"),
    );
    let out = setup.path("out").display().to_string();
    let keys = setup.path("imported").display().to_string();
    zegel::keystore::Keystore::create(&setup.path("imported")).unwrap();
    for more in [&["--dry-run"][..], &[]] {
        let import = ["import", "opendkim", "--json", "--assume-published"];
        let files = ["--config", &conf, "--out", &out, "--keystore", &keys];
        let more = [&files, more].concat();
        let arguments = [&import[..], &more].concat();
        book.take(&finish(zegel().args(&arguments), b""), "import", &arguments);
    }
}

pub(super) fn errors(book: &Book) {
    let setup = with_another();
    let code = |arguments: &[&str], code: &str| {
        let told = book.run(&setup, "error", arguments);
        assert_eq!(told["error"]["code"], code, "{told}");
    };
    code(&["org", "wait"], "usage");
    code(&["org", "show", "niemand"], "usage");
    code(&["sign"], "usage");
    code(
        &[
            "key",
            "import",
            "voorbeeld",
            "Cargo.toml",
            "--selector",
            "x",
        ],
        "failed",
    );
    fs::remove_file(setup.path("keys/generation")).unwrap_or(());
    setup.write("keys/voorbeeld/keyring.json", "{");
    code(&["key", "roll", "voorbeeld"], "keystore");
    let settings = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    setup.write("zegel.toml", &format!("{settings}\n[nothing]\n"));
    code(&["org", "list"], "configuration");
}

/// Of all and of one, and what has changed.
fn overview(book: &Book, setup: &Setup) {
    let overview = ["dmarc", "overview"];
    book.run(setup, "dmarc-overview", &overview);
    let one = [&overview[..], &["voorbeeld"]].concat();
    let earlier = book.run(setup, "dmarc-overview", &one);
    let earlier = setup.write("earlier.json", &earlier.to_string());
    let since = [&one[..], &["--since", &earlier]].concat();
    book.run(setup, "dmarc-overview", &since);
}

/// As the keeper would have counted it, in the days of the report.
fn count_signed(setup: &Setup) {
    let folder = setup.path("keys/keeper.counts");
    fs::create_dir_all(&folder).unwrap();
    // On the days around it mail was signed too.
    for day in [
        "2025-12-31",
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
        "2026-01-04",
    ] {
        let text =
            r#"{"version":1,"organisations":{"voorbeeld":{"signed":5,"signed_by":{"s1":5}}}}"#;
        fs::write(folder.join(format!("{day}.json")), text).unwrap();
    }
}

/// What receivers report.
pub(super) fn reports(book: &Book) {
    let setup = Setup::with_key();
    let state = setup.path("reports");
    add_settings(
        &setup,
        &format!(
            "[reports]\nstate = \"{}\"\nauthserv_id = \"mx.relay.example\"\n",
            state.display()
        ),
    );
    let report = "<feedback><report_metadata><org_name>google.com</org_name>\
        <email><a@b></email><report_id>1</report_id><date_range><begin>1767225600</begin>\
        <end>1767484799</end></date_range></report_metadata><policy_published>\
        <domain>voorbeeld.nl</domain><p>none</p></policy_published><record><row>\
        <source_ip>192.0.2.1</source_ip><count>30</count><policy_evaluated/></row><auth_results><dkim>\
        <domain>factuur.nl</domain><selector>fs</selector><result>pass</result></dkim><spf>\
        <domain>mail.factuur.nl</domain><result>pass</result></spf></auth_results></record>\
        <record><row><source_ip>192.0.2.2</source_ip><count>3</count><policy_evaluated>\
        <dkim>pass</dkim></policy_evaluated></row><auth_results><dkim><domain>voorbeeld.nl\
        </domain><selector>x</selector><result>pass</result></dkim></auth_results></record>\
        <record><row><source_ip>192.0.2.2</source_ip><count>2</count><policy_evaluated>\
        <dkim>pass</dkim></policy_evaluated></row><auth_results><dkim><domain>voorbeeld.nl\
        </domain><selector>s1</selector><result>pass</result></dkim></auth_results></record>\
        </feedback>";
    let one = setup.write("one.xml", report);
    let mail = setup.write("mail", &format!("Subject: x\n\n{report}"));
    let two = setup.write("two", "Content-Type: text/xml; name=a.xml\n\n<feedback>");
    let ingest = ["report", "ingest", "--sources", "--as-of", "2026-02-01"];
    let all = [&ingest[..], &["--any-domain", &one, &mail, &two]].concat();
    book.run(&setup, "report-ingest", &all);
    // From here on a bare file counts as evidence, too.
    let file = setup.path("zegel.toml");
    let settings = fs::read_to_string(&file).unwrap();
    let named = ["mail", "factuur", "nl"].map(str::to_owned).into();
    let record = "v=DMARC1; p=none".to_owned();
    let answers = HashMap::from([
        ("1.2.0.192.in-addr.arpa".to_owned(), Answer::Pointer(named)),
        (
            "voorbeeld.nl".to_owned(),
            Answer::Domain {
                texts: Vec::new(),
                mail: vec!["mx.relay.example".to_owned()],
                signed: true,
            },
        ),
        ("oud-voorbeeld.nl".to_owned(), Answer::Failure),
        (
            "_dmarc.voorbeeld.nl".to_owned(),
            Answer::Texts(vec![record.clone()]),
        ),
        (
            "_dmarc.oud-voorbeeld.nl".to_owned(),
            Answer::Texts(vec![record.clone(), record]),
        ),
    ]);
    let settings = settings
        .replace("authserv_id", "# authserv_id")
        .replace("127.0.0.1:1", &serve(answers).to_string());
    fs::write(&file, settings).unwrap();
    let streams = ["report", "streams", "voorbeeld.nl", "--as-of", "2026-02-01"];
    let found = book.run(&setup, "report-streams", &streams);
    let id = found["streams"][0]["id"].as_str().unwrap().to_owned();
    let one_stream = [&streams[..3], &[&id, "--names"], &streams[3..]].concat();
    book.run(&setup, "report-streams", &one_stream);
    let name = ["report", "name", "voorbeeld.nl", &id];
    let known = [
        "--as",
        "known",
        "--label",
        "Facturen",
        "--owner",
        "F. Beheer",
    ];
    book.run(&setup, "report-name", &[&name[..], &known].concat());
    count_signed(&setup);
    let status = ["dmarc", "status", "--as-of", "2026-02-01"];
    book.run(&setup, "dmarc-status", &status);
    let confirm = ["dmarc", "confirm", "voorbeeld.nl"];
    book.run(&setup, "dmarc-confirm", &confirm);
    book.run(
        &setup,
        "dmarc-confirm",
        &[&confirm[..], &["--yes"]].concat(),
    );
    overview(book, &setup);
    // What is aligned is no abuse.
    let aligned = ["report", "name", "voorbeeld.nl", "dkim:voorbeeld.nl/x"];
    let abuse = [&aligned[..], &["--as", "abuse"]].concat();
    book.run(&setup, "report-name", &abuse);
    book.run(&setup, "report-streams", &streams);
    book.run(&setup, "report-name", &[&name[..], &["--forget"]].concat());
    let before = ["report", "forget", "--before", "2026-01-01"];
    book.run(&setup, "report-forget", &before);
    let domain = ["report", "forget", "voorbeeld.nl"];
    book.run(&setup, "report-forget", &domain);
}
