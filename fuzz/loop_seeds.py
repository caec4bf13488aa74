#!/usr/bin/env python3
"""Writes the seeds of loop_client_fuzz to corpus/. Run it in this directory.

Each seed is five bytes of options, then a script of steps. A step of the network needs a connection; the
first byte that a connect takes says how it ends.
"""
import os

PLACES = ("none", "constructor", "open", "message", "drain", "close", "ended", "again", "before", "log")
DESTROY, STOP, RECONNECT, STOP_RECONNECT, RECONNECT_STOP, SEND, CLOSE, BAD_TEXT = range(8)
STOP_TOKEN = 129
THROW = 15
ADDRESS, NAME, UNIX, NAMES = range(4)
HTTP, SOCKS, REDIRECTS = 1, 2, 3
ASKS, OUTBOX, OTHER_URL, THREE, AGAIN, LOOP_FIRST = 4, 8, 16, 32, 64, 128
AT_ONCE, IN_PROGRESS, REFUSED, UNREACHABLE = (bytes([n]) for n in range(4))


def counted(data):
    return bytes([len(data)]) + data


def raw(data):
    return b"\x00" + counted(data)


def frame(byte_0, payload):
    return b"\x01" + bytes([byte_0]) + counted(payload)


def say(text):
    return b"\x03" + counted(text)


def close(above_1000=0):
    return b"\x04" + bytes([above_1000])


FIN, RESET, UPGRADE = b"\x05", b"\x06\x00", b"\x0c"
CONNECTED, GREETED, BOUND, MOVED, BUSY = (bytes([n]) for n in range(19, 24))


def room(sixteenths):
    return b"\x07" + bytes([sixteenths])


FREE = b"\x08"


def read_piece(size):
    return b"\x0a" + bytes([size - 1])


def wait(tenths):
    return b"\x0e" + bytes([tenths])


def fault(call, which):
    return b"\x0f" + bytes([call, which])


def call(deed):
    return b"\x11" + bytes([deed])


def answer(how):
    return b"\x12" + bytes([how])


FOUND, TWO_FAMILIES, THREE_FOUND, NOT_FOUND = (b"\x18" + bytes([n]) for n in range(4))


def save(name, *steps, flags=0, place="none", deed=0, occasions=1, target=ADDRESS, secure=False,
         setup=0):
    os.makedirs("corpus/loop_client_fuzz", exist_ok=True)
    with open(f"corpus/loop_client_fuzz/{name}", "wb") as out:
        more = occasions + 4 * target + 16 * secure
        out.write(bytes([flags, PLACES.index(place), deed, more, setup]) + b"".join(steps))


# The loop turns once before the client connects, so a step that does nothing comes first.
start = wait(0)
opened = AT_ONCE + start + UPGRADE

