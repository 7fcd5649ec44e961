//! The way to the database.

use super::{Postgres, Relay};

#[test]
fn a_certificate_is_that_of_the_host_by_an_authority_that_is_believed() {
    let postgres = Postgres::start();
    let relay = Relay::leading(&postgres);
    relay.write_settings(&postgres.settings_of_host("localhost"), true);
    relay.run(&["database", "init"]);
    relay.run(&["database", "upload"]);
    // The certificate names another host.
    relay.write_settings(&postgres.settings_of_host("127.0.0.1"), true);
    let said = relay.refuses(&["database", "upload"]);
    assert!(said.contains("certificate"), "{said}");
    // Another authority made it.
    let other = postgres
        .settings_of_host("localhost")
        .replace("ca.crt", "other.crt");
    relay.write_settings(&other, true);
    let said = relay.refuses(&["database", "upload"]);
    assert!(said.contains("certificate"), "{said}");
    // Without TLS nobody goes further than this host.
    let far = "[database]\nurl = \"postgresql://zegel@db.example/zegel\"\ntls = \"off\"\n";
    relay.write_settings(far, true);
    let said = relay.refuses(&["database", "upload"]);
    assert!(said.contains("tls = \"verify\""), "{said}");
    let far = "[database]\nurl = \"postgresql://zegel@localhost/zegel?hostaddr=192.0.2.7\"\n\
               tls = \"off\"\n";
    relay.write_settings(far, true);
    let said = relay.refuses(&["database", "upload"]);
    assert!(said.contains("tls = \"verify\""), "{said}");
    // A password that others can read is none.
    relay.write_settings(&postgres.settings_of_host("localhost"), true);
    let status = std::process::Command::new("chmod")
        .arg("644")
        .arg(postgres.path("password"))
        .status();
    assert!(status.expect("chmod").success());
    let said = relay.refuses(&["database", "upload"]);
    assert!(said.contains("chmod 600"), "{said}");
}
