//! What is made of `dkim_signing.conf`.

use std::fs;

use crate::{
    setup::{Folder, import},
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
