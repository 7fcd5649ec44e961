//! Whether an MTA can come to a socket file, and nobody else.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{Finding, Findings};
use crate::{shell, words::Severity};

const CANNOT_CONNECT: &str = "the MTA cannot connect, and all mail has its default action";

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
        why: CANNOT_CONNECT,
        command: "systemctl start zegel.service".to_owned(),
    }
}

/// What is to be said of a socket at `path`, with all that is there of the way to it, from the
/// root down. `account` is none if nobody knows the user of the MTA.
pub fn examine(path: &Path, seen: &[Seen], account: Option<&Account>) -> Vec<Finding> {
    let mut findings = Findings::default();
    let (shown, quoted) = (path.display(), shell::quoted_path(path));
    let Some((socket, folders)) = seen.split_last().filter(|(last, _)| last.path == path) else {
        findings.add(
            Severity::Act,
            "socket_missing",
            format!("{shown} is not there"),
            CANNOT_CONNECT,
            "systemctl start zegel.socket zegel.service",
        );
        return findings.0;
    };
    let mode = socket.mode & 0o7777;
    if !socket.is_socket {
        findings.add(
            Severity::Act,
            "no_socket",
            format!("{shown} is not a socket"),
            "the MTA cannot connect, and Zegel leaves alone what is not its own",
            format!("rm {quoted} && systemctl restart zegel.socket zegel.service"),
        );
    }
    if mode & 0o002 != 0 {
        findings.add(
            Severity::Act,
            "socket_for_everyone",
            format!("{shown} has mode {mode:04o}"),
            "every user of this host can have mail signed",
            format!("chmod o-rwx {quoted} # and mode = \"0660\" in zegel.toml"),
        );
    }
    let Some(account) = account else {
        return findings.0;
    };
    let name = &account.name;
    for folder in folders.iter().filter(|folder| !folder.grants(account, 1)) {
        findings.add(
            Severity::Act,
            "folder_closed",
            format!("{name} cannot enter {}", folder.path.display()),
            "the MTA cannot come to the socket, and all mail has its default action",
            format!("chmod o+x {}", shell::quoted_path(&folder.path)),
        );
    }
    if !socket.grants(account, 2) {
        let (user, group) = socket.owner;
        findings.add(
            Severity::Act,
            "socket_closed",
            format!("{name} cannot write to {shown} (mode {mode:04o}, user {user}, group {group})"),
            CANNOT_CONNECT,
            format!(
                "usermod --append --groups zegel {} # then restart the MTA",
                shell::quoted(name)
            ),
        );
    }
    findings.0
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
