//! What is made of `dkim_signing.conf`.

use std::{fs, process::Command};

use crate::{
    setup::{Folder, Report, import},
    support::checkout,
};

#[test]
fn domains_maps_and_keys_that_lie_where_the_path_says() {
    let folder = Folder::with_keys(5);
    let ed25519 = checkout().join("tests/fixtures/keys/unsafe-ed25519-v1.pem");
    fs::copy(ed25519, folder.path("keys/ed.key")).unwrap();
    folder.set_mode("keys/ed.key", 0o600);
    fs::rename(
        folder.path("keys/3.pem"),
        folder.path("keys/vier.example.dkim.key"),
    )
    .unwrap();
    folder.write("selectors.map", "# c\ndrie.example m2024\n");
    folder.write(
        "local.d/dkim_signing.conf",
        "use_domain = \"envelope\"; # no\n\
         path = \"{}/keys/$domain.$selector.key\";\n\
         selector_map = \"$LOCAL_CONFDIR/selectors.map\";\n\
         path_map = [ \"drie.example {}/keys/2.pem\" ];\n\
         sign_networks = [\"10.1.0.0/16\", \"relay.example\"];\n\
         sign_local = false; use_esld = false; allow_username_mismatch = true; odd = 4;\n\
         domain {\n\
         een.example { selectors [\n\
           { path: \"{}/keys/0.pem\"; selector: \"s1\" },\n\
           { path: \"{}/keys/ed.key\"; selector: \"s1-ed\" }\n\
         ] }\n\
         twee.example { path = \"{}/keys/1.pem\"; selector = \"two words\"; }\n\
         }\n",
    );
    let out = folder.path("out");
    let keystore = folder.path("out/keys");
    let report = import(
        "rspamd",
        &folder.path("local.d/dkim_signing.conf"),
        &out,
        &["--keystore", keystore.to_str().unwrap()],
    );
    assert_eq!(report.status, 1);
    report.expect_findings(&[
        ("not_from", "dkim_signing.conf:1", "envelope"),
        ("client_name", "dkim_signing.conf:5", "relay.example"),
        (
            "dropped_option",
            "dkim_signing.conf:6",
            "allow_username_mismatch",
        ),
        ("unknown_option", "dkim_signing.conf:6", "odd"),
        ("bad_selector", "dkim_signing.conf:12", "two words"),
        ("no_key", "", "twee-example"),
    ]);
    let keys = |id: &str| -> Vec<String> {
        let keys = report.organisation(id)["keys"].as_array().unwrap().iter();
        keys.map(|key| format!("{} {}", key["selector"], key["algorithm"]).replace('"', ""))
            .collect()
    };
    assert_eq!(
        keys("een-example"),
        ["s1 rsa-sha256", "s1-ed ed25519-sha256"]
    );
    assert_eq!(keys("drie-example"), ["m2024 rsa-sha256"]);
    assert_eq!(keys("vier-example"), ["dkim rsa-sha256"]);
    let text = fs::read_to_string(out.join("zegel.toml")).unwrap();
    assert!(text.contains("networks = [\"10.1.0.0/16\"]"), "{text}");
    let loaded = zegel::config::load(&out.join("zegel.toml")).unwrap();
    let een = &loaded.organisations[1];
    assert_eq!((een.id.as_str(), een.algorithms.len()), ("een-example", 2));
}

#[test]
fn tables_in_the_manner_of_opendkim() {
    let folder = Folder::with_keys(2);
    folder.write(
        "signing",
        "*@een.example een\n*@twee.example %\n*@*.drie.example een\n",
    );
    folder.write(
        "keys.map",
        "een een.example:s1:{}/keys/0.pem\ntwee.example %:{}/keys/1.pem\n",
    );
    folder.write(
        "modules.d/dkim_signing.conf",
        "dkim_signing {\n  sign_local = false;\n  .include(try=true) \"$LOCAL_CONFDIR/local.d/dkim_signing.conf\"\n}\n",
    );
    folder.write(
        "local.d/dkim_signing.conf",
        "signing_table = \"file://{}/signing\"; key_table = \"{}/keys.map\"; selector = s2;\n\
         use_redis = true;\nuse_vault = false;\n",
    );
    let report = import(
        "rspamd",
        &folder.path("modules.d/dkim_signing.conf"),
        &folder.path("out"),
        &["--dry-run"],
    );
    report.expect_findings(&[
        ("wildcard_pattern", "signing:3", "drie.example"),
        ("data_set", "dkim_signing.conf:2", "use_redis"),
    ]);
    for (id, selector) in [("een-example", "s1"), ("twee-example", "s2")] {
        assert_eq!(report.organisation(id)["keys"][0]["selector"], selector);
    }
}

