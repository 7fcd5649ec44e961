"""The messages and the forms of the signature field that disagreements.py signs."""

from dataclasses import dataclass, field
from typing import Callable

ORDINARY = "an ordinary octet"
NOT_MAIL = "not mail (§5.3)"


@dataclass
class Message:
    label: str
    rule: str = "valid"
    subject: bytes = b"Subject: Hello there"
    body: bytes = b"Hello.\r\n"
    separator: bytes = b"\r\n"
    more: list = field(default_factory=list)
    signed: list = field(default_factory=lambda: ["From", "To", "Subject"])

    @property
    def fields(self):
        return [b"From: A <a@example.com>", b"To: b@example.org", *self.more, self.subject]


def subject(label, value, rule="valid"):
    return Message(label, rule, subject=b"Subject" + value)


def body(label, text, rule="valid"):
    return Message(label, rule, body=text)


MESSAGES = [
    Message("plain message"),
    # The body.
    body("body: CR within a line", b"one\rtwo\r\n", NOT_MAIL),
    body("body: CR before CRLF", b"one\r\r\ntwo\r\n", NOT_MAIL),
    body("body: CR at the very end", b"one\r\ntwo\r", NOT_MAIL),
    body("body: LF within a line", b"one\ntwo\r\n", NOT_MAIL),
    body("body: blank before LF", b"one \ntwo\r\n", NOT_MAIL),
    body("body: LF at the very end", b"one\r\ntwo\n", NOT_MAIL),
    body("body: LF as last empty lines", b"one\r\n\n\n", NOT_MAIL),
    body("body: NUL", b"one\0two\r\nthree\r\n", NOT_MAIL),
    body("body: FF at the end of a line", b"one\f\r\ntwo \f\r\n", f"{ORDINARY}, not WSP (§2.8)"),
    body("body: VT at the end of a line", b"one\v\r\ntwo \v\r\n", f"{ORDINARY}, not WSP (§2.8)"),
    body("body: FF, VT between blanks", b"one \f two \v three\r\n", f"{ORDINARY}, not WSP (§2.8)"),
    body("body: lines of FF or VT at the end", b"one\r\n\f\r\n\v\r\n", "not empty lines"),
    body("body: 0x85, 0xA0 at the end of a line", b"one\x85\r\ntwo\xa0\r\n", ORDINARY),
    body("body: BEL, ESC, DEL", b"\x07 \x1b[0m \x7f\r\n", ORDINARY),
    body("body: 8-bit, UTF-8", "één\r\n".encode(), "to be encoded before signing (§5.3)"),
    body("body: 8-bit, not UTF-8", b"\xff\xfe\xe9\r\n", "to be encoded before signing (§5.3)"),
    body("body: line of 1,200 bytes", b"x" * 1200 + b"\r\n", "longer than RFC 5322 allows"),
    body("body: line of 100,000 bytes", b"x y " * 25_000 + b"\r\n", "longer than RFC 5322 allows"),
    body("body: none", b""),
    Message("body: none, and no empty line before it", separator=b"", body=b""),
    body("body: only empty lines", b"\r\n\r\n\r\n"),
    body("body: only lines of blanks", b" \r\n\t\r\n", "relaxed: as an empty body"),
    body("body: only a blank, no CRLF", b" ", "relaxed: as an empty body"),
    body("body: lines of blanks at the end", b"one\r\n \r\n\t \r\n", "relaxed: as empty lines"),
    body("body: lines of blanks and empty ones at the end", b"one\r\n \r\n\r\n\t\r\n\r\n"),
    body("body: 10,000 empty lines at the end", b"one\r\n" + b"\r\n" * 10_000),
    body("body: no CRLF at the end", b"one\r\ntwo", "a CRLF is added (§3.4.3, §3.4.4)"),
    body("body: blanks and no CRLF at the end", b"one\r\ntwo \t", "a CRLF is added (§3.4.3, §3.4.4)"),
    body("body: runs of blanks, blanks at ends of lines", b" one \t two\t\r\n\tthree  \r\n"),
    body("body: empty line first", b"\r\none\r\n"),
    body("body: dots and From lines", b"From me\r\n.\r\n..\r\n>From me\r\n"),
    # A signed field.
    subject("field: FF within a word", b": Hel\flo", f"{ORDINARY}, not WSP (§2.8)"),
    subject("field: FF next to a blank", b": Hello \f there", f"{ORDINARY}, not WSP (§2.8)"),
    subject("field: FF first", b": \fHello", f"{ORDINARY}, not WSP (§2.8)"),
    subject("field: FF last", b": Hello\f", f"{ORDINARY}, not WSP (§2.8)"),
    subject("field: VT within a word", b": Hel\vlo", f"{ORDINARY}, not WSP (§2.8)"),
    subject("field: VT next to a blank", b": Hello \v there", f"{ORDINARY}, not WSP (§2.8)"),
    subject("field: VT first", b": \vHello", f"{ORDINARY}, not WSP (§2.8)"),
    subject("field: VT last", b": Hello\v", f"{ORDINARY}, not WSP (§2.8)"),
    subject("field: NUL", b": Hel\0lo", NOT_MAIL),
    subject("field: CR", b": Hello\rthere", NOT_MAIL),
    subject("field: CR last", b": Hello\r", NOT_MAIL),
    subject("field: LF", b": Hello\nthere", NOT_MAIL),
    subject("field: LF and a blank", b": Hello\n there", NOT_MAIL),
    subject("field: SP before the colon", b" : Hello", "obsolete; relaxed deletes it (§3.4.2)"),
    subject("field: HTAB before the colon", b"\t: Hello", "obsolete; relaxed deletes it (§3.4.2)"),
    subject("field: UTF-8", ": Één".encode(), "valid since RFC 6532"),
    subject("field: 8-bit, not UTF-8", b": \xc9\xe9n \xff", ORDINARY),
    subject("field: 0x85, 0xA0 at the ends", b": \xa0Hello\x85", ORDINARY),
    subject("field: BEL, ESC, DEL", b": \x07\x1b[0m\x7f", ORDINARY),
    subject("field: no value", b":"),
    subject("field: only blanks", b": \t "),
    subject("field: only folds", b":\r\n \r\n\t", "obsolete folding; relaxed makes it empty"),
    subject("field: fold right after the colon", b":\r\n\tHello"),
    subject("field: blank and fold after the colon", b": \r\n Hello"),
    subject("field: line of blanks within", b": Hello\r\n \r\n there", "obsolete folding"),
    subject("field: line of blanks last", b": Hello\r\n ", "obsolete folding"),
    subject("field: blanks last", b": Hello \t "),
    subject("field: tabs and runs of blanks", b":\t\tHello \t  there\tyou"),
    subject("field: no blank after the colon", b":Hello"),
    subject("field: folded 500 times", b": a" + b"\r\n\tb" * 500),
    subject("field: folds of 3,000 bytes", b": " + b"a" * 3000 + b"\r\n " + b"b" * 3000,
            "longer than RFC 5322 allows"),
    subject("field: 100,000 bytes in a line", b": " + b"a b " * 25_000, "longer than RFC 5322 allows"),
    Message("field: name in mixed case", subject=b"sUBJECT: Hello"),
    Message("field: name with !#$%&'*+^_`{|}~", more=[b"X!#$%&'*+^_`{|}~: 1"],
            signed=["From", "Subject", "X!#$%&'*+^_`{|}~"]),
    Message("field: twice, both signed", more=[b"Subject: First"], signed=["From", "Subject", "Subject"]),
    Message("field: twice, last signed", more=[b"Subject: First"], signed=["From", "Subject"]),
    Message("field: signed once more than present", signed=["From", "From", "Subject", "Subject", "Cc"]),
    # What is not signed can still stop a verifier.
    Message("unsigned line without a colon", NOT_MAIL, more=[b"no colon here"]),
    Message("unsigned field without a name", NOT_MAIL, more=[b": nothing"]),
    Message("unsigned field with a blank in its name", NOT_MAIL, more=[b"X Y: 1"]),
    Message("unsigned field with 8-bit name", NOT_MAIL, more=["Ünsigned: 1".encode()]),
    Message("unsigned SP before the colon", "obsolete", more=[b"X-Other : 1"]),
    Message("unsigned FF, VT, NUL in a value", NOT_MAIL, more=[b"X-Other: \f\v\0"]),
    Message("2,000 fields", more=[b"X-Other: %d" % number for number in range(2000)]),
]


