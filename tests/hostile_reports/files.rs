//! Files that are none, and folders that never end.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
};

use crate::kinds::{Kind, made, report};

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        made(
            "a Maildir with pipes, devices, sockets and loops",
            "stored",
            |folder, _| {
                for name in ["cur", "new", "tmp"] {
                    fs::create_dir(folder.join(name)).unwrap();
                }
                pipe(&folder.join("new/pipe"));
                symlink("/dev/zero", folder.join("new/zero")).unwrap();
                symlink("/dev/tty", folder.join("new/tty")).unwrap();
                symlink(folder, folder.join("new/loop")).unwrap();
                symlink("itself", folder.join("new/itself")).unwrap();
                UnixListener::bind(folder.join("new/socket")).unwrap();
                fs::write(folder.join("tmp/half"), "<feedback>").unwrap();
                fs::write(folder.join("cur/one:2,S"), report("")).unwrap();
                folder.to_owned()
            },
        ),
        made("a pipe", "unreadable", |folder, _| {
            pipe(&folder.join("pipe"));
            folder.join("pipe")
        }),
        made("a link to an endless device", "unreadable", |folder, _| {
            symlink("/dev/zero", folder.join("zero")).unwrap();
            folder.join("zero")
        }),
        made("a device", "unreadable", |_, _| PathBuf::from("/dev/full")),
        made("a socket", "unreadable", |folder, _| {
            UnixListener::bind(folder.join("socket")).unwrap();
            folder.join("socket")
        }),
        made("a link to itself", "unreadable", |folder, _| {
            symlink("itself", folder.join("itself")).unwrap();
            folder.join("itself")
        }),
        made("nothing there", "unreadable", |folder, _| {
            folder.join("nothing")
        }),
        made("a folder with nothing in it", "-", |folder, _| {
            folder.to_owned()
        }),
        made(
            "a hundred folders in each other",
            "unreadable",
            |folder, _| {
                let deep = folder.join("a/".repeat(100));
                fs::create_dir_all(&deep).unwrap();
                fs::write(deep.join("file"), report("")).unwrap();
                folder.to_owned()
            },
        ),
        made("a name that is no text", "stored", |folder, _| {
            let path = folder.join(OsStr::from_bytes(b"\xff\n\x1b[2J"));
            fs::write(&path, report("")).unwrap();
            path
        }),
    ]
}
