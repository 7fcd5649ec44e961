#!/usr/bin/python3
"""Runs a program inside the restrictions of a unit of systemd, where there is no systemd.

    unshare --mount --ipc [--net] sandbox.py UNIT [--drop-in FILE]... [--user UID:GID]
        [--writable PATH]... [--read-only PATH]... [--refuse] PROGRAM ARGUMENTS...

The process stays the same one, so that signals reach the program. What it gets out of the unit:
the filter of system calls (the sets are those that systemd-analyze knows), the address families,
no memory that is both written and executed, no set-user-id bits. And as all our units have it:
no capabilities, no new privileges, and a file system that is read-only but for what is listed.

A call that the unit forbids ends the program, so that a test notices; with --refuse it gets an
error, as under systemd.
"""

import errno
import os
import re
import subprocess
import sys

import seccomp

FORBIDDEN = seccomp.ERRNO(errno.EPERM)
PROT_WRITE, PROT_EXEC = 2, 4
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
HIGHEST_FAMILY = 46
SET_ID_BITS = (0o4000, 0o2000)


def settings(files):
    """The assignments of a unit and its drop-ins, in order. An empty one takes back those
    before it."""
    found = {}
    for file in files:
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                name, sign, value = line.strip().partition("=")
                if name.startswith("#") or not sign:
                    continue
                if value:
                    found.setdefault(name, []).append(value)
                else:
                    found.pop(name, None)
    return found


def expanded(word, seen=()):
    """The system calls that a word of SystemCallFilter= stands for."""
    if not word.startswith("@"):
        return {word}
    if word in seen:
        return set()
    text = subprocess.run(
        ["systemd-analyze", "syscall-filter", word],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ).stdout
    words = re.findall(r"^    (@?[a-z0-9_-]+)", text, re.MULTILINE)
    if not words:
        sys.exit(f"systemd-analyze knows nothing of {word}")
    return set().union(*(expanded(inner, (*seen, word)) for inner in words))


def allowed(lines):
    """systemd.exec(5): the first word says that it is a list of what is allowed, and then
    each line adds or, with ~, takes away. What is needed to begin at all always goes."""
    calls = expanded("@default")
    for line in lines:
        words = set().union(*(expanded(word) for word in line.lstrip("~").split()))
        calls = calls - words if line.startswith("~") else calls | words
    return calls | {"execve"}


def add(known, action, call, *arguments):
    try:
        known.add_rule(action, call, *arguments)
    except RuntimeError:
        # A call of another architecture, or of a kernel newer than libseccomp.
        pass


def restrict(files, refuse):
    """Loads the filters into this process."""
    found = settings(files)
    calls = allowed(found["SystemCallFilter"])
    listed = seccomp.SyscallFilter(FORBIDDEN if refuse else seccomp.KILL_PROCESS)
    for call in sorted(calls):
        add(listed, seccomp.ALLOW, call)

    # A filter of its own, since a call is either allowed above or looked into here.
    details = seccomp.SyscallFilter(seccomp.ALLOW)
    families = " ".join(found["RestrictAddressFamilies"]).split()
    numbers = {FAMILIES[name] for name in families}
    for number in range(HIGHEST_FAMILY):
        if number not in numbers:
            action = seccomp.ERRNO(errno.EAFNOSUPPORT)
            details.add_rule(action, "socket", seccomp.Arg(0, seccomp.EQ, number))
    if found.get("MemoryDenyWriteExecute") == ["yes"]:
        both = PROT_WRITE | PROT_EXEC
        details.add_rule(FORBIDDEN, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, both, both))
        for call in ("mprotect", "pkey_mprotect"):
            argument = seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC, PROT_EXEC)
            details.add_rule(FORBIDDEN, call, argument)
    if found.get("RestrictSUIDSGID") == ["yes"]:
        for bit in SET_ID_BITS:
            for call, place in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2)):
                argument = seccomp.Arg(place, seccomp.MASKED_EQ, bit, bit)
                details.add_rule(FORBIDDEN, call, argument)
    details.load()
    listed.load()


def close_file_system(read_only, writable):
    """Makes everything read-only but what is listed; the last word on a path counts."""

    def mount(*arguments):
        subprocess.run(["mount", *arguments], check=True)

    mount("--make-rprivate", "/")
    # In this order: a read-only path may be in a writable one.
    for path in writable + read_only:
        mount("--bind", path, path)
    with open("/proc/self/mounts", encoding="utf-8") as lines:
        points = {line.split()[1].encode().decode("unicode_escape") for line in lines}
    for point in sorted(points):
        if point not in writable or point in read_only:
            # What is below a mount that hides it cannot be reached, by us or others.
            command = ["mount", "-o", "remount,bind,ro", point]
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


def main():
    arguments = sys.argv[1:]
    if arguments[0] == "--inside":
        restrict(arguments[1].split(os.pathsep), arguments[2] == "refuse")
        os.execvp(arguments[3], arguments[3:])
    files, rest = [arguments[0]], arguments[1:]
    user, read_only, writable, refuse = "65534:65534", [], [], "kill"
    while rest[0].startswith("--"):
        option = rest.pop(0)
        if option == "--refuse":
            refuse = "refuse"
        elif option == "--drop-in":
            files.append(rest.pop(0))
        elif option == "--user":
            user = rest.pop(0)
        elif option == "--read-only":
            read_only.append(rest.pop(0))
        elif option == "--writable":
            writable.append(rest.pop(0))
        else:
            sys.exit(f"what is {option}?")
    close_file_system(read_only, writable)
    uid, gid = user.split(":")
    inside = [sys.executable, os.path.abspath(__file__), "--inside"]
    inside += [os.pathsep.join(files), refuse]
    command = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    command += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    os.execvp("setpriv", command + inside + rest)


main()
