//! What this host says of users and files.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use crate::doctor::{Account, Seen};

/// A user of `/etc/passwd`, with its groups; none if it is not there.
pub(super) fn account(name: &str) -> Option<Account> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    from(name, &users, &groups)
}

fn from(name: &str, users: &str, groups: &str) -> Option<Account> {
    let user = users.lines().map(fields).find(|user| user[0] == name)?;
    let own = user.get(3)?.parse().ok()?;
    let others = groups.lines().map(fields).filter_map(|group| {
        group
            .get(3)?
            .split(',')
            .any(|member| member == name)
            .then_some(group[2].parse().ok())
            .flatten()
    });
    Some(Account {
        name: name.to_owned(),
        id: user.get(2)?.parse().ok()?,
        groups: others.chain([own]).collect(),
    })
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

/// What is there of a path, from the root down to the first that is not.
pub(super) fn way_to(path: &Path) -> Vec<Seen> {
    let mut way: Vec<&Path> = path.ancestors().collect();
    way.reverse();
    let seen = way.into_iter().map_while(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some(Seen {
            path: path.to_owned(),
            mode: metadata.mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            is_socket: metadata.file_type().is_socket(),
        })
    });
    seen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_own_group_and_others() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\npostfix:x:106:113::/var/spool/postfix:/bin/false\n";
        let groups = "zegel:x:120:postfix,other\nother:x:121:other\npostfix:x:113:\n";
        let account = from("postfix", users, groups).unwrap();
        assert_eq!((account.id, account.groups), (106, vec![120, 113]));
        assert!(from("post", users, groups).is_none());
    }
}
