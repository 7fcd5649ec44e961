//! Whether an MTA can come to a socket file, and nobody else.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::Finding;
use crate::{shell, words::Severity};

/// Who connects.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: u32,
    /// The numbers of its groups.
    pub groups: Vec<u32>,
}

/// A socket file or a folder above it, as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where.
    pub path: PathBuf,
    /// The permission bits.
    pub mode: u32,
    /// The number of its owner and of its group.
    pub owner: (u32, u32),
    /// Whether it is a socket.
    pub is_socket: bool,
}

impl Seen {
    fn grants(&self, account: &Account, bit: u32) -> bool {
        let (owner, group) = self.owner;
        let shift = if owner == account.id {
            6
        } else if account.groups.contains(&group) {
            3
        } else {
            0
        };
        account.id == 0 || self.mode >> shift & bit == bit
    }
}

/// What is to be said of an address on which nobody answers.
pub fn unreachable(address: SocketAddr) -> Finding {
    Finding {
        severity: Severity::Act,
        code: "socket_missing",
        found: format!("nobody answers on {address}"),
        why: "the MTA cannot connect, and all mail has its default action",
        command: "systemctl start zegel.service".to_owned(),
    }
}

/// What is to be said of a socket at `path`, with all that is there of the way to it, from the
/// root down. `account` is none if nobody knows the user of the MTA.
pub fn examine(path: &Path, seen: &[Seen], account: Option<&Account>) -> Vec<Finding> {
    let (shown, quoted) = (path.display(), shell::quoted_path(path));
    let finding = |severity, code, found, why, command| Finding {
        severity,
        code,
        found,
        why,
        command,
    };
    let Some(socket) = seen.last().filter(|last| last.path == path) else {
        return vec![finding(
            Severity::Act,
            "socket_missing",
            format!("{shown} is not there"),
            "the MTA cannot connect, and all mail has its default action",
            "systemctl start zegel.socket zegel.service".to_owned(),
        )];
    };
    let mut findings = Vec::new();
    if !socket.is_socket {
        findings.push(finding(
            Severity::Act,
            "no_socket",
            format!("{shown} is not a socket"),
            "the MTA cannot connect, and Zegel leaves alone what is not its own",
            format!("rm {quoted} && systemctl restart zegel.socket zegel.service"),
        ));
    }
    if socket.mode & 0o002 != 0 {
        findings.push(finding(
            Severity::Act,
            "socket_for_everyone",
            format!("{shown} has mode {:04o}", socket.mode & 0o7777),
            "every user of this host can have mail signed",
            format!("chmod o-rwx {quoted} # and mode = \"0660\" in zegel.toml"),
        ));
    }
    let Some(account) = account else {
        return findings;
    };
    let (folders, _) = seen.split_at(seen.len() - 1);
    for folder in folders.iter().filter(|folder| !folder.grants(account, 1)) {
        findings.push(finding(
            Severity::Act,
            "folder_closed",
            format!("{} cannot enter {}", account.name, folder.path.display()),
            "the MTA cannot come to the socket, and all mail has its default action",
            format!("chmod o+x {}", shell::quoted_path(&folder.path)),
        ));
    }
    if !socket.grants(account, 2) {
        findings.push(finding(
            Severity::Act,
            "socket_closed",
            format!(
                "{} cannot write to {shown} (mode {:04o}, user {}, group {})",
                account.name,
                socket.mode & 0o7777,
                socket.owner.0,
                socket.owner.1
            ),
            "the MTA cannot connect, and all mail has its default action",
            format!(
                "usermod --append --groups zegel {} # then restart the MTA",
                shell::quoted(&account.name)
            ),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_commands_are_single_words() {
        let folder = Path::new("/srv/a b; reboot");
        let path = folder.join("it's.sock");
        let seen = |path: &Path, mode| Seen {
            path: path.to_owned(),
            mode,
            owner: (0, 0),
            is_socket: false,
        };
        let account = Account {
            name: "post fix".to_owned(),
            id: 101,
            groups: vec![101],
        };
        let seen = [seen(folder, 0o700), seen(&path, 0o662)];
        let findings = examine(&path, &seen, Some(&account));
        let commands: Vec<&str> = findings.iter().map(|one| one.command.as_str()).collect();
        assert_eq!(
            commands,
            [
                r"rm '/srv/a b; reboot/it'\''s.sock' && systemctl restart zegel.socket zegel.service",
                r#"chmod o-rwx '/srv/a b; reboot/it'\''s.sock' # and mode = "0660" in zegel.toml"#,
                "chmod o+x '/srv/a b; reboot'",
            ]
        );
    }
}
