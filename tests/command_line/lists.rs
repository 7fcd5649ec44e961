//! `zegel org`

use crate::setup::Setup;

#[test]
fn organisations_are_listed_and_shown() {
    let setup = Setup::with_key();
    setup.write(
        "orgs.d/streng.toml",
        "domains = [\"bücher.example\"]\ncontact = \"dns@streng.example\"\n\
         [senders]\nauth = [\"crm\"]\nnetworks = [\"10.20.0.0/16\"]\nlisteners = [\"relay\"]\n\
         [policy]\nunauthorised_sender = \"reject\"\n",
    );
    let list = setup
        .run(["org", "list", "--json"])
        .expect(0)
        .member("organisations");
    let ids: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, ["streng", "voorbeeld"]);
    setup
        .run(["org", "list"])
        .expect(0)
        .says(&["WITH KEY", "Gemeente Voorbeeld", "rsa-sha256"]);

    let mut shown = setup
        .run(["org", "show", "streng", "--json"])
        .expect(0)
        .json();
    let warnings = shown.as_object_mut().unwrap().remove("warnings");
    assert_eq!(warnings, Some(serde_json::json!([])));
    assert_eq!(shown, list[0]);
    assert_eq!(shown["domains"][0]["domain"], "xn--bcher-kva.example");
    assert_eq!(shown["senders"]["networks"][0], "10.20.0.0/16");
    assert_eq!(shown["policy"]["unauthorised_sender"], "reject");
    assert_eq!(shown["policy"]["signing_failure"], "tempfail");
    setup.run(["org", "show", "streng"]).expect(0).says(&[
        "dns@streng.example",
        "senders.auth                crm",
        "policy.unauthorised_sender  reject",
        "none",
    ]);
    let shown = setup
        .run(["org", "show", "voorbeeld", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["domains"][1]["domain"], "nieuws.voorbeeld.nl");
    assert_eq!(shown["domains"][1]["keys"][0]["selector"], "s1");
    assert!(shown["senders"].is_null());
    assert_eq!(shown["parked"][0], "oud-voorbeeld.nl");
    setup.run(["org", "show", "voorbeeld"]).expect(0).says(&[
        "any outbound mail",
        "oud-voorbeeld.nl",
        "s1",
    ]);
}
