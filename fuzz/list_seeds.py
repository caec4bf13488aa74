#!/usr/bin/env python3
"""Writes the seeds of extension_fuzz and wslay_fuzz to corpus/. Run it in this directory."""
import os


def save(target, name, data):
    os.makedirs(f"corpus/{target}", exist_ok=True)
    with open(f"corpus/{target}/{name}", "wb") as out:
        out.write(data)


def extensions():
    for name, text in {
        "deflate": b"permessage-deflate; client_max_window_bits, permessage-deflate",
        "values": b'foo; bar=1;baz = "x\\y"\t;\tq="z" , b',
        "lines": b"foo\nbar; a\n, ,\nbaz;b=2",
        "open_quote": b'foo; a="b',
        "open_escape": b'foo; a="b\\',
        "empty_quote": b'foo; a=""',
        "no_token": b'foo; a="b c"',
        "comma_inside": b'foo; a="b,c", d',
        "comma_escaped": b'foo; a="b\\",c", d',
        "no_value": b"foo; a=",
        "no_name": b"foo; =a",
        "no_extension": b"; a",
        "semicolons": b"foo;; a",
        "trailing": b"foo; a ;",
        "garbage": b"foo bar",
        "behind_quote": b'foo; a="b"c',
        "eight_bit": b"foo; a=\xc3\xa9",
        "empty": b"",
        "commas": b" , ,, ",
    }.items():
        save("extension_fuzz", name, text)


def message(kind, payload):
    return bytes([kind, len(payload)]) + payload


def talks():
    text, binary, cut, ping, pong = 0, 1, 2, 6, 7
    doubled = 15 * 8  # nine times twice as long
    for role in (0, 1):
        for name, parts in {
            "hello": [message(text, b"Hello")],
            "empty": [message(text, b""), message(binary, b""), message(ping, b"")],
            "cut": [message(cut, b"Hello, world"), message(cut + 1, bytes(range(40)))],
            "controls": [message(ping, b"p"), message(text, b"x"), message(pong, b"q")],
            "utf8": [message(cut, "κόσμε".encode())],
            "lengths": [message(binary, b"x" * n) for n in (125, 126, 127, 255)],
            "long": [message(binary + doubled, b"y" * 200)],
            "longest_control": [message(ping, b"z" * 125)],
        }.items():
            save("wslay_fuzz", f"{name}_{role}", bytes([role, 2]) + b"\x02" + b"".join(parts))
            save("wslay_fuzz", f"{name}_whole_{role}", bytes([role, 0]) + b"\xff" + b"".join(parts))


extensions()
talks()