save("echo", opened, say(b"Hello"), say(b"i"), frame(0x89, b"p"), close(), FIN)
save("in_progress", IN_PROGRESS, start, b"\x02", UPGRADE, say(b"Hello"), close(), FIN)
save("fails_later", IN_PROGRESS, start, b"\x01", wait(20), opened, FIN)
save("refused_then_open", REFUSED, wait(20), opened, say(b"x"), FIN)
save("unreachable", UNREACHABLE, wait(20), UNREACHABLE, wait(40), REFUSED, flags=THREE)
save("no_answer", AT_ONCE, start, wait(255), wait(255), wait(50), opened)
save("refusal", AT_ONCE, start, raw(b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nno go"), call(RECONNECT))
save("busy", AT_ONCE, start, BUSY, wait(90), opened, close(), FIN)
save("nonsense", AT_ONCE, start, raw(b"SSH-2.0-x\r\n"), FIN)
save("interim", AT_ONCE, start, raw(b"HTTP/1.1 100 C\r\n\r\n") * 17, FIN)
save("ends_again_and_again", *(opened + FIN + wait(60) for _ in range(4)))
save("resets", opened, say(b"x"), RESET, wait(60), opened, RESET)
save("many_ends", *(opened + close() + FIN + wait(60) for _ in range(4)), flags=THREE | AGAIN)
save("stable", opened, wait(110), say(b"x"), FIN, wait(60), opened)
save("redirect", AT_ONCE, start, MOVED, FIN, AT_ONCE, start, UPGRADE, say(b"x"), close(), FIN, flags=REDIRECTS)
save("redirects", (AT_ONCE + start + MOVED) * 4, flags=REDIRECTS)
save("http_proxy", AT_ONCE, start, CONNECTED, UPGRADE, say(b"x"), close(), FIN, flags=HTTP)
save("http_proxy_refuses", AT_ONCE, start, BUSY, FIN, wait(20), AT_ONCE, start, CONNECTED, flags=HTTP)
save("http_proxy_407", AT_ONCE, start, raw(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"), flags=HTTP)
save("http_proxy_talks", AT_ONCE, start, raw(b"HTTP/1.1 200 OK\r\n\r\nmore"), flags=HTTP)
save("http_proxy_stalls", AT_ONCE, start, room(0), wait(255), wait(255), flags=HTTP)
save("http_proxy_slow", IN_PROGRESS, start, b"\x02", read_piece(1), CONNECTED, UPGRADE, flags=HTTP)
save("http_proxy_blocked", AT_ONCE, room(1), start, FREE, CONNECTED, UPGRADE, flags=HTTP)
save("socks", AT_ONCE, start, GREETED, BOUND, UPGRADE, say(b"x"), close(), FIN, flags=SOCKS)
save("socks_ends", AT_ONCE, start, GREETED, FIN, wait(20), AT_ONCE, start, RESET, flags=SOCKS)
save("name", FOUND, opened, say(b"x"), close(), FIN, target=NAME)
save("name_in_vain", NOT_FOUND, wait(20), FOUND, REFUSED, wait(40), TWO_FAMILIES, opened, FIN, target=NAME)
save("name_is_slow", wait(255), wait(255), FOUND, FOUND, opened, FIN, target=NAME)
save("name_too_late", wait(1), call(STOP), FOUND, call(RECONNECT), FOUND, opened, FIN, target=NAME)
save("name_destroyed", wait(1), call(DESTROY), FOUND, wait(1), target=NAME)
save("name_race", THREE_FOUND, IN_PROGRESS, wait(3), IN_PROGRESS, wait(3), UNREACHABLE, start, b"\x01", wait(255),
     wait(255), target=NAME)
save("name_behind_socks", AT_ONCE, FOUND, GREETED, BOUND, UPGRADE, say(b"x"), FIN, flags=SOCKS, target=NAME)
save("name_behind_socks_slow", AT_ONCE, wait(255), wait(255), NOT_FOUND, flags=SOCKS, target=NAME)
save("names_of_http", FOUND, AT_ONCE, start, CONNECTED, UPGRADE, FIN, flags=HTTP, target=NAMES)
save("names_of_socks", FOUND, AT_ONCE, NOT_FOUND, wait(20), flags=SOCKS, target=NAMES)
save("unix", opened, say(b"x"), close(), FIN, target=UNIX)
save("unix_full", IN_PROGRESS, wait(20), REFUSED, wait(40), opened, FIN, target=UNIX)
save("unix_redirect", AT_ONCE, start, MOVED, FIN, AT_ONCE, start, UPGRADE, FIN, flags=REDIRECTS, target=UNIX)
save("unix_and_proxy", start, flags=HTTP, target=UNIX)
save("tls_nonsense", AT_ONCE, start, raw(b"HTTP/1.1 400 No\r\n\r\n"), FIN, wait(20), AT_ONCE, FIN, secure=True)
save("tls_stalls", AT_ONCE, start, wait(255), wait(255), call(STOP), secure=True)
save("tls_behind_socks", AT_ONCE, start, GREETED, BOUND, raw(b"nonsense"), flags=SOCKS, secure=True)
save("tls_to_a_proxy", FOUND, AT_ONCE, start, raw(b"nonsense"), FIN, flags=HTTP, target=NAMES, secure=True)
save("tls_to_a_proxy_stalls", AT_ONCE, room(0), start, wait(255), wait(255), flags=HTTP, secure=True)
save("stop_token", AT_ONCE, start, call(STOP_TOKEN), call(RECONNECT), wait(1))
save("stop_token_open", opened, call(STOP_TOKEN), say(b"x"), close(), FIN)
save("asks", start, answer(0), opened, close(), FIN, wait(60), answer(1), opened, flags=ASKS)
save("asks_badly", start, answer(2), wait(20), answer(3), wait(40), answer(5), wait(60), answer(4), flags=ASKS)
save("asks_in_vain", start, answer(3), wait(20), answer(5), wait(40), answer(4), flags=ASKS)
save("asks_without_end", start, wait(255), call(STOP), answer(0), flags=ASKS)
save("outbox", start, *(call(SEND + 8 * n) for n in range(4)), UPGRADE, close(), FIN, flags=OUTBOX)
save("outbox_full", REFUSED, *(call(SEND + 8 * n) for n in (30, 30, 30, 30)), wait(20), opened, flags=OUTBOX)
save("outbox_drops", REFUSED, *(call(SEND + 8 * n) for n in (9, 9, 9, 9, 9, 9, 9, 9)), wait(20), opened,
     flags=OUTBOX | OTHER_URL)
save("outbox_old", REFUSED, call(SEND + 8), wait(60), opened, flags=OUTBOX)
save("outbox_congested", AT_ONCE, call(SEND + 80), call(SEND + 80), room(1), UPGRADE, room(1), call(SEND + 80),
     call(SEND + 80), FREE, close(), FIN, flags=OUTBOX)
for flags in (0, OUTBOX, ASKS, LOOP_FIRST):
    for deed in range(8):
        save(f"call_{flags}_{deed}", opened, call(deed), say(b"x"), call(deed), wait(60), call(deed), flags=flags)
for place in PLACES[1:]:
    for deed in (*range(8), THROW):
        both = AGAIN | (ASKS if place == "before" else 0)
        first = start + answer(0) if place == "before" else b""
        save(f"{place}_{deed}", first, opened, say(b"b\x60"), FREE, close(), FIN, wait(60), REFUSED,
             flags=both, place=place, deed=deed)
for place in ("open", "message", "close", "ended"):
    save(f"loop_first_{place}", opened, say(b"x"), say(b"y"), flags=LOOP_FIRST, place=place, deed=RECONNECT)
save("drains", opened, room(1), say(b"b\x60"), FREE, room(1), say(b"b\x60"), FREE, flags=OUTBOX, place="drain",
     deed=SEND, occasions=2)
save("terminates", opened, say(b"t"), wait(60), opened, say(b"c\x00bye"), FIN)
save("to_itself", opened, say(b"h\x01"), say(b"o"), say(b"e\x01"), wait(3), call(DESTROY), wait(3))
for kind in (1, 2, 3, 6):
    save(f"fault_{kind}", AT_ONCE, start, fault(kind, 0), UPGRADE, fault(kind, 1), say(b"x"), close(), FIN)
for setup in range(1, 9):
    save(f"setup_{setup}", opened, close(), FIN, setup=setup)