/// What a command prints.
fn printed(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output();
    let output = output.expect("tests/install-packages installs it");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

/// The base64 behind `p=` in a record as it stands in a zone file.
fn published(record: &[u8]) -> String {
    let record = String::from_utf8_lossy(record);
    let text: String = record.split('"').skip(1).step_by(2).collect();
    text.split("p=").nth(1).unwrap().trim().to_owned()
}

#[test]
fn the_keys_that_rspamd_makes_and_reads_are_taken() {
    let folder = Folder::with_keys(1);
    let path = |name: &str| {
        let path = folder.path(&format!("keys/{name}.example.dkim.key"));
        path.to_str().unwrap().to_owned()
    };
    let mut expected = Vec::new();
    for (name, kind) in [
        ("pair", "ed25519"),
        ("seed", "ed25519-seed"),
        ("rsa", "rsa"),
    ] {
        let of_x = ["-s", "dkim", "-d", "x", "-b", "2048", "-t", kind, "-k"];
        let file = path(name);
        let arguments = [&["dkim_keygen"], &of_x[..], &[file.as_str()]].concat();
        expected.push(published(&printed("/usr/bin/rspamadm", &arguments)));
    }
    // It reads DER, and base64 of DER, of both forms of an RSA key as well.
    let pem = folder.path("keys/0.pem");
    for (name, form) in [("pkcs8", "pkey"), ("pkcs1", "rsa")] {
        let (der, base64) = (
            path(&format!("{name}-der")),
            path(&format!("{name}-base64")),
        );
        let mut arguments = vec![form, "-outform", "DER", "-in", pem.to_str().unwrap()];
        arguments.extend((form == "rsa").then_some("-traditional"));
        fs::write(&der, printed("openssl", &arguments)).unwrap();
        fs::write(&base64, printed("openssl", &["base64", "-in", &der])).unwrap();
    }
    folder.write(
        "local.d/dkim_signing.conf",
        "path = \"{}/keys/$domain.$selector.key\";\nsign_local = false;\n",
    );
    let (out, keystore) = (folder.path("out"), folder.path("out/keys"));
    let report = import(
        "rspamd",
        &folder.path("local.d/dkim_signing.conf"),
        &out,
        &["--keystore", keystore.to_str().unwrap()],
    );
    for (code, place, words) in report.findings() {
        let refused = ["unusable_key", "no_key", "missing_key"].contains(&code.as_str());
        assert!(!refused, "{code}: {place} {words}");
    }
    let settings = out.join("zegel.toml");
    let organisations = report.json["organisations"].as_array().unwrap();
    let mut records = String::new();
    for organisation in organisations {
        let id = organisation["id"].as_str().unwrap();
        let arguments = ["--config", settings.to_str().unwrap(), "dns", "records", id];
        let pack = printed(env!("CARGO_BIN_EXE_zegel"), &arguments);
        records.push_str(&String::from_utf8(pack).unwrap());
    }
    let records = records.replace(['"', ' ', '\n', '\t'], "");
    for key in expected {
        assert!(records.contains(&key), "{key} {records}");
    }
    // Four files with the same key are one key.
    let four = organisations
        .iter()
        .find(|one| one["domains"].as_array().unwrap().len() == 4);
    assert_eq!(four.unwrap()["keys"].as_array().unwrap().len(), 1);
}

/// An import of this `dkim_signing.conf`, with a key for `een.example` added.
fn imported(text: &str) -> (Folder, Report) {
    let folder = Folder::with_keys(1);
    let domain = "domain { een.example { path = \"{}/keys/0.pem\"; selector = s; } }\n";
    folder.write("local.d/dkim_signing.conf", &format!("{text}\n{domain}"));
    let keystore = folder.path("out/keys");
    let report = import(
        "rspamd",
        &folder.path("local.d/dkim_signing.conf"),
        &folder.path("out"),
        &["--keystore", keystore.to_str().unwrap()],
    );
    (folder, report)
}

fn says(report: &Report, code: &str, words: &str) -> bool {
    let findings = report.findings();
    findings
        .iter()
        .any(|(its_code, _, its_words)| its_code == code && its_words.contains(words))
}

/// The settings that were written, which have to be a configuration.
fn settings(folder: &Folder) -> (zegel::config::Settings, String) {
    let file = folder.path("out/zegel.toml");
    let loaded = zegel::config::load(&file).unwrap();
    (loaded.settings, fs::read_to_string(file).unwrap())
}

#[test]
fn sign_headers_become_the_fields_that_are_signed() {
    for value in [
        "\"(o)from:(x)date:(o)X-Ours:subject:X-Also:(x)X-Perhaps\"",
        "[\"(o)from\", \"(x)date:(o)x-ours\", \"subject:x-also:(x)x-perhaps\"]",
        "\"(o) from : (o)X-OURS:X-Also:x-also:(x)x-perhaps:(x)X-Ours\"",
        "<<EOD\n(o)from:(o)x-ours:x-also:(x)x-perhaps\nEOD",
        "\"(o)x-ours:x-also:(x)x-perhaps:received:dkim-signature\"",
    ] {
        let (folder, report) = imported(&format!("sign_headers = {value};"));
        let headers = settings(&folder).0.signing.headers;
        let names = |names: &[zegel::names::FieldName]| -> Vec<String> {
            names.iter().map(ToString::to_string).collect()
        };
        assert!(
            names(&headers.oversign).contains(&"from".to_owned()),
            "{value}"
        );
        assert!(
            names(&headers.oversign).ends_with(&["x-ours".to_owned()]),
            "{value}"
        );
        assert!(names(&headers.oversign_if_present).ends_with(&["x-perhaps".to_owned()]));
        assert_eq!(names(&headers.sign), ["x-also"], "{value}");
        assert!(
            says(&report, "dropped_option", "sign_headers replaces"),
            "{value}"
        );
        assert_eq!(
            says(&report, "dropped_option", "received is among"),
            value.contains("received")
        );
    }
}

#[test]
fn logins_that_do_not_make_mail_outbound_do_not_afterwards() {
    for (text, authenticated) in [
        ("sign_authenticated = false;", false),
        ("auth_only = false;", false),
        // The old name counts first.
        ("sign_authenticated = true; auth_only = no;", false),
        ("sign_authenticated = off; auth_only = yes;", true),
        ("sign_authenticated = true;", true),
        (
            "sign_authenticated = false; sign_local = false; sign_networks = [\"192.0.2.0/24\"];",
            false,
        ),
    ] {
        let (folder, report) = imported(text);
        let (_, written) = settings(&folder);
        let expected = format!("outbound = {{ authenticated = {authenticated}, networks = [");
        assert!(written.contains(&expected), "{text}: {written}");
        assert_eq!(
            says(&report, "dropped_option", "does not make mail outbound"),
            !authenticated
        );
    }
    // Nothing would ever be outbound: that is no configuration, and is said.
    let (folder, report) = imported("sign_authenticated = false; sign_local = false;");
    assert!(says(
        &report,
        "unsupported_option",
        "no mail would be outbound"
    ));
    assert!(
        settings(&folder)
            .1
            .contains("authenticated = true, networks = []")
    );
}

#[test]
fn networks_in_every_form_that_they_are_written_in() {
    for (value, networks, finding) in [
        (
            "[\"192.0.2.1\", \"[2001:db8::]/32\"]",
            "[\"192.0.2.1/32\", \"2001:db8::/32\"]",
            None,
        ),
        (
            "[\"[2001:db8::]/32\"]",
            "[\"2001:db8::/32\"]",
            Some("client_name"),
        ),
        (
            "[ [2001:db8::1], 192.0.2.1 ]",
            "[\"192.0.2.1/32\", \"2001:db8::1/128\"]",
            Some("client_name"),
        ),
        (
            "\"192.0.2.0/24, 198.51.100.7\"",
            "[\"192.0.2.0/24\", \"198.51.100.7/32\"]",
            Some("client_name"),
        ),
        ("\"{}/map\"", "[\"192.0.2.0/24\", \"2001:db8::/32\"]", None),
        ("[\"0.0.0.0/0\"]", "[\"0.0.0.0/0\"]", Some("open_networks")),
        (
            "[\"10.0.0.1\", \"::/0\"]",
            "[\"10.0.0.1/32\", \"::/0\"]",
            Some("open_networks"),
        ),
    ] {
        let folder = Folder::with_keys(1);
        folder.write("map", "192.0.2.0/24\n[2001:db8::]/32 # office\n");
        let map = folder.path("map").display().to_string();
        let value = value.replace("{}/map", &map);
        let (folder, report) = imported(&format!("sign_local = false; sign_networks = {value};"));
        let (_, written) = settings(&folder);
        assert!(
            written.contains(&format!("networks = {networks}")),
            "{value}: {written}"
        );
        for code in ["client_name", "open_networks"] {
            assert_eq!(
                says(&report, code, ""),
                finding == Some(code),
                "{value} {code}"
            );
        }
    }
}

#[test]
fn a_text_of_several_lines_does_not_end_the_import() {
    let script = "return function(task)\n  -- }\n  return { selector = 'x' }\nend";
    let text = format!("sign_condition = <<EOD\n{script}\nEOD;\nsymbol = \"X\";\nodd = <<A\nx\nA");
    let (_, report) = imported(&text);
    assert!(says(&report, "unsupported_option", "sign_condition"));
    assert!(says(&report, "dropped_option", "symbol"));
    assert!(says(&report, "unknown_option", "odd"));
    assert_eq!(
        report.organisation("een-example")["keys"][0]["selector"],
        "s"
    );
    // And rspamd ends it where we do.
    let folder = Folder::with_keys(0);
    folder.write("rspamd.conf", &format!("dkim_signing {{\n{text}\n}}\n"));
    let file = folder.path("rspamd.conf").display().to_string();
    let dump = printed("/usr/bin/rspamadm", &["configdump", "-j", "-c", &file]);
    let dump = String::from_utf8(dump).unwrap();
    let json: serde_json::Value = serde_json::from_str(&dump[dump.find('{').unwrap()..]).unwrap();
    assert_eq!(json["dkim_signing"]["sign_condition"], script);
    assert_eq!(json["dkim_signing"]["symbol"], "X");
}

#[test]
fn what_rspamd_decides_by_and_zegel_does_not_is_named() {
    for (text, code, words) in [
        (
            "allow_envfrom_empty = false;",
            "unsupported_option",
            "allow_envfrom_empty is off",
        ),
        (
            "allow_envfrom_empty = true;",
            "dropped_option",
            "allow_envfrom_empty is on",
        ),
        (
            "allow_hdrfrom_mismatch = true;",
            "unsupported_option",
            "allow_hdrfrom_mismatch is on",
        ),
        (
            "allow_hdrfrom_multiple = yes;",
            "unsupported_option",
            "bad_from",
        ),
        (
            "check_pubkey = true;",
            "unsupported_option",
            "never asks the DNS",
        ),
        ("skip_spam_sign = true;", "unsupported_option", "spam"),
        (
            "allowed_ids = [1];",
            "unsupported_option",
            "settings by user",
        ),
        ("use_redis = true;", "data_set", "use_redis"),
        (
            "key_prefix = \"a\"; vault_url = \"x\";",
            "dropped_option",
            "key_prefix, vault_url",
        ),
    ] {
        let (_, report) = imported(text);
        assert!(
            says(&report, code, words),
            "{text}: {:#?}",
            report.findings()
        );
    }
}
