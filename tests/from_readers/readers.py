#!/usr/bin/python3
"""Reads many From values with the parsers of Python and of what is written in it.

    readers.py < VALUES

VALUES is, for each value, its length in a line and then its octets. For each value a line of
JSON: the domains that each reader finds. Here, and in the other programs of this folder, a
domain is what stands behind the last "@" of an address, and an address without "@" is none.
"""

import email.policy
import json
import sys
from email.utils import getaddresses, parseaddr

try:
    from authheaders import getaddresses as authheaders_getaddresses
    from dkim import rfc822_parse
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(69)


def domains(addresses):
    return [address.rpartition("@")[2] for address in addresses if "@" in address]


def message(value):
    return b"From:" + value + b"\r\n\r\n"


def unfolded(value):
    return value.replace(b"\r\n", b"").decode("utf-8", "surrogateescape")


def legacy(value):
    return domains([parseaddr(unfolded(value))[1]])


def legacy_list(value):
    return domains([address for _, address in getaddresses([unfolded(value)])])


def modern(value):
    header = email.policy.default.header_factory("From", unfolded(value))
    return [address.domain for address in header.addresses if address.domain]


def authheaders(value):
    fields = rfc822_parse(message(value))[0]
    # As check_dmarc does it.
    texts = (text.decode(errors="ignore").strip() for name, text in fields if name.lower() == b"from")
    return domains([address for _, address in authheaders_getaddresses(texts)])


def idna_2003(value):
    """As a program that looks the domain up with Python's own codec."""
    return [domain.encode("idna").decode() for domain in legacy_list(value)]


READERS = {
    "Python parseaddr": legacy,
    "Python getaddresses": legacy_list,
    "Python email.policy": modern,
    "authheaders": authheaders,
    "IDNA 2003": idna_2003,
}


def read(reader, value):
    # A parser that breaks off shows nothing.
    try:
        found = reader(value)
    except Exception:
        found = []
    return [domain.encode("utf-8", "replace").decode() for domain in found]


def main():
    stream = sys.stdin.buffer
    while line := stream.readline():
        value = stream.read(int(line))
        print(json.dumps({name: read(reader, value) for name, reader in READERS.items()}))


main()
