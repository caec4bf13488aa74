#!/usr/bin/env python3
"""Writes the seeds of the targets for frames and engines to corpus/. Run it in this directory.

The format of a seed depends on its target:
  engine_*_fuzz         a script (support/engine_script.h)
  split_fuzz            two bytes, then the bytes of the peer
  frame_header_fuzz     one byte, then a header
  deflate_inflate_fuzz  one byte, then messages, each behind its length
  deflate_offer_fuzz    four bytes, then field lines
  http_request_body_fuzz  one byte of flags, one byte that is a length, then the bytes of a body
"""
import os
import struct
import zlib

KEY = bytes([0x37, 0xFA, 0x21, 0x3D])
REQUEST = (b"GET /echo HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\n"
           b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           b"Sec-WebSocket-Version: 13\r\n\r\n")
PAGE = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


def header(byte_0, length, masked):
    mask = 0x80 if masked else 0
    if length < 126:
        head = bytes([byte_0, mask | length])
    elif length < 65536:
        head = bytes([byte_0, mask | 126]) + struct.pack(">H", length)
    else:
        head = bytes([byte_0, mask | 127]) + struct.pack(">Q", length)
    return head + (KEY if masked else b"")


def frame(byte_0, payload, masked):
    body = bytes(c ^ KEY[i % 4] for i, c in enumerate(payload)) if masked else payload
    return header(byte_0, len(payload), masked) + body


def save(target, name, data):
    os.makedirs(f"corpus/{target}", exist_ok=True)
    with open(f"corpus/{target}/{name}", "wb") as out:
        out.write(data)


def close(code, reason=b""):
    return struct.pack(">H", code) + reason


def frame_headers():
    for masked in (0, 1):
        for length in (0, 125, 126, 65535, 65536, 2**32, 2**63 - 1):
            save("frame_header_fuzz", f"length_{length}_{masked}",
                 bytes([masked]) + header(0x82, length, masked))
        for byte_0 in (0x01, 0x80, 0x88, 0x89, 0x8A, 0x83, 0x09, 0xC1):
            save("frame_header_fuzz", f"byte_{byte_0:02x}_{masked}",
                 bytes([masked]) + header(byte_0, 5, masked))
        for name, wire in (("long_16", "827e007d"), ("long_64", "827f000000000000ffff"),
                             ("top_bit", "827f8000000000000000"), ("long_control", "89fe007e")):
            head = bytes.fromhex(wire)
            head = head[:1] + bytes([head[1] & 0x7F | masked << 7]) + head[2:]
            save("frame_header_fuzz", f"{name}_{masked}", bytes([masked]) + head)


def close_payloads():
    save("close_payload_fuzz", "empty", b"")
    save("close_payload_fuzz", "one", b"\x03")
    for code in (999, 1000, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 2999, 3000, 4999, 5000):
        save("close_payload_fuzz", f"code_{code}", close(code))
    save("close_payload_fuzz", "reason", close(1000, "κόσμε".encode()))
    save("close_payload_fuzz", "longest", close(1000, b"*" * 123))
    save("close_payload_fuzz", "too_long", close(1000, "é".encode() * 80))
    save("close_payload_fuzz", "bad_reason", close(1000, b"ab\xed\xa0\x80"))


def messages(masked):
    text, more, binary = 0x81, 0x80, 0x82
    fr = lambda byte_0, payload: frame(byte_0, payload, masked)
    return {
        "text": fr(text, b"Hello"),
        "empty": fr(text, b"") + fr(binary, b""),
        "fragments": fr(0x01, b"Hel") + fr(0x89, b"p") + fr(0x00, b"") + fr(more, b"lo"),
        "utf8": fr(0x01, b"\xce\xba\xe1") + fr(more, b"\xbd\xb9"),
        "bad_utf8": fr(0x01, b"\xf4") + fr(more, b"\x90\x80\x80"),
        "long": fr(binary, b"x" * 126) + fr(binary, b"y" * 1500),
        "too_big": fr(text, b"a") + header(0x82, 2**40, masked),
        "pings": b"".join(fr(0x89, bytes([i])) for i in range(40)),
        "pong": fr(0x8A, b"unsolicited") + fr(text, b"x"),
        "close": fr(text, b"last") + fr(0x88, close(1000, b"bye")) + fr(text, b"behind"),
        "close_empty": fr(0x88, b""),
        "close_bad": fr(0x88, close(1005)),
        "reserved": fr(text, b"a") + fr(0xC1, b"b"),
        "opcode": fr(0x83, b""),
        "continuation": fr(more, b"x"),
        "interleaved": fr(0x01, b"x") + fr(text, b"y"),
        "wrong_mask": frame(text, b"x", not masked),
        "cut_control": fr(0x09, b"x"),
        "many_fragments": fr(0x01, b"") + fr(0x00, b"") * 30,
    }


