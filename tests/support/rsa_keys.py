"""Makes many RSA keys of 2048 bits in little time, for tests only.

    rsa_keys.py FOLDER NUMBER

writes FOLDER/0.pem, FOLDER/1.pem and so on. A key is two primes; a few primes in pairs give
many keys. Such keys are worthless (anybody can factor two that share a prime), and good for
everything that a test does with them.
"""

import base64
import itertools
import os
import sys

from cryptography.hazmat.primitives.asymmetric import rsa

EXPONENT = 65537


def primes():
    while True:
        numbers = rsa.generate_private_key(EXPONENT, 2048).private_numbers()
        yield numbers.p
        yield numbers.q


def length(octets):
    if len(octets) < 128:
        return bytes([len(octets)])
    size = len(octets).to_bytes(2, "big").lstrip(b"\0")
    return bytes([0x80 | len(size)]) + size


def integer(number):
    octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return b"\x02" + length(octets) + octets


def pem(p, q):
    """RFC 8017 A.1.2, by hand: the library would check each for a tenth of a second."""
    d = pow(EXPONENT, -1, (p - 1) * (q - 1))
    numbers = (0, p * q, EXPONENT, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    content = b"".join(map(integer, numbers))
    text = base64.encodebytes(b"\x30" + length(content) + content)
    name = b"RSA PRIVATE KEY-----\n"
    return b"-----BEGIN " + name + text + b"-----END " + name


def main(folder, number):
    enough = 2
    while enough * (enough - 1) // 2 < number:
        enough += 1
    # The product of two primes may have 2047 bits; those of OpenSSL are large enough.
    few = list(itertools.islice(primes(), enough))
    for place, (p, q) in enumerate(itertools.islice(itertools.combinations(few, 2), number)):
        path = os.path.join(folder, f"{place}.pem")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem(p, q))


main(sys.argv[1], int(sys.argv[2]))
