//! Each problem of a `[[listener]]` table.

use super::{Client, NONE, Outbound, Sender, expect_problem, good};

/// What comes after the name, how the problem begins, and what it says further on.
const CASES: &[(&str, &str, &str)] = &[
    (
        "",
        "zegel.toml:1: listener[0]: socket is missing",
        "add socket = ",
    ),
    (
        "socket = \"127.0.0.1:8891\"",
        "zegel.toml:3: listener[0].socket",
        "inet:127.0.0.1:8891",
    ),
    (
        "socket = \"inet:localhost:8891\"",
        "zegel.toml:3: listener[0].socket",
        "an address, not a name",
    ),
    (
        "socket = \"inet:8891@127.0.0.1\"",
        "zegel.toml:3: listener[0].socket",
        "127.0.0.1:8891",
    ),
    (
        "socket = \"inet:0.0.0.0:8891\"",
        "zegel.toml:3: listener[0].socket",
        "allow_remote = true",
    ),
    (
        "socket = \"inet:[::]:8891\"\nallow_remote = false",
        "zegel.toml:3: listener[0].socket",
        "allow_remote = true",
    ),
    (
        "socket = \"unix:a.sock\"",
        "zegel.toml:3: listener[0].socket",
        "unix:/run",
    ),
    (
        "socket = \"fd:\"",
        "zegel.toml:3: listener[0].socket",
        "FileDescriptorName=",
    ),
    (
        "socket = \"unix:/a\"\nmode = \"0666\"",
        "zegel.toml:4: listener[0].mode",
        "group = \"postfix\"",
    ),
    (
        "socket = \"unix:/a\"\nmode = \"0777\"",
        "zegel.toml:4: listener[0].mode",
        "group = \"postfix\"",
    ),
    (
        "socket = \"unix:/a\"\nmode = \"660\"",
        "zegel.toml:4: listener[0].mode",
        "mode = \"0660\"",
    ),
    (
        "socket = \"unix:/a\"\nmode = \"0980\"",
        "zegel.toml:4: listener[0].mode",
        "mode = \"0660\"",
    ),
    (
        "socket = \"unix:/a\"\nmode = \"4660\"",
        "zegel.toml:4: listener[0].mode",
        "mode = \"0660\"",
    ),
    (
        "socket = \"unix:/a\"\nmode = 660",
        "zegel.toml:4: listener[0].mode: this is a number",
        "\"0660\"",
    ),
    (
        "socket = \"fd:a\"\nmode = \"0660\"",
        "zegel.toml:4: listener[0].mode",
        "unix: socket",
    ),
    (
        "socket = \"fd:a\"\ngroup = \"postfix\"",
        "zegel.toml:4: listener[0].group",
        "unix: socket",
    ),
    (
        "socket = \"inet:127.0.0.1:8891\"\nallow_users = [\"root\"]",
        "zegel.toml:4: listener[0].allow_users: who connects by TCP",
        "unix: socket",
    ),
    (
        "socket = \"unix:/a\"\nallow_users = [\"root\", \"no-such-user\"]",
        "zegel.toml:4: listener[0].allow_users: \"no-such-user\" is no user",
        "/etc/passwd",
    ),
    (
        "socket = \"unix:/a\"\nallow_users = []",
        "zegel.toml:4: listener[0].allow_users: nobody",
        "such as postfix",
    ),
    (
        "socket = \"unix:/a\"\nallow_users = 0",
        "zegel.toml:4: listener[0].allow_users: this is a number",
        "allow_users = [",
    ),
    (
        "socket = \"unix:/a\"\nallow_user = [\"root\"]",
        "zegel.toml:4: listener[0].allow_user: unknown key",
        "mean allow_users?",
    ),
    (
        "socket = \"fd:a\"\noutbound = \"none\"",
        "zegel.toml:4: listener[0].outbound",
        "write \"all\"",
    ),
    (
        "socket = \"fd:a\"\noutbound = {}",
        "zegel.toml:4: listener[0].outbound: by this rule",
        "write \"all\"",
    ),
    (
        "socket = \"fd:a\"\noutbound = { networks = [\"10.0.0.1/8\"] }",
        "zegel.toml:4: listener[0].outbound.networks",
        "10.0.0.0/8 for the network",
    ),
    (
        "socket = \"fd:a\"\noutbound = { networks = [\"::ffff:10.1.0.0/104\"] }",
        "zegel.toml:4: listener[0].outbound.networks: 10.1.0.0/8 has bits",
        "10.0.0.0/8 for the network",
    ),
    (
        "socket = \"fd:a\"\noutbound = { networks = [\"::ffff:0:0/80\"] }",
        "zegel.toml:4: listener[0].outbound.networks: \"::ffff:0:0/80\": it holds all of IPv4",
        "write 0.0.0.0/0 for all of IPv4",
    ),
    (
        "socket = \"fd:a\"\noutbound = { network = [\"10.0.0.1\"], authenticated = true }",
        "zegel.toml:4: listener[0].outbound.network",
        "mean networks?",
    ),
    (
        "socket = \"fd:a\"\noutbound = { authenticated = \"yes\" }",
        "zegel.toml:4: listener[0].outbound.authenticated",
        "without quotes",
    ),
    (
        "socket = \"fd:a\"\nsock = 1",
        "zegel.toml:4: listener[0].sock: unknown key",
        "mean socket?",
    ),
    (
        "socket = \"fd:a\"\n[[listener]]\nname = \"a\"\nsocket = \"fd:b\"",
        "zegel.toml:5: listener[1].name",
        "its own name",
    ),
    (
        "socket = \"fd:a\"\n[[listener]]\nname = \"b\"\nsocket = \"fd:a\"",
        "zegel.toml:6: listener[1].socket",
        "its own socket",
    ),
];