def splits():
    for role, masked in ((1, True), (0, False)):
        for name, wire in messages(masked).items():
            save("split_fuzz", f"{name}_{role}", bytes([role, 7]) + wire)
            ahead = REQUEST if role == 1 else b""
            save("split_fuzz", f"{name}_upgrade_{role}", bytes([role | 2, 5]) + ahead + wire)
    save("split_fuzz", "pages", bytes([3, 3]) + PAGE + PAGE.replace(b"GET", b"HEAD") + REQUEST)
    post = b"POST /a HTTP/1.1\r\nHost: example.org\r\n"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n"
    save("split_fuzz", "bodies", bytes([7, 3]) + post + b"Content-Length: 5\r\n\r\nHello" + PAGE +
         post + chunks + REQUEST)
    save("split_fuzz", "bodies_expected",
         bytes([7, 8]) + post + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + PAGE)
    save("split_fuzz", "bodies_smuggled",
         bytes([7, 5]) + post + b"Content-Length: 3\r\n" + chunks + PAGE)
    save("split_fuzz", "bad_head", bytes([3, 3]) + b"GET / HTTP/1.1\r\nA : b\r\n\r\n" + PAGE)


def request_bodies():
    cases = {
        "one": b"3\r\nabc\r\n0\r\n\r\n",
        "empty": b"0\r\n\r\nGET /",
        "extensions": b"1;a=b\r\nx\r\nA \t;c=\"d\"\r\n0123456789\r\n000;e\r\n\r\n",
        "trailers": b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        "bare_lf": b"1\nx\r\n0\r\n\r\n",
        "bare_cr": b"1;a\rx\r\n",
        "long_size": b"00000000000000001\r\nx",
        "huge_size": b"ffffffffffffffff\r\n",
        "too_much": b"a\r\n0123456789\r\nb\r\n",
        "long_data": b"1\r\nxx\r\n",
        "bad_trailer": b"0\r\nA : b\r\n\r\n",
    }
    for name, wire in cases.items():
        for flags in (2, 3):
            save("http_request_body_fuzz", f"{name}_{flags}", bytes([flags, 0]) + wire)
    save("http_request_body_fuzz", "counted", bytes([0, 4]) + b"Hello GET /")
    save("http_request_body_fuzz", "counted_too_big", bytes([0, 30]) + b"Hello")


def script(*steps, handshake=True, reject=False):
    data = bytes([1 if handshake else 0, 1 if reject else 0])
    for step in steps:
        data += step
    return data


def raw(wire):
    return b"".join(b"\x00" + bytes([len(part)]) + part
                    for part in (wire[i:i + 255] for i in range(0, len(wire), 255)))


def framed(byte_0, payload):
    return b"\x01" + bytes([byte_0, len(payload)]) + payload


