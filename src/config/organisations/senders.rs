//! Who may send in the name of an organisation: the table `[senders]` of its file.

use crate::{
    config::{
        problem::{Fault, Report},
        section::{Section, distance, network, owned_text, quoted, text},
        source::{Node, Value},
    },
    organisation::Senders,
};

/// The listeners that there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listeners<'a> {
    /// Those of `zegel.toml`; none when it could not be read.
    pub(super) named: Option<&'a [String]>,
    /// Those of them that the process does not have, since they came after its start.
    pub(super) unbound: &'a [String],
}

/// Reads the table.
pub(super) fn read(node: Node, listeners: Listeners<'_>, report: &Report) -> Senders {
    let is_table = matches!(node.value, Value::Table(_));
    let mut section = Section::new(node, report);
    let anyone = ["auth", "networks", "listeners"]
        .iter()
        .any(|key| section.length(key).is_some_and(|length| length > 0));
    if is_table && !anyone {
        let text = "by this table nobody may send";
        let advice = "fill in auth, networks or listeners, or take [senders] out: \
                      then any outbound mail may use these domains";
        report.problem(&section.site, Fault::new(text, advice));
    }
    let senders = Senders {
        auth: section.values("auth", owned_text),
        networks: section.values("networks", network),
        listeners: section.values("listeners", |node| known(text(node)?, listeners)),
    };
    section.finish();
    senders
}

fn known(name: &str, listeners: Listeners<'_>) -> Result<String, Fault> {
    let is_in = |names: &[String]| names.iter().any(|known| known == name);
    if is_in(listeners.unbound) {
        return Err(Fault::new(
            format!(
                "the signer that runs does not have the listener {}",
                quoted(name)
            ),
            "restart it: listeners are opened at its start only",
        ));
    }
    let Some(named) = listeners.named.filter(|names| !is_in(names)) else {
        return Ok(name.to_owned());
    };
    let nearest = named.iter().min_by_key(|known| distance(name, known));
    let advice = match nearest {
        Some(nearest) if distance(name, nearest) <= 2 => format!("did you mean {nearest}?"),
        _ => format!("zegel.toml has: {}", named.join(", ")),
    };
    Err(Fault::new(
        format!("there is no listener {}", quoted(name)),
        advice,
    ))
}
