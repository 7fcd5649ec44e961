//! What in the settings of an MTA, and around a socket, would let mail leave unsigned, lose it,
//! or break signatures; and DMARC reports that go elsewhere. Pure: settings go in as text that
//! others have read, findings come out.

mod postfix;
mod postfix_rules;
mod reports;
mod sendmail;
mod socket;

use std::cmp::Reverse;

use serde::Serialize;

pub use self::{
    postfix::{Postfix, Service},
    postfix_rules::{Answer, NoTables, Tables, examine as examine_postfix},
    reports::{Record, examine as examine_reports},
    sendmail::examine as examine_sendmail,
    socket::{Account, Seen, examine as examine_socket, unreachable},
};
use crate::{
    config::{ListenerSettings, Socket},
    words::Severity,
};

/// Something that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// One word that never changes, for scripts.
    pub code: &'static str,
    /// What was found.
    pub found: String,
    /// Why it matters.
    pub why: &'static str,
    /// The command that mends it, or the line to write where.
    pub command: String,
}

/// Findings as they come.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// Nothing is said twice: what holds for both lists of milters is found in each.
    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        found: impl Into<String>,
        why: &'static str,
        command: impl Into<String>,
    ) {
        let finding = Finding {
            severity,
            code,
            found: found.into(),
            why,
            command: command.into(),
        };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    fn worst_first(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| Reverse(finding.severity));
        self.0
    }
}

/// What of our own configuration the rules want to know.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    /// All of them.
    pub listeners: &'a [ListenerSettings],
    /// `limits.connections`.
    pub connections: usize,
}

/// The address of a listener as Postfix wants it; that of systemd's socket for an inherited one.
fn milter_address(socket: &Socket) -> String {
    match socket {
        Socket::Unix { path, .. } => format!("unix:{}", path.display()),
        Socket::Tcp(address) => format!("inet:{address}"),
        Socket::Inherited(name) => format!("unix:zegel/{name}.sock"),
    }
}