def scripts(role):
    masked = role == "server"
    target = f"engine_{role}_fuzz"
    upgrade = b"\x03"
    blocked, free, fin = b"\x0a\x00", b"\x0b", b"\x13\x00"
    for name, wire in messages(masked).items():
        save(target, f"raw_{name}", script(raw(wire), handshake=False))
        save(target, f"upgrade_{name}", script(upgrade, raw(wire), fin))
    save(target, "ours_first", script(upgrade, b"\x08\x03\xe8\x03bye", framed(0x88, close(1000)), fin))
    save(target, "no_answer", script(upgrade, b"\x08\x03\xe8\x00", b"\x09\xff"))
    save(target, "silence", script(upgrade, b"\x09\xff", framed(0x8A, b""), b"\x09\xff\x09\xff"))
    save(target, "paused", script(upgrade, b"\x0e\x00", b"\x09\xff\x09\xff", b"\x0e\x01"))
    save(target, "overflow", script(upgrade, blocked, b"\x05\xff\x06\xff\x05\xff", free))
    save(target, "reject", script(upgrade, blocked, b"\x05\xff\x06\xff\x05\xff", free, reject=True))
    save(target, "blocked_pings", script(upgrade, blocked, framed(0x89, b"a") * 40, b"\x07\x01x" * 20, free))
    save(target, "short_writes", script(upgrade, b"\x0c\x02", b"\x02\x01\xff" * 3, framed(0x89, b"p")))
    save(target, "stash", script(upgrade, b"\x0d\x01", raw(messages(masked)["fragments"] * 3)))
    save(target, "bytes", script(b"\x0f\x00", upgrade, raw(messages(masked)["long"])))
    save(target, "terminate", script(upgrade, blocked, b"\x05\x10", b"\x13\x01"))
    save(target, "stall", script(upgrade, blocked, b"\x05\x10", b"\x09\xff\x09\xff"))
    save(target, "early_close", script(b"\x08\x03\xe9\x00", fin))
    save(target, "eof", script(fin))
    if role == "server":
        save(target, "pages", script(b"\x10\x00", b"\x04", b"\x11\x00", b"\x04", b"\x11\x00", upgrade, b"\x10\x01"))
        save(target, "later", script(b"\x10\x00", upgrade, raw(frame(0x81, b"held", True) * 9), b"\x10\x01"))
        save(target, "late", script(b"\x10\x00", upgrade, b"\x09\xff"))
        save(target, "trickle", script(raw(REQUEST[:40]), b"\x09\xff"))
        save(target, "nonsense", script(raw(b"\x16\x03\x01 TLS?\r\n\r\n")))
    else:
        save(target, "refused", script(raw(b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nno go")))
        save(target, "until_eof", script(raw(b"HTTP/1.1 500 No\r\n\r\nbroken"), fin))
        save(target, "hints", script(raw(b"HTTP/1.1 103 Hints\r\n\r\n"), upgrade, framed(0x81, b"x")))
        save(target, "bad_accept", script(raw(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n")))


def packed(message, level=6, end=zlib.Z_SYNC_FLUSH):
    sender = zlib.compressobj(level, zlib.DEFLATED, -15)
    wire = sender.compress(message) + sender.flush(end)
    return wire[:-4] if end == zlib.Z_SYNC_FLUSH else wire + b"\0"


def inflating():
    hello = bytes.fromhex("f248cdc9c90700")
    cases = {
        "hello": [hello],
        "takeover": [hello, bytes.fromhex("f200110000")],
        "stored": [bytes.fromhex("000500faff48656c6c6f00")],
        "final": [bytes.fromhex("f348cdc9c9070000"), bytes.fromhex("f200110000")],
        "blocks": [bytes.fromhex("f248050000 00ffffcac9c90700")],
        "empty": [b"\0", b"\x02\0"],
        "dynamic": [packed(bytes(range(97, 123)) * 30 + b"abcabc" * 20, 9)],
        "dynamic_final": [packed(b"<html><body>" * 40, 9, zlib.Z_FINISH)],
        "zeros": [packed(b"\0" * 100000)],
        "corrupt": [b"\x07\0\0"],
        "text": [b"Hello, this is only text"],
    }
    for name, messages in cases.items():
        body = b"".join(struct.pack(">H", len(m)) + m for m in messages)
        for flags in (0, 1, 11):
            save("deflate_inflate_fuzz", f"{name}_{flags}", bytes([flags]) + body)


def extensions():
    pmd = b"permessage-deflate"
    cases = {
        "plain": pmd,
        "none": b"",
        "all": pmd + b"; server_no_context_takeover; client_no_context_takeover; "
                     b"server_max_window_bits=10; client_max_window_bits=12",
        "named": pmd + b"; client_max_window_bits",
        "quoted": pmd + b'; server_max_window_bits="9"',
        "eight": pmd + b"; server_max_window_bits=8, " + pmd,
        "fallback": b"foo; bar, " + pmd + b"; mux=1\n" + pmd + b"; server_max_window_bits=11",
        "twice": pmd + b"; client_max_window_bits; client_max_window_bits=9",
        "zero": pmd + b"; client_max_window_bits=09",
        "answer": pmd + b"; server_no_context_takeover; client_max_window_bits=9",
        "many": b"foo," * 15 + pmd + b"," + pmd,
    }
    for name, lines in cases.items():
        for number, options in enumerate((b"\0\x0f\x0f\x00", b"\0\x0f\x0f\x03", b"\0\x0a\x0b\x03")):
            save("deflate_offer_fuzz", f"{name}_{number}", options + lines)


def deflate_scripts():
    def save_script(name, *steps):
        for role in (0, 1):
            for takeover in (0, 3):
                head = bytes([role, 0, takeover, 46 + 2 * takeover, 0])
                save("engine_deflate_fuzz", f"{name}_{role}_{takeover}", head + b"".join(steps))

    hello = bytes.fromhex("f248cdc9c90700")
    packet = lambda byte_0, payload: framed(byte_0, payload)
    save_script("hello", packet(0xC1, hello), packet(0x81, b"plain"), packet(0xC1, hello))
    save_script("fragments", packet(0x41, hello[:3]), packet(0x89, b"p"), packet(0x00, b""),
                packet(0x80, hello[3:]))
    save_script("refers", packet(0xC1, hello), packet(0xC1, bytes.fromhex("f200110000")))
    save_script("sent", b"\x05\xff\x06\x40\x05\x40\x06\xff")
    save_script("made", b"".join(b"\x02" + bytes([kind, 100]) for kind in range(16)))
    save_script("too_big", packet(0xC2, packed(b"\0" * 2001)))
    save_script("largest", packet(0xC2, packed(b"\0" * 2000)))
    save_script("bad_utf8", packet(0xC1, packed(b"a\xf4\x90")))
    save_script("corrupt", packet(0xC2, b"\x07\0\0"))
    save_script("cut", packet(0xC2, hello[:4]))
    save_script("rsv1_on_ping", packet(0xC9, b"x"))
    save_script("rsv1_on_more", packet(0x41, b""), packet(0xC0, hello))
    save_script("rsv2", packet(0xA1, b"x"))
    save_script("blocked", b"\x0a\x00", b"\x05\xff\x06\xff\x05\xff", b"\x0b")
    save_script("bytes", b"\x0f\x00", packet(0xC1, packed(b"one two three " * 40)))
    save_script("stash", b"\x0d\x01", packet(0xC1, hello) * 4)
    save_script("close", packet(0x41, hello[:3]), packet(0x88, close(1000)), b"\x13\x00")


frame_headers()
close_payloads()
inflating()
extensions()
deflate_scripts()
splits()
request_bodies()
scripts("server")
scripts("client")
