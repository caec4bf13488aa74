#!/usr/bin/python3
"""tests/interop/ratios.py BUILD_DIR: the value of context takeover, compared with other servers.

Sends three kinds of messages to echo servers and counts the bytes of the compressed payloads that come
back, for each byte of the messages. The client offers takeover and sends uncompressed messages, so that
only the server's compressor counts. The rows of zlib are one context that compresses every message.
Prints the table of docs/guides/compression.md.
"""

import asyncio
import base64
import json
import os
import random
import socket
import struct
import sys
import threading
import zlib

sys.dont_write_bytecode = True

import websockets
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

import harness
import peers_node
from harness import check, echo_server, expect

COUNT = 500


def record(dice, number):
    return {
        "id": number,
        "user": f"user {dice.randrange(1000)}",
        "active": dice.random() < 0.5,
        "score": dice.randrange(100000),
        "tags": dice.sample(["new", "north", "south", "old", "paid"], 2),
        "note": "as agreed on the telephone, see the letter",
    }


def cut(text, size):
    return text.ljust(size)[:size].encode()


def noise_between():
    """JSON of 150 bytes, and 64 random bytes after each."""
    dice = random.Random(1)
    for number in range(COUNT):
        yield cut(json.dumps(record(dice, number)), 150)
        yield dice.randbytes(64)


def tiny():
    """JSON of 16 bytes."""
    dice = random.Random(2)
    for _ in range(COUNT):
        yield cut('{"price":%d}' % dice.randrange(1000, 9999), 16)


def feed():
    """A feed: JSON of 200 bytes."""
    dice = random.Random(3)
    for number in range(COUNT):
        yield cut(json.dumps({"number": number, **record(dice, number)}), 200)


KINDS = {
    "JSON of 150 bytes, 64 random bytes after each": list(noise_between()),
    "JSON of 16 bytes": list(tiny()),
    "JSON of 200 bytes": list(feed()),
}


def ratio(size, messages):
    return size / sum(len(message) for message in messages)


def zlib_ratio(messages, level):
    """One context of zlib for all messages, RFC 7692 7.2.1."""
    context = zlib.compressobj(level, zlib.DEFLATED, -15)
    size = 0
    for message in messages:
        size += len(context.compress(message) + context.flush(zlib.Z_SYNC_FLUSH)) - 4
    return ratio(size, messages)


class Client:
    """A connection that agreed on compression and sends without it, one message at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=harness.SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        request = [
            "GET /echo HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Extensions: permessage-deflate",
        ]
        self.socket.sendall(("\r\n".join(request) + "\r\n\r\n").encode())
        head = []
        while (line := self.file.readline().strip()) != b"":
            head.append(line.decode().lower())
        expect(head[0].split()[1], "101", "status")
        answers = [line for line in head if line.startswith("sec-websocket-extensions:")]
        expect(len(answers), 1, "answers about compression")
        expect("server_no_context_takeover" in answers[0], False, answers[0])

    def echo(self, message):
        """The size of the payload that comes back. It must be one frame."""
        size = len(message)
        length = bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
        self.socket.sendall(b"\x82" + length + b"\0\0\0\0" + message)
        first, second = self.file.read(2)
        expect(first & 0xBF, 0x82, "first byte of the echo")
        size = second if second < 126 else struct.unpack("!H", self.file.read(2))[0]
        expect(len(self.file.read(size)), size)
        return size

    def close(self):
        self.socket.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # Close, 1000
        self.file.read()
        self.socket.close()


def ratio_of(port, messages):
    client = Client(port)
    result = ratio(sum(client.echo(message) for message in messages), messages)
    client.close()
    return result


def ratios_of_server(port):
    return [ratio_of(port, messages) for messages in KINDS.values()]


def ratios_of_tern(*flags):
    with echo_server("--deflate-takeover", *flags) as server:
        return ratios_of_server(server.port)


def ratios_of_node():
    server = peers_node.node("node_server.js", "echo", "{}")
    try:
        return ratios_of_server(int(server.wait_line(r"^\d+$")))
    finally:
        server.stop()


def ratios_of_websockets():
    """The defaults, but with a window of 15 bits instead of 12."""
    ready = threading.Event()
    shared = {}

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async def main():
        factory = ServerPerMessageDeflateFactory(server_max_window_bits=15)
        shared["stop"] = asyncio.Event()
        shared["loop"] = asyncio.get_running_loop()
        async with websockets.serve(echo, "127.0.0.1", 0, extensions=[factory]) as server:
            shared["port"] = server.sockets[0].getsockname()[1]
            ready.set()
            await shared["stop"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    expect(ready.wait(harness.SECONDS), True, "the server starts")
    try:
        return ratios_of_server(shared["port"])
    finally:
        shared["loop"].call_soon_threadsafe(shared["stop"].set)
        thread.join(harness.SECONDS)


@check("zlib", "compression with takeover: as small as with one context of zlib")
def as_small_as_zlib():
    for level in (1, 6):
        measured = ratios_of_tern("--deflate-level", str(level))
        for ours, (name, messages) in zip(measured, KINDS.items()):
            theirs = zlib_ratio(messages, level)
            expect(ours <= theirs * 1.001, True, f"{name}, level {level}: {ours}, zlib {theirs}")


def main():
    columns = {
        "zlib, level 1": [zlib_ratio(messages, 1) for messages in KINDS.values()],
        "tern, level 1 (default)": ratios_of_tern(),
        "tern, min_bytes = 1024": ratios_of_tern("--deflate-min-bytes", "1024"),
        "zlib, level 6": [zlib_ratio(messages, 6) for messages in KINDS.values()],
        "tern, level 6": ratios_of_tern("--deflate-level", "6"),
        "node ws, level 6": ratios_of_node(),
        "python3-websockets, level 6": ratios_of_websockets(),
    }
    names = list(KINDS)
    print("| bytes on the wire for each byte sent | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for name, ratios in columns.items():
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in ratios) + " |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: tests/interop/ratios.py BUILD_DIR")
    harness.BIN = os.path.join(os.path.abspath(sys.argv[1]), "bin")
    main()
