#!/usr/bin/env python3
"""Writes the seeds of whole_server_fuzz and whole_client_fuzz to corpus/. Run it in this directory.

Each seed is a script for its target: two bytes of options, then the steps.
"""
import os
import struct


def save(target, name, data):
    os.makedirs(f"corpus/{target}", exist_ok=True)
    with open(f"corpus/{target}/{name}", "wb") as out:
        out.write(data)


def counted(wire):
    return bytes([len(wire)]) + wire


# ---- whole_server_fuzz: the first byte of a step chooses the event and the peer

TARGETS = ("/act", "/handlers", "/later", "/unmakable", "/page", "/none")
CONNECT, PASS, FAULT, ANSWER, ROTATE, HANDLE, STOP = (bytes([n]) for n in range(14, 21))


def peer(what, index, more=b""):
    return bytes([what + 21 * index]) + more


def raw(wire, index=0):
    return peer(0, index, counted(wire))


def frame(byte_0, payload, index=0):
    return peer(1, index, bytes([byte_0]) + counted(payload))


def data(opcode, ninths, index=0):
    return peer(2, index, bytes([opcode - 1, ninths]))


def say(text, index=0):
    return peer(3, index, counted(text))


def close(above_1000=0, index=0):
    return peer(4, index, bytes([above_1000]))


def fin(index=0):
    return peer(5, index)


def reset(index=0):
    return peer(6, index, b"\0")


def room(sixteenths, index=0):
    return peer(7, index, bytes([sixteenths]))


def free(index=0):
    return peer(8, index)


def write_piece(size, index=0):
    return peer(9, index, bytes([size - 1]))


def read_piece(size, index=0):
    return peer(10, index, bytes([size - 1]))


def upgrade(target, index=0):
    return peer(12, index, bytes([TARGETS.index(target)]))


def page(target, method="GET", index=0, fails=False):
    number = 16 if fails else TARGETS.index(target)
    while number % 6 != TARGETS.index(target) or number // 32 != {"GET": 0, "HEAD": 1, "POST": 2}[method]:
        number += 1
    return peer(13, index, bytes([number]))


def fault(call, which):
    return FAULT + bytes([call, which])


def server(name, *steps, flags=0, setup=0):
    save("whole_server_fuzz", name, bytes([flags, setup]) + b"".join(steps))


def wait(tenths):
    return PASS + bytes([tenths])


ACT = CONNECT + upgrade("/act")


def servers():
    server("echo", ACT, say(b"Hello"), data(2, 100), frame(0x89, b"ping"), close(), fin())
    server("handlers", CONNECT, upgrade("/handlers"), say(b"Hello"), close(), fin())
    server("fragments", ACT, frame(0x01, b"Hel"), frame(0x80, b"lo"), close(), fin())
    server("bad_frame", ACT, frame(0xC1, b"x"), fin())
    server("too_big", ACT, data(1, 255), fin())
    server("read_by_bytes", ACT, read_piece(1), say(b"Hello"), close(), fin())
    server("written_by_bytes", CONNECT, write_piece(1), upgrade("/act"), say(b"Hello"), close(), fin())
    server("closes", ACT, say(b"c\x00bye"), say(b"not heard"), close(), fin())
    server("closes_badly", ACT, say(b"c\x05bye"), fin())
    server("no_answer", ACT, say(b"c\x00bye"), wait(60))
    server("no_fin", ACT, close(), wait(60))
    server("talks_on", ACT, close(), data(2, 255) * 40, wait(60))
    server("terminates", ACT, say(b"t"), say(b"not heard"))
    server("pauses", ACT, say(b"p\x05"), say(b"kept") + say(b"kept, too"), wait(6), close(), fin())
    server("paused_reset", ACT, say(b"p\xff"), say(b"kept"), reset())
    server("paused_fin", ACT, say(b"p\x05"), fin(), wait(6))
    server("pause_resume", ACT, say(b"P"), say(b"heard"), close(), fin())
    server("congested", ACT, room(1), say(b"b\x30") * 2, free(), close(), fin())
    server("overflow", ACT, room(1), say(b"b\x7f") * 3, free(), fin())
    server("rejects", ACT, room(1), say(b"b\x7f") * 3, free(), fin(), flags=2)
    server("shared", ACT, say(b"S\x7f"), room(1), say(b"S\x10"), free(), close(), fin())
    server("stalls", ACT, room(0), say(b"b\x10"), wait(255), wait(255))
    server("pings", ACT, say(b"iping"), frame(0x8A, b"iping"), close(), fin())
    server("silence", ACT, wait(205), frame(0x8A, b""), wait(205), wait(205))
    server("throws", ACT, say(b"x\x01"), fin())
    server("throws_late", ACT, say(b"x\x02"), fin())
    server("throws_number", ACT, say(b"x\x03"), fin())
    server("timers", ACT, say(b"e\x01"), wait(1), wait(1), say(b"k"), wait(10), close(), fin())
    server("posts", ACT, say(b"h\x00"), say(b"h\x01"), fin())
    server("to_all", ACT, CONNECT, upgrade("/act", 1), say(b"o", 0), say(b"O", 1), fin(0), fin(1))
    server("outside", ACT, *(HANDLE + bytes([n]) for n in (0, 1, 3, 2)), fin())
    server("no_page", CONNECT, page("/none"), fin())
    server("bad_head", CONNECT, raw(b"GET / HTTP/1.1\r\nA : b\r\n\r\n"), fin())
    server("no_head", CONNECT, raw(b"GET /act HT"), wait(110))
    server("nothing", CONNECT, wait(110))
    server("many", *(CONNECT for _ in range(6)), wait(20), CONNECT, upgrade("/act", 1), flags=4)
    server("too_many", *(CONNECT for _ in range(6)), upgrade("/act", 2), fin(2), flags=8)
    server("stopped", ACT, STOP + b"\x00\x05", close(), wait(2), fin())
    server("stopped_late", ACT, room(0), say(b"b\x10"), STOP + b"\x00\x05", wait(6))
    server("stopped_at_once", STOP + b"\x00\x00", flags=1)
    server("ipv6", ACT, say(b"x"), ROTATE + b"\x01", close(), fin(), flags=1 | 16)
    for setup in range(1, 13):
        server(f"setup_{setup}", ACT, fin(), setup=setup)


