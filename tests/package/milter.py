#!/usr/bin/python3
"""Sends a message through a milter as an MTA does, and writes it with what was inserted.

    milter.py SOCKET          one message, to standard output
    milter.py SOCKET FILE     one after the other while FILE is there; how many there were, and
                              status 1 as soon as a connection is refused, or a message is
                              refused, cut or comes back unsigned. A connection that is closed
                              before its first message is no message yet: it is made again.
"""

import contextlib
import os
import socket
import struct
import sys
import time

FIELDS = [
    (b"From", b"Balie <balie@voorbeeld.nl>"),
    (b"To", b"inwoner@ontvanger.example"),
    (b"Subject", b"Uw paspoort ligt klaar"),
    (b"Date", b"Sun, 22 Nov 2026 10:00:00 +0100"),
    (b"Message-ID", b"<1@voorbeeld.nl>"),
]
BODY = b"It is a tolerant body.\r\n"
ADD_HEADER = 1


def main():
    path = sys.argv[1]
    if len(sys.argv) == 2:
        sys.stdout.buffer.write(through(path))
        return
    count = early = 0
    while os.path.exists(sys.argv[2]):
        try:
            message = through(path)
        except Early:
            early += 1
            continue
        if not message.startswith(b"DKIM-Signature:"):
            sys.exit("a message came back unsigned")
        count += 1
        if count == 1:
            print("begun", flush=True)
        time.sleep(0.01)
    print(f"{count} messages, none refused; {early} connections closed before their first")


class Early(Exception):
    """The milter closed the connection before there was a message on it."""


class Closed(Exception):
    """The milter closed the connection."""


def through(path):
    """The message with its signature on top."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(60)
        stream.connect(path)
        # Nothing but what is needed is offered, so every command has its reply.
        try:
            send(stream, b"O", struct.pack(">III", 6, ADD_HEADER, 0))
            expect(stream, b"O")
            step(stream, b"C", b"localhost\0" + b"4" + struct.pack(">H", 4242) + b"127.0.0.1\0")
            step(stream, b"H", b"localhost\0")
            send(stream, b"M", b"<balie@voorbeeld.nl>\0")
            answer = receive(stream)
        except (Closed, BrokenPipeError, ConnectionResetError) as error:
            raise Early from error
        if answer[:1] != b"c":
            sys.exit(f"MAIL was refused: {answer!r}")
        step(stream, b"R", b"<inwoner@ontvanger.example>\0")
        step(stream, b"T", b"")
        for name, value in FIELDS:
            step(stream, b"L", name + b"\0" + value + b"\0")
        step(stream, b"N", b"")
        step(stream, b"B", BODY)
        send(stream, b"E", b"")
        inserted = b""
        while (reply := receive(stream))[0] in b"ih":
            name, value = reply[5 if reply[0] in b"i" else 1 :].split(b"\0")[:2]
            inserted += name + b": " + value.replace(b"\n", b"\r\n").lstrip(b" ") + b"\r\n"
        if reply[:1] not in b"ac":
            sys.exit(f"the message was not accepted: {reply!r}")
        with contextlib.suppress(OSError):
            send(stream, b"Q", b"")
    fields = b"".join(name + b": " + value + b"\r\n" for name, value in FIELDS)
    return inserted + fields + b"\r\n" + BODY


def step(stream, command, data):
    send(stream, command, data)
    expect(stream, b"c")


def expect(stream, code):
    reply = receive(stream)
    if reply[:1] != code:
        sys.exit(f"{code!r} was expected: {reply!r}")


def send(stream, command, data):
    stream.sendall(struct.pack(">I", len(data) + 1) + command + data)


def receive(stream):
    (length,) = struct.unpack(">I", exactly(stream, 4))
    return exactly(stream, length)


def exactly(stream, length):
    data = b""
    while len(data) < length:
        piece = stream.recv(length - len(data))
        if not piece:
            raise Closed
        data += piece
    return data


if __name__ == "__main__":
    main()
