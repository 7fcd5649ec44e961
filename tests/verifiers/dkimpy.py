#!/usr/bin/python3
"""Verifies many DKIM-signed messages with dkimpy, with keys from a file.

    dkimpy.py RECORDS < MESSAGES

RECORDS holds `name TAB text NUL` for each record. MESSAGES is a stream of messages, each one
preceded by a line with its length in bytes. For each message one line is
written; it holds a verdict per signature, from the top, separated by TAB:
`pass|fail DOMAIN SELECTOR DETAIL`. What is not known is `-`.
"""

import logging
import sys

MISSING_PACKAGE = 69

try:
    import dkim
    import dkim.util
    import nacl.signing  # noqa: F401 - dkimpy verifies Ed25519 with it
except ImportError as error:
    print(f"python3-dkim and python3-nacl are needed: {error}", file=sys.stderr)
    sys.exit(MISSING_PACKAGE)


class Complaints(logging.Handler):
    """Collects what dkimpy only says to its log: most problems with keys."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())

    def take(self):
        texts, self.texts = self.texts, []
        return "; ".join(texts)


def main():
    records = read_records(sys.argv[1])
    complaints = Complaints()
    logger = logging.getLogger("verifier")
    logger.propagate = False
    logger.addHandler(complaints)
    for message in messages(sys.stdin.buffer):
        verdicts = verify(message, records, logger, complaints)
        print("\t".join(verdicts))


def read_records(path):
    records = {}
    with open(path, "rb") as file:
        for entry in file.read().split(b"\0"):
            if entry:
                name, text = entry.split(b"\t", 1)
                records[name.lower()] = text
    return records


def messages(stream):
    while header := stream.readline():
        yield stream.read(int(header))


def verify(message, records, logger, complaints):
    def lookup(name, timeout=5):
        return records.get(name.rstrip(b".").lower())

    try:
        verifier = dkim.DKIM(message, logger=logger)
    except Exception as error:
        return [verdict(False, {}, f"message refused: {error!r}")]
    signatures = [value for name, value in verifier.headers if name.lower() == b"dkim-signature"]
    verdicts = []
    for index, value in enumerate(signatures):
        try:
            passed = verifier.verify(idx=index, dnsfunc=lookup)
            detail = complaints.take() or ("" if passed else "signature did not verify")
        except Exception as error:
            passed, detail = False, f"{type(error).__name__}: {error}"
        verdicts.append(verdict(passed, tags(value), detail))
    return verdicts


def tags(value):
    try:
        return dkim.util.parse_tag_value(value)
    except dkim.util.InvalidTagValueList:
        return {}


def verdict(passed, tags, detail):
    domain = tags.get(b"d", b"-").decode("utf-8", "replace") or "-"
    selector = tags.get(b"s", b"-").decode("utf-8", "replace") or "-"
    word = "pass" if passed else "fail"
    return " ".join([word, *domain.split()[:1], *selector.split()[:1], *detail.split()])


if __name__ == "__main__":
    main()
