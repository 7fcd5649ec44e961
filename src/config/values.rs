//! Readers of single values: a node in, the value or what is wrong with it out.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use humantime::format_duration;
use ipnet::IpNet;

use super::{
    problem::Fault,
    tree::{Node, Value},
};
use crate::{
    dkim::NEVER_SIGNED,
    names::{DomainName, FieldName},
    organisation::Action,
};

/// Longest path of a Unix socket: `sun_path` is 108 octets with its final NUL.
const SOCKET_PATH_OCTETS: usize = 107;

fn wrong_kind(node: &Node, expected: &str, advice: impl Into<String>) -> Fault {
    let text = format!("this is {}, and must be {expected}", node.value.kind());
    Fault::new(text, advice)
}

/// A text of one line, not empty.
pub(super) fn text(node: &Node) -> Result<&str, Fault> {
    match &node.value {
        Value::Text(text) | Value::Environment(text) => {
            if text.trim().is_empty() {
                Err(Fault::new(
                    "the text is empty",
                    "fill it in, or take the key out",
                ))
            } else if text.contains(char::is_control) {
                let advice = "write it on one line";
                Err(Fault::new("the text holds control characters", advice))
            } else {
                Ok(text)
            }
        }
        _ => Err(wrong_kind(node, "a text", "write it in quotes: \"…\"")),
    }
}

/// A text that owns itself.
pub(super) fn owned_text(node: &Node) -> Result<String, Fault> {
    text(node).map(ToOwned::to_owned)
}

/// `true` or `false`.
pub(super) fn truth(node: &Node) -> Result<bool, Fault> {
    match &node.value {
        Value::Truth(truth) => Ok(*truth),
        Value::Environment(text) if text == "true" => Ok(true),
        Value::Environment(text) if text == "false" => Ok(false),
        _ => Err(wrong_kind(
            node,
            "true or false",
            "write true or false, without quotes",
        )),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(node: &Node, choices: &[(&str, T)]) -> Result<T, Fault> {
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let advice = || format!("write one of: {}", words.join(", "));
    let (Value::Text(text) | Value::Environment(text)) = &node.value else {
        return Err(wrong_kind(node, "a word in quotes", advice()));
    };
    choices
        .iter()
        .find(|(word, _)| word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| Fault::new(format!("{} is not known here", quoted(text)), advice()))
}

/// An action of the policy.
pub(super) fn action(node: &Node) -> Result<Action, Fault> {
    let choices = [
        ("accept", Action::Accept),
        ("tempfail", Action::Tempfail),
        ("reject", Action::Reject),
    ];
    word(node, &choices)
}

/// A number within bounds; with `K` or `M` (1024, 1024²) when it is a text.
pub(super) fn number(node: &Node, bounds: RangeInclusive<usize>) -> Result<usize, Fault> {
    let (low, high) = (bounds.start(), bounds.end());
    let advice = format!("write a number from {low} to {high}");
    let number = match &node.value {
        Value::Number(number) => usize::try_from(*number).ok(),
        Value::Text(text) | Value::Environment(text) => size(text),
        _ => return Err(wrong_kind(node, "a number", advice)),
    };
    number
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| Fault::new("this is no number within bounds", advice))
}

fn size(text: &str) -> Option<usize> {
    let unit_at = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let factor = match unit.trim() {
        "" => 1,
        "K" | "KiB" => 1024,
        "M" | "MiB" => 1024 * 1024,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(factor)
}

/// A duration such as `600s` or `26w`, within bounds.
pub(super) fn duration(node: &Node, bounds: &RangeInclusive<Duration>) -> Result<Duration, Fault> {
    let (low, high) = (*bounds.start(), *bounds.end());
    let advice = format!(
        "write a duration with its unit, such as 600s, 12h or 26w, from {} to {}",
        format_duration(low),
        format_duration(high)
    );
    let (Value::Text(text) | Value::Environment(text)) = &node.value else {
        return Err(wrong_kind(node, "a duration in quotes", advice));
    };
    let duration = humantime::parse_duration(text)
        .map_err(|_| Fault::new(format!("{} is no duration", quoted(text)), advice.clone()))?;
    if bounds.contains(&duration) {
        Ok(duration)
    } else {
        Err(Fault::new(
            format!("{} is out of bounds", quoted(text)),
            advice,
        ))
    }
}

/// A domain name, in any of its forms.
pub(super) fn domain(node: &Node) -> Result<DomainName, Fault> {
    let text = text(node)?;
    text.trim().parse().map_err(|error| {
        let advice = if text.contains('*') {
            "name every From domain in full: Zegel signs for exactly the domains named here"
        } else if text.contains('@') {
            "write only what comes after the @"
        } else if text.contains("//") {
            "write only the name of the domain"
        } else {
            "write a name such as voorbeeld.nl"
        };
        Fault::new(
            format!("{} is no domain name: {error}", quoted(text)),
            advice,
        )
    })
}

/// The name of a header field that may be signed.
pub(super) fn field_name(node: &Node) -> Result<FieldName, Fault> {
    let text = text(node)?;
    let name: FieldName = text.parse().map_err(|error| {
        let text = format!("{} is no name of a header field: {error}", quoted(text));
        Fault::new(text, "write a name such as List-Id, without a colon")
    })?;
    if NEVER_SIGNED.contains(&name.as_str()) {
        return Err(Fault::new(
            format!("{text} must not be signed"),
            "take it out: it is added or changed on the way, and the signature would break",
        ));
    }
    Ok(name)
}

/// A network in CIDR form, or one address.
pub(super) fn network(node: &Node) -> Result<IpNet, Fault> {
    let text = text(node)?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network: IpNet = text.parse().map_err(|_| {
        let text = format!("{} is no network", quoted(text));
        Fault::new(
            text,
            "write a network such as 10.20.0.0/16 or 2001:db8::/32",
        )
    })?;
    if network.trunc() != network {
        let text = format!("{network} has bits beyond its length");
        let single = network.addr();
        let advice = format!(
            "write {} for the network, or {single} for the host",
            network.trunc()
        );
        return Err(Fault::new(text, advice));
    }
    Ok(network)
}

/// An address and a port.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        let what = format!("{} is no address with a port", quoted(text));
        Fault::new(
            what,
            "write an address, not a name: 127.0.0.1:8891 or [::1]:8891",
        )
    })
}

/// An address without a port.
pub(super) fn address(node: &Node) -> Result<IpAddr, Fault> {
    let text = text(node)?;
    text.parse().map_err(|_| {
        let what = format!("{} is no IP address", quoted(text));
        Fault::new(what, "write an address such as 192.0.2.25 or 2001:db8::25")
    })
}

/// The path of a Unix socket.
pub(super) fn socket_path(text: &str) -> Result<PathBuf, Fault> {
    let path = Path::new(text);
    if !path.is_absolute() || text.ends_with('/') {
        let what = format!("{} is no absolute path of a socket", quoted(text));
        return Err(Fault::new(
            what,
            "write one such as unix:/run/zegel/relay.sock",
        ));
    }
    if text.len() > SOCKET_PATH_OCTETS {
        let what = format!("the path is longer than {SOCKET_PATH_OCTETS} octets");
        return Err(Fault::new(
            what,
            "choose a shorter path: this is a limit of the system",
        ));
    }
    Ok(path.to_owned())
}

/// A text from the file in quotes, cut when it is very long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start:?}…")
}