def server_answers():
    server("later", CONNECT, upgrade("/later"), say(b"held"), ANSWER + b"\x04", close(), fin())
    server("later_no", CONNECT, upgrade("/later"), ANSWER + b"\x01", fin())
    server("later_unmade", CONNECT, upgrade("/later"), ANSWER + b"\x02", fin())
    server("later_dropped", CONNECT, upgrade("/later"), ANSWER + b"\x03", fin())
    server("later_gone", CONNECT, upgrade("/later"), reset(), ANSWER + b"\x00")
    server("later_never", CONNECT, upgrade("/later"))
    server("unmakable", CONNECT, upgrade("/unmakable"), fin())
    server("no_route", CONNECT, upgrade("/none"), fin())
    server("pages", CONNECT, page("/page"), page("/page", "HEAD"), page("/page", "POST"), wait(60))
    server("page_fails", CONNECT, page("/page", fails=True), page("/act"), fin())
    server("page_is_idle", CONNECT, page("/page"), wait(60))
    for path in ("/body", "/body/later"):
        name = path[1:].replace("/", "_")
        post = f"POST {path} HTTP/1.1\r\nHost: a\r\n".encode()
        counted_body = raw(post + b"Content-Length: 5\r\n\r\nHello")
        chunks = raw(post + b"Transfer-Encoding: chunked\r\n\r\n2\r\nHe\r\n3\r\nllo\r\n0\r\n\r\n")
        server(name, CONNECT, counted_body, ANSWER + b"\x00", chunks, ANSWER + b"\x01", fin())
        server(name + "_parts", CONNECT, read_piece(1), chunks, ANSWER + b"\x00", page("/page"), fin())
        server(name + "_reset", CONNECT, counted_body, reset(), ANSWER + b"\x00")
        server(name + "_fin", CONNECT, counted_body + fin(), ANSWER + b"\x00")
        server(name + "_half", CONNECT, raw(post + b"Content-Length: 50\r\n\r\nHello"), wait(255), wait(60))
        server(name + "_large", CONNECT, raw(post + b"Content-Length: 101\r\n\r\n"), fin())
        server(name + "_stopped", CONNECT, counted_body, STOP + b"\x00\x05", wait(6), ANSWER + b"\x00")


def server_faults():
    server("resets", ACT, reset())
    server("reset_early", CONNECT, reset())
    server("bad_read", ACT, fault(1, 0), say(b"again"), fault(1, 1), say(b"again"), fault(1, 2), say(b"x"))
    server("bad_write", ACT, fault(2, 0), say(b"again"), fault(2, 1), say(b"again"), fault(2, 3), say(b"x"))
    for which in range(7):
        server(f"bad_accept_{which}", fault(0, which), CONNECT, wait(2), CONNECT, upgrade("/act"), fin())
    server("bad_epoll", fault(3, 0), CONNECT, wait(2), ACT, fault(3, 1), room(1), say(b"b\x30"))
    server("interrupted", fault(4, 0), ACT, fault(5, 0), HANDLE + b"\x00", fin())
    server("no_name", fault(6, 0), ACT, say(b"x"), close(), fin())


# ---- whole_client_fuzz: the calls of the application, and the events while a call waits

W_PASS, W_FAULT, W_ANSWER, W_ANSWER_CHAT = b"\x0e", b"\x0f", b"\x0c", b"\x0d"
W_FIN, W_RESET, W_FREE = b"\x05", b"\x06\x00", b"\x08"
RECEIVE, SEND, PING, TERMINATE, LEAVE = b"\x02", b"\x03", b"\x06", b"\x08", b"\x09"
AT_ONCE, IN_PROGRESS, REFUSED, UNREACHABLE = b"\x00", b"\x01", b"\x02", b"\x03"


def w_raw(wire):
    return b"\x00" + counted(wire)


