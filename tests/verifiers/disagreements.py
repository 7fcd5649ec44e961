#!/usr/bin/python3
"""Signs odd messages to the letter of RFC 6376, to see who accepts them.

    disagreements.py FOLDER

FOLDER then holds `messages` (each preceded by a line with its length), `records`
(name, TAB, text) and `cases`: for each message a line of table, class, what
RFC 6376 says, and canonicalisation, separated by TAB.

The signer is kept naive on purpose. WSP is SP and HTAB (§2.8), only CRLF ends a
line, and every other octet, a lone CR or LF too, is an ordinary one.
"""

import base64
import hashlib
import itertools
import pathlib
import re
import sys
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from odd_messages import MESSAGES, SIGNATURES, Message, Signature

METHODS = (b"simple", b"relaxed")


def main():
    folder = pathlib.Path(sys.argv[1])
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    cases, stream, records = [], [], {}
    for table, rows in (("messages", with_form(MESSAGES)), ("signatures", SIGNATURES)):
        for message, form in rows:
            label = form if table == "signatures" else message
            bodies = METHODS if table == "messages" else (b"simple",)
            for header_method, body_method in itertools.product(form.header_methods, bodies):
                method = header_method + b"/" + body_method
                signed = sign(message, form, header_method, body_method, key)
                stream.append(b"%d\n%b" % (len(signed), signed))
                cases.append("\t".join([table, label.label, label.rule, method.decode()]))
            name = f"{form.selector}._domainkey.{form.domain}".lower()
            records[name] = form.record.replace("@P@", base64.b64encode(spki).decode())
    (folder / "messages").write_bytes(b"".join(stream))
    (folder / "cases").write_text("".join(f"{case}\n" for case in cases))
    (folder / "records").write_text("".join(f"{name}\t{text}\n" for name, text in records.items()))


def with_form(messages):
    return [(message, Signature()) for message in messages]


def sign(message: Message, form: Signature, header_method, body_method, key):
    body_hash = hashlib.sha256(canonical_body(message.body, body_method)).digest()
    tags = {
        "@A@": "rsa-sha256", "@C@": f"{header_method.decode()}/{body_method.decode()}",
        "@D@": form.domain, "@S@": form.selector, "@T@": str(int(time.time()) - 60),
        "@X@": str(int(time.time()) + 86400), "@H@": ":".join(message.signed + form.more_signed),
        "@BH@": form.wrap_body_hash(base64.b64encode(body_hash).decode()),
    }
    field = form.template
    for tag, value in tags.items():
        field = field.replace(tag, value)
    data = b""
    left = list(message.fields)
    for name in message.signed + form.more_signed:
        field_found = take_last(left, name)
        if field_found is not None:
            data += canonical_field(field_found, header_method) + b"\r\n"
    data += canonical_field(field.replace("@B@", "").encode(), header_method)
    signature = base64.b64encode(key.sign(data, padding.PKCS1v15(), hashes.SHA256())).decode()
    field = field.replace("@B@", form.wrap_signature(signature)).encode()
    header = b"".join(line + b"\r\n" for line in [field, *message.fields])
    return header + message.separator + message.body


def take_last(fields, name):
    """Removes the last field of that name: fields are counted from the bottom (§5.4.2)."""
    for index in reversed(range(len(fields))):
        if fields[index].split(b":", 1)[0].rstrip(b" \t").lower() == name.lower().encode():
            return fields.pop(index)
    return None


def canonical_field(field, method):
    """§3.4.1 and §3.4.2, without the CRLF at the end."""
    if method == b"simple":
        return field
    name, value = field.split(b":", 1)
    value = re.sub(rb"\r\n(?=[ \t])", b"", value)
    value = re.sub(rb"[ \t]+", b" ", value)
    return name.rstrip(b" \t").lower() + b":" + value.strip(b" ")


def canonical_body(body, method):
    """§3.4.3 and §3.4.4."""
    if method == b"relaxed":
        body = re.sub(rb"[ \t]+(?=\r\n|\Z)", b"", body)
        body = re.sub(rb"[ \t]+", b" ", body)
    while body.endswith(b"\r\n\r\n"):
        body = body[:-2]
    if method == b"relaxed" and body in (b"", b"\r\n"):
        return b""
    return body if body.endswith(b"\r\n") else body + b"\r\n"


if __name__ == "__main__":
    main()