def folded(width, separator="\r\n\t"):
    return lambda text: separator.join(text[i:i + width] for i in range(0, len(text), width))


def plain(text):
    return text


RECORD = "v=DKIM1; k=rsa; p=@P@"
TEMPLATE = ("DKIM-Signature: v=1; a=@A@; c=@C@; d=@D@; s=@S@; t=@T@;\r\n\th=@H@;\r\n\tbh=@BH@;\r\n\tb=@B@")
B_FIRST = "DKIM-Signature: b=@B@;\r\n\tv=1; a=@A@; c=@C@; d=@D@; s=@S@; t=@T@;\r\n\th=@H@;\r\n\tbh=@BH@"


@dataclass
class Signature:
    label: str = "as Zegel writes it"
    rule: str = "valid"
    template: str = TEMPLATE
    header_methods: tuple = (b"simple", b"relaxed")
    domain: str = "example.com"
    selector: str = "rsa"
    record: str = RECORD
    more_signed: list = field(default_factory=list)
    wrap_signature: Callable = folded(72)
    wrap_body_hash: Callable = plain


def changed(label, old, new, rule="valid", **more):
    assert old in TEMPLATE, old
    return Signature(label, rule, template=TEMPLATE.replace(old, new), **more)


def with_record(label, selector, record, rule="valid"):
    return Signature(label, rule, selector=selector, record=record)