def w_frame(byte_0, payload):
    return b"\x01" + bytes([byte_0]) + counted(payload)


def w_say(text):
    return b"\x03" + counted(text)


def w_close(above_1000=0):
    return b"\x04" + bytes([above_1000])


def w_room(sixteenths):
    return b"\x07" + bytes([sixteenths])


def w_pass(tenths):
    return W_PASS + bytes([tenths])


def w_fault(call, which):
    return W_FAULT + bytes([call, which])


def receive(tenths):
    return b"\x01" + bytes([tenths])


def c_close(code, reason, tenths):
    return b"\x07" + bytes([(code - 990) // 8]) + counted(reason) + bytes([tenths])


def client(name, *steps, flags=0, setup=0, connect=AT_ONCE):
    save("whole_client_fuzz", name, bytes([flags, setup]) + connect + b"".join(steps))


def clients():
    open_ = W_ANSWER
    bye = c_close(998, b"bye", 10) + w_close() + W_FIN
    client("echo", open_, SEND + b"\x01", RECEIVE, w_say(b"Hello"), RECEIVE, w_frame(0x89, b"p"),
           w_say(b"again"), bye)
    client("in_progress", b"\x02", open_, receive(10), w_say(b"Hello"), bye, connect=IN_PROGRESS)
    client("fails_later", b"\x01", connect=IN_PROGRESS)
    client("never_connects", w_pass(255), w_pass(255), connect=IN_PROGRESS)
    client("refused", connect=REFUSED)
    client("unreachable", connect=UNREACHABLE)
    client("itself", W_PASS + b"\x01", flags=7)
    client("options", W_ANSWER_CHAT, RECEIVE, w_say(b"x"), bye, flags=8 | 16 | 32 | 128)
    client("bad_header", flags=64)
    client("unasked_protocol", W_ANSWER_CHAT)
    client("no_answer", w_pass(255), w_pass(255))
    client("fin_early", W_FIN)
    client("reset_early", W_RESET)
    client("refusal", w_raw(b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nno go"))
    client("refusal_cut", w_raw(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nno go"), W_FIN)
    client("hints", w_raw(b"HTTP/1.1 103 Hints\r\n\r\n"), open_, bye)
    client("nonsense", w_raw(b"SSH-2.0-x\r\n"), W_FIN)
    client("times_out", open_, receive(1), w_pass(2), receive(0), bye)
    client("peer_closes", open_, RECEIVE, w_close(), W_FIN)
    client("peer_closes_then_us", open_, RECEIVE, w_close(), bye)
    client("no_close_back", open_, c_close(998, b"", 20), w_pass(10), w_pass(15))
    client("messages_while_closing", open_, c_close(998, b"", 20), w_say(b"late"), w_close(), W_FIN)
    client("bad_code", open_, c_close(1006, b"", 20), w_close(), W_FIN)
    client("terminates", open_, SEND + b"\x04", TERMINATE, RECEIVE, SEND + b"\x01", PING + b"\x00")
    client("leaves", open_, SEND + b"\x04", LEAVE)
    client("blocked", open_, b"\x0c" + b"\x00", SEND + b"\x14", W_FREE, RECEIVE, w_say(b"x"), bye)
    client("stalls", open_, b"\x0c" + b"\x00", SEND + b"\x14", w_pass(255), w_pass(255), RECEIVE)
    client("silence", open_, RECEIVE, w_pass(205), w_frame(0x8A, b""), w_pass(205), w_pass(205))
    client("pings", open_, PING + counted(b"are you there"), RECEIVE, w_frame(0x8A, b"x"), w_say(b"y"), bye)
    client("resets", open_, RECEIVE, W_RESET)
    client("resets_while_sending", open_, b"\x0b\x00", SEND + b"\x14", RECEIVE)
    client("says_why_and_resets", open_, b"\x0c\x00", SEND + b"\x14", w_close(1), W_RESET, RECEIVE)
    client("bad_write", open_, RECEIVE, w_fault(2, 3), w_say(b"x"), SEND + b"\x01", RECEIVE, w_say(b"y"))
    client("bad_read", open_, RECEIVE, w_fault(1, 0), w_fault(1, 1), w_say(b"x"), RECEIVE, w_fault(1, 2), w_say(b"y"))
    client("bad_poll", open_, RECEIVE, w_fault(7, 0), w_fault(7, 1), w_say(b"x"), bye)
    client("bad_option", w_fault(6, 1), b"\x02", open_, bye, connect=IN_PROGRESS)
    client("masked", open_, RECEIVE, w_raw(b"\x81\x81\x01\x02\x03\x04x"))
    client("too_big", open_, RECEIVE, b"\x02\x00\xff")
    client("bytes", b"\x0a\x00", open_, RECEIVE, w_frame(0x01, b"Hel"), w_frame(0x80, b"lo"), bye)
    client("short_writes", b"\x09\x00", open_, SEND + b"\x10", RECEIVE, w_say(b"x"), bye)
    for setup in range(1, 5):
        client(f"setup_{setup}", open_, bye, setup=setup)


servers()
server_answers()
server_faults()
clients()
