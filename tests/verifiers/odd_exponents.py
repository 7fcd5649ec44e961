#!/usr/bin/python3
"""Signs a message with RSA keys of odd public exponents, for tests only.

    odd_exponents.py FOLDER

FOLDER gets two files for each exponent, by its size: `eBITS.eml`, signed by dkimpy with the
selector eBITS at example.com, and `eBITS.p`, the SubjectPublicKeyInfo in base64.
"""

import base64
import math
import pathlib
import sys

import dkim
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

# The first of each range that fits the primes.
RANGES = [range(start, start + 1000, 2) for start in (3, 2**12 + 1, 2**32 + 1, 2**33 + 1, 2**70 + 1)]
MESSAGE = b"From: post@example.com\r\nSubject: odd\r\n\r\nHello.\r\n"


def main():
    # Its primes serve for all; those of most keys do not fit the exponent 3.
    secret = rsa.generate_private_key(3, 2048, default_backend())
    folder = pathlib.Path(sys.argv[1])
    for exponents in RANGES:
        exponent, key = odd_key(secret.private_numbers(), exponents)
        name = f"e{exponent.bit_length()}"
        signed = dkim.DKIM(MESSAGE).sign(
            name.encode(), b"example.com", key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption()),
            canonicalize=(b"relaxed", b"relaxed"), include_headers=[b"from", b"subject"])
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.eml").write_bytes(signed + MESSAGE)
        (folder / f"{name}.p").write_bytes(base64.b64encode(spki))


def odd_key(numbers, exponents):
    p, q = numbers.p, numbers.q
    totient = (p - 1) * (q - 1)
    exponent = next(e for e in exponents if math.gcd(e, totient) == 1)
    d = pow(exponent, -1, totient)
    public = rsa.RSAPublicNumbers(exponent, p * q)
    private = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return exponent, private.private_key(default_backend())


if __name__ == "__main__":
    main()