def names(count):
    return [f"X-Field-{number:05}" for number in range(count)]


FORMS = [
    Signature(),
    # Folding and blanks.
    changed("no blank after `DKIM-Signature:`", "DKIM-Signature: v", "DKIM-Signature:v"),
    changed("two blanks after `DKIM-Signature:`", "DKIM-Signature: v", "DKIM-Signature:  v"),
    changed("tab after `DKIM-Signature:`", "DKIM-Signature: v", "DKIM-Signature:\tv"),
    changed("fold after `DKIM-Signature:`", "DKIM-Signature: v", "DKIM-Signature:\r\n\tv"),
    changed("field name in lower case", "DKIM-Signature", "dkim-signature"),
    changed("SP before the colon", "DKIM-Signature:", "DKIM-Signature :", "obsolete"),
    Signature("b= in one piece", wrap_signature=plain),
    Signature("b= folded with SP", wrap_signature=folded(72, "\r\n ")),
    Signature("b= folded every 4 bytes", wrap_signature=folded(4)),
    Signature("b= with blanks, no folds", wrap_signature=folded(72, " ")),
    Signature("b= begins with a fold", wrap_signature=lambda text: "\r\n\t" + folded(72)(text)),
    Signature("b= ends with a fold", wrap_signature=lambda text: text + "\r\n\t", rule="obsolete folding"),
    Signature("bh= folded", wrap_body_hash=folded(20)),
    changed("blanks around the = of t=", "; t=@T@", " ; t = @T@"),
    changed("SP before the = of b=", "b=@B@", "b =@B@"),
    changed("fold before the = of b=", "b=@B@", "b\r\n\t=@B@"),
    changed("h= with blanks around colons", "h=@H@", "h=From : To : Subject"),
    changed("h= folded before and after colons", "h=@H@", "h=From\r\n\t:To:\r\n\tSubject"),
    changed("h= in lower case", "h=@H@", "h=from:to:subject"),
    changed("all in one line", ";\r\n\t", "; ", wrap_signature=plain),
    # Tags.
    changed("semicolon last", "b=@B@", "b=@B@;"),
    changed("semicolon and blank last", "b=@B@", "b=@B@; "),
    Signature("b= is the first tag", template=B_FIRST),
    changed("bh= right before b=, no blanks at all", ";\r\n\tbh=@BH@;\r\n\tb=@B@", ";bh=@BH@;b=@B@"),
    changed("unknown tag", "t=@T@", "t=@T@; zegel=1", "unknown tags are ignored (§3.2)"),
    changed("unknown tag whose name ends in b", "t=@T@", "t=@T@; rb=1", "unknown tags are ignored (§3.2)"),
    changed("empty value of an unknown tag", "t=@T@", "t=@T@; n=", "unknown tags are ignored (§3.2)"),
    changed("r=y", "t=@T@", "t=@T@; r=y", "RFC 6651"),
    changed("x= in a day", "t=@T@", "t=@T@; x=@X@"),
    changed("no t=", " t=@T@;", ""),
    changed("q=dns/txt", "t=@T@", "q=dns/txt; t=@T@"),
    changed("i=@ the domain", "t=@T@", "i=@@D@; t=@T@"),
    changed("i= of a subdomain", "t=@T@", "i=a=40b@sub.@D@; t=@T@"),
    changed("c=relaxed", "c=@C@", "c=relaxed", "relaxed/simple", header_methods=(b"relaxed",)),
    changed("no c=", " c=@C@;", "", "simple/simple", header_methods=(b"simple",)),
    changed("l= of the whole body", "t=@T@", "l=8; t=@T@"),
    changed("d= twice", "t=@T@", "d=@D@; t=@T@", "not valid (§3.2)"),
    # Names and lists.
    Signature("d= in upper case", domain="EXAMPLE.COM"),
    Signature("d= an A-label", domain="xn--n8j.example"),
    Signature("d= a U-label", domain="é.example", rule="not valid: A-labels (§3.5)"),
    Signature("selector of two labels", selector="a.b"),
    Signature("selector with _", selector="a_b", rule="not valid (§3.1)"),
    Signature("selector of 63 bytes", selector="s" * 63),
    Signature("d= of 190 bytes", domain=".".join(["d" * 60] * 3) + ".example"),
    Signature("From signed 20 times", more_signed=["From"] * 20),
    Signature("h= of 100 absent names", more_signed=names(100)),
    Signature("h= of 1,000 absent names (14 KB)", more_signed=names(1000)),
    Signature("h= of 2,000 absent names (28 KB)", more_signed=names(2000)),
    Signature("h= of 3,000 absent names (42 KB)", more_signed=names(3000)),
    Signature("h= of 4,000 absent names (56 KB)", more_signed=names(4000)),
    Signature("h= of 5,000 absent names (70 KB)", more_signed=names(5000)),
    # Records.
    with_record("record without v= and k=", "k1", "p=@P@"),
    with_record("record with blanks and ; last", "k2", "v=DKIM1 ; k = rsa ; p = @P@ ;"),
    with_record("record with unknown tag", "k3", "v=DKIM1; k=rsa; n=zegel; org=x; p=@P@"),
    with_record("record with s=email; h=sha256", "k4", "v=DKIM1; k=rsa; s=email; h=sha256; p=@P@"),
    with_record("record with t=y", "k5", "v=DKIM1; k=rsa; t=y; p=@P@"),
    with_record("record with t=s", "k6", "v=DKIM1; k=rsa; t=s; p=@P@"),
    with_record("record with p= before k=", "k7", "v=DKIM1; p=@P@; k=rsa"),
    with_record("record of 1,100 bytes", "k8", "v=DKIM1; k=rsa; n=" + "x" * 700 + "; p=@P@"),
]



def many(label, count):
    """All of what h= lists is there: the last field counts as much as the first."""
    more = [b"X-Field-%05d: x" % number for number in range(count)]
    message = Message("plain message", more=more, signed=[*names(count), "From", "To", "Subject"])
    return (message, Signature(label))


SIGNATURES = [
    *((Message("plain message"), form) for form in FORMS),
    many("h= of 4,075 bytes, all fields present", 290),
    many("h= of 4,145 bytes, all fields present", 295),
]
