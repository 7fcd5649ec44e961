//! Which clients' mail is outbound.

use ipnet::IpNet;

use super::{
    Module, say_unreadable,
    ucl::{Item, Value},
};
use crate::{
    import::{
        finding::{Code, Place},
        setup::Setup,
        table::Entry,
    },
    organisation::WrittenNetwork,
};

/// `local_addrs` of rspamd as it comes, and loopback.
const LOCAL: [&str; 8] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fd00::/8",
    "fe80::/10",
];

pub(super) fn read(module: &Module<'_>, setup: &mut Setup) {
    let mut networks: Vec<IpNet> = Vec::new();
    if module.is_on("sign_local", true) {
        networks.extend(LOCAL.iter().filter_map(|text| text.parse::<IpNet>().ok()));
        setup.say_of_the_whole(
            Code::DroppedOption,
            "sign_local: mail from private addresses is outbound (local_addrs)",
            "the addresses that rspamd comes with were put into `networks` of the listener: take \
             out those that are not yours, and add those that you added",
        );
    }
    if let Some(item) = module.get("sign_networks") {
        for entry in entries(module, item, setup) {
            add(&entry, &mut networks, setup);
        }
    }
    networks.sort_unstable();
    networks.dedup();
    read_logins(module, networks.is_empty(), setup);
    setup.hints.networks = Some(networks);
}

fn add(entry: &Entry, networks: &mut Vec<IpNet>, setup: &mut Setup) {
    // The map of rspamd separates addresses by white space, commas and semicolons alike.
    let texts = entry.key.split([',', ';']).filter(|text| !text.is_empty());
    for text in texts {
        match text.parse::<WrittenNetwork>() {
            Ok(network) => {
                setup.say_if_open(network.network(), &entry.place);
                networks.push(network.network());
            }
            Err(_) => setup.say(
                Code::ClientName,
                &entry.place,
                format!("{text:?} is neither an address nor a network"),
                "it was left out; name its addresses in `networks` of the listener",
            ),
        }
    }
}

/// The addresses may stand in the configuration itself, in brackets or not, or in a map.
fn entries(module: &Module<'_>, item: &Item, setup: &mut Setup) -> Vec<Entry> {
    let mut texts = Vec::new();
    collect(&item.value, &mut texts);
    if texts.is_empty() {
        say_unreadable(item, "a list of addresses, or a map, is needed", setup);
    }
    let inline = |text: &&String| text.split(',').any(|one| is_network(one.trim()));
    let is_list = matches!(item.value, Value::List(_));
    let is_flat = matches!(&item.value, Value::List(values)
        if values.iter().all(|value| matches!(value, Value::Text(_))));
    if let Some(first) = texts.iter().find(inline)
        && !(is_flat && texts[0].starts_with(|letter: char| letter.is_ascii_digit()))
    {
        let found = format!(
            "rspamd 3.4 does not take {first} for an address, because sign_networks is no list \
             of texts that begins with a digit"
        );
        let done = "it was taken over as the addresses that it says; take it out of `networks` \
                    of the listener if mail from there is not to be signed";
        setup.say(Code::ClientName, &item.place, found, done);
    }
    let mut entries = Vec::new();
    for text in &texts {
        let is_path = text.starts_with(['/', '$', '.']) || text.contains("://");
        if inline(&text) || (is_list && !is_path) {
            entries.extend(words(text, &item.place));
        } else {
            entries.extend(module.lines_of(item, text, setup).unwrap_or_default());
        }
    }
    entries
}

fn words(text: &str, place: &Place) -> Vec<Entry> {
    let words = text.split([',', ';', ' ', '\t', '\n']);
    let words = words.filter(|word| !word.is_empty());
    words
        .map(|word| Entry {
            key: word.to_owned(),
            value: String::new(),
            indented: false,
            place: place.clone(),
        })
        .collect()
}

fn is_network(text: &str) -> bool {
    text.parse::<WrittenNetwork>().is_ok()
}

/// Texts in lists in lists: without quotes, UCL reads `[::1]` as a list.
fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Text(text) => texts.push(text.clone()),
        Value::List(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(object) => {
            let named = object.items.iter().filter(|item| item.key == "url");
            named.for_each(|item| collect(&item.value, texts));
        }
    }
}

/// `auth_only` is the old name, and counts first.
fn read_logins(module: &Module<'_>, no_networks: bool, setup: &mut Setup) {
    let names = ["auth_only", "sign_authenticated"];
    let Some(item) = names.iter().find_map(|name| module.get(name)) else {
        return;
    };
    if module.is_on(&item.key, true) {
        return;
    }
    setup.hints.ignores_logins = true;
    let found = format!("{} is off: a login does not make mail outbound", item.key);
    if no_networks {
        let done = "without logins and networks no mail would be outbound, so `authenticated` of \
                    the listener was left on: name the networks whose mail is signed, and switch \
                    it off";
        setup.say(Code::UnsupportedOption, &item.place, found, done);
    } else {
        let done = "`authenticated` of the listener is off as well";
        setup.say(Code::DroppedOption, &item.place, found, done);
    }
}