#[test]
fn each_problem_of_a_listener() {
    let one = |rest: &str| format!("[[listener]]\nname = \"a\"\n{rest}");
    for (rest, beginning, words) in CASES {
        expect_problem(&[("zegel.toml", &one(rest))], beginning, words);
    }
    for (text, beginning, words) in [
        (
            "[listener]\nname = \"a\"",
            "zegel.toml:1: listener: this is a table",
            "[[listener]]",
        ),
        (
            "listener = []",
            "zegel.toml:1: listener: there is no",
            "[[listener]]",
        ),
        (
            "[[listener]]\nsocket = \"fd:a\"",
            "zegel.toml:1: listener[0]: name is missing",
            "add name",
        ),
        (
            "[[listener]]\nname = \"A\"\nsocket = \"fd:a\"",
            "zegel.toml:2: listener[0].name",
            "a to z",
        ),
    ] {
        expect_problem(&[("zegel.toml", text)], beginning, words);
    }
}

#[test]
fn mapped_networks_are_those_of_ipv4_wherever_they_are_written() {
    let text = "[[listener]]\nname = \"a\"\nsocket = \"fd:a\"\n\
        outbound = { networks = [\"::ffff:10.0.0.0/104\", \"[::ffff:192.0.2.1]\"] }\n\
        [keeper]\nrelay_addresses = [\"::ffff:192.0.2.25\"]";
    let organisation = "domains = [\"a.nl\"]\n[senders]\n\
        networks = [\"::ffff:a14:0/112\", \"[::ffff:10.21.0.0]/112\", \"::ffff:192.0.2.1/128\"]";
    let loaded = good(
        &[("zegel.toml", text), ("orgs.d/a.toml", organisation)],
        NONE,
    );
    let Outbound::Rule { networks, .. } = &loaded.settings.listeners[0].outbound else {
        panic!("it is a rule")
    };
    assert_eq!(format!("{networks:?}"), "[10.0.0.0/8, 192.0.2.1/32]");
    let relay_addresses = &loaded.settings.keeper.relay_addresses;
    assert_eq!(format!("{relay_addresses:?}"), "[192.0.2.25]");
    let senders = loaded.organisations[0].senders.as_ref().unwrap();
    let expected = "[10.20.0.0/16, 10.21.0.0/16, 192.0.2.1/32]";
    assert_eq!(format!("{:?}", senders.networks), expected);
    let sender = Sender {
        login: None,
        client: Client::At("10.20.1.1".parse().unwrap()),
        listener: "a",
    };
    assert!(
        loaded.settings.listeners[0]
            .outbound
            .ground(&sender)
            .is_some()
    );
    assert!(senders.ground(&sender).is_some());
}

#[test]
fn a_rule_may_take_clients_without_an_address_alone() {
    for (rule, takes) in [
        ("{ without_address = true }", true),
        ("{ authenticated = true, without_address = true }", true),
        (
            "{ networks = [\"0.0.0.0/0\", \"::/0\"], without_address = false }",
            false,
        ),
        ("{ networks = [\"0.0.0.0/0\", \"::/0\"] }", false),
        ("\"all\"", true),
    ] {
        let text = format!("[[listener]]\nname = \"a\"\nsocket = \"fd:a\"\noutbound = {rule}");
        let outbound = good(&[("zegel.toml", &text)], NONE).settings.listeners[0]
            .outbound
            .clone();
        let sender = |client| Sender {
            login: None,
            client,
            listener: "a",
        };
        let ground = outbound.ground(&sender(Client::WithoutAddress));
        assert_eq!(ground.is_some(), takes, "{rule}");
        // What can't be read is no client of ours.
        let ground = outbound.ground(&sender(Client::Unknown));
        assert_eq!(ground.is_some(), rule == "\"all\"", "{rule}");
    }
}

#[test]
fn users_have_their_numbers() {
    let text = "[[listener]]\nname = \"a\"\nsocket = \"fd:a\"\nallow_users = [\"root\", \"89\"]";
    let loaded = good(&[("zegel.toml", text)], NONE);
    let users = loaded.settings.listeners[0].allow_users.as_deref();
    let numbers: Vec<u32> = users.unwrap().iter().map(|user| user.number).collect();
    assert_eq!(numbers, [0, 89]);
}
