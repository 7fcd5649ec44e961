#!/usr/bin/python3
"""Writes messages signed by dkimpy, and changed ones, into a folder.

    signed_by_dkimpy.py FOLDER

FOLDER then holds `records` (lines of name, TAB, text), `good` and `bad`: a file
for each message. Both algorithms and all four canonicalisations are used; the
keys are new each time.
"""

import base64
import itertools
import pathlib
import sys

import dkim
import nacl.encoding
import nacl.signing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

DOMAIN = b"example.com"
MESSAGES = [
    b"From: A <a@example.com>\r\nTo: b@example.org\r\nSubject: Plain\r\n\r\nHello.\r\n",
    b"From: a@example.com\r\nSubject: Folded\r\n\tonce and\r\n  twice\r\n\r\n  Many   blanks \t\r\n\r\n\r\n",
    b"From: a@example.com\r\nSubject: No body\r\n\r\n",
    b"From: a@example.com\r\nSubject: \xc3\xa9\xff 8 bits\r\n\r\n\xc3\xa9\xff\r\n",
    b"From: a@example.com\r\nX-Unsigned: 1\r\nSubject: Long\r\n\r\n" + b"x" * 5000 + b"\r\n.\r\nend\r\n",
]


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in ("good", "bad"):
        (folder / name).mkdir()
    keys, records = make_keys()
    (folder / "records").write_text(records)
    methods = [b"simple", b"relaxed"]
    cases = itertools.product(keys, methods, methods, enumerate(MESSAGES))
    for (algorithm, (selector, key)), header, body, (number, message) in cases:
        signature = dkim.DKIM(message).sign(
            selector, DOMAIN, key, signature_algorithm=algorithm, canonicalize=(header, body),
            include_headers=[b"from", b"to", b"subject", b"from"])
        signed = signature + message
        name = b"-".join([selector, header, body, b"%d" % number]).decode()
        (folder / "good" / name).write_bytes(signed)
        (folder / "bad" / f"{name}-body").write_bytes(signed + b"More.\r\n")
        (folder / "bad" / f"{name}-field").write_bytes(signed.replace(b"Subject: ", b"Subject: Re: "))


def make_keys():
    secret = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption())
    spki = secret.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    seed = nacl.signing.SigningKey.generate()
    encoder = nacl.encoding.Base64Encoder
    public = seed.verify_key.encode(encoder=encoder).decode()
    records = (f"rsa._domainkey.example.com\tv=DKIM1; k=rsa; p={base64.b64encode(spki).decode()}\n"
               f"ed._domainkey.example.com\tv=DKIM1; k=ed25519; p={public}\n")
    keys = [(b"rsa-sha256", (b"rsa", pem)), (b"ed25519-sha256", (b"ed", seed.encode(encoder=encoder)))]
    return keys, records


if __name__ == "__main__":
    main()
