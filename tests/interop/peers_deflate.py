"""Compression (permessage-deflate, RFC 7692) with programs of other projects, in both roles."""

import json

from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

import peers_node
from harness import ECHOERS, check, echo_server, expect, program
from peers_websockets import SIZES, binary_of, connected, expect_close, serve, text_of, within
from webdriver import Browser

FLAGS = (("--deflate",), ("--deflate-takeover",), ("--deflate-takeover", "--deflate-level", "9"))


def messages():
    """Messages of each size in both types, and well compressible ones, each twice."""
    rows = json.dumps([{"id": i, "name": f"user {i % 7}"} for i in range(2000)])
    for size in SIZES:
        yield text_of(size)
        yield binary_of(size)
    yield rows
    yield rows


async def echo_all(socket):
    for message in messages():
        await socket.send(message)
        if await socket.recv() != message:
            raise AssertionError(f"{type(message).__name__} of {len(message)} came back other")


# ---- python3-websockets


# The offers of their client, and the answer for each direction: no takeover of the server, none of
# the client, windows.
OFFERS = [
    ({}, None),
    ({"client_max_window_bits": True}, None),
    ({"server_no_context_takeover": True}, {"remote_no_context_takeover": True}),
    ({"client_no_context_takeover": True}, {"local_no_context_takeover": True}),
    ({"server_max_window_bits": 9}, {"remote_max_window_bits": 9}),
    ({"server_max_window_bits": 15}, {"remote_max_window_bits": 15}),
    ({"client_max_window_bits": 9}, {"local_max_window_bits": 9}),
    (
        {
            "server_no_context_takeover": True,
            "client_no_context_takeover": True,
            "server_max_window_bits": 10,
            "client_max_window_bits": 11,
        },
        {"remote_no_context_takeover": True, "local_no_context_takeover": True},
    ),
]


@check("websockets, client", "compression: every offer of their client, RFC 7692 7.1")
def offers():
    async def talk(server):
        for arguments, reported in OFFERS:
            factory = ClientPerMessageDeflateFactory(**arguments)
            async with connected(server, compression=None, extensions=[factory]) as socket:
                expect(len(socket.extensions), 1, f"extensions for {arguments}")
                for name, value in (reported or {}).items():
                    expect(getattr(socket.extensions[0], name), value, f"{name} for {arguments}")
                await echo_all(socket)

    for flags in FLAGS:
        with echo_server(*flags) as server:
            within(talk(server))


@check("websockets, client", "compression: a window of 8 is declined, the next offer taken")
def window_of_8():
    async def talk(server):
        eight = ClientPerMessageDeflateFactory(server_max_window_bits=8)
        nine = ClientPerMessageDeflateFactory(server_max_window_bits=9)
        async with connected(server, compression=None, extensions=[eight]) as socket:
            expect(socket.extensions, [], "extensions")
            await echo_all(socket)
        async with connected(server, compression=None, extensions=[eight, nine]) as socket:
            expect(socket.extensions[0].remote_max_window_bits, 9, "window")
            await echo_all(socket)

    with echo_server("--deflate-takeover") as server:
        within(talk(server))


@check("websockets, client", "compression: too big once inflated is 1009")
def too_big():
    async def talk(server):
        async with connected(server, max_size=None) as socket:
            expect(len(socket.extensions), 1, "extensions")
            await socket.send(b"x" * 100_000)
            expect(len(await socket.recv()), 100_000)
            await socket.send(b"x" * 100_001)
            await expect_close(socket, 1009)
        async with connected(server, compression=None) as socket:
            await socket.send("no extension, no RSV1")
            expect(await socket.recv(), "no extension, no RSV1")

    with echo_server("--deflate", "--max-message", "100000") as server:
        within(talk(server))


@check("websockets, server", "compression: every answer of their server to {}", each=ECHOERS)
def answers(echoer):
    async def ask(socket):
        expect(len(socket.extensions), 1, "extensions")
        await echo_all(socket)
        await socket.send([part for part in ("frag", "", "ments" * 1000)])
        expect(await socket.recv(), "frag" + "ments" * 1000)
        await socket.close(1000)

    async def after(client, ended, loop):
        await ended

    for arguments in (
        {},
        {"server_no_context_takeover": True},
        {"client_no_context_takeover": True},
        {"server_max_window_bits": 9},
        {"client_max_window_bits": 9},
        {
            "server_no_context_takeover": True,
            "client_no_context_takeover": True,
            "server_max_window_bits": 12,
            "client_max_window_bits": 10,
        },
        {"client_max_window_bits": 8},
    ):
        factory = ServerPerMessageDeflateFactory(**arguments)
        code, printed = serve(
            echoer,
            ["--deflate", "ws://127.0.0.1:{port}/"],
            ask,
            after,
            compression=None,
            extensions=[factory],
        )
        expect(code, 0, f"exit code for {arguments}, printed {printed!r}")


@check("websockets, server", "compression: echo_client offers it, also to a server that declines")
def client_offers():
    async def look(socket):
        offer = socket.request_headers["Sec-WebSocket-Extensions"]
        expect(offer.startswith("permessage-deflate; client_max_window_bits"), True, offer)
        async for message in socket:
            await socket.send(message)
            return

    async def after(client, ended, loop):
        await loop.run_in_executor(None, client.wait_line, "^recv: .")
        await ended
        client.stop()

    for compression in ("deflate", None):
        serve(
            ("echo_client",),
            ["--deflate", "--addr", "127.0.0.1:{port}"],
            look,
            after,
            compression=compression,
        )


# ---- node ws


@check("node ws, client", "compression: each of their options")
def node_client():
    for flags in FLAGS:
        with echo_server(*flags) as server:
            client = peers_node.node("node_client.js", "compressed", server.ws)
            try:
                client.expect_exit(0)
            finally:
                client.stop()


@check("node ws, server", "compression: each of their options, to {}", each=ECHOERS)
def node_server(echoer):
    for options in (
        {},
        {"serverNoContextTakeover": True, "clientNoContextTakeover": True},
        {"serverMaxWindowBits": 9, "clientMaxWindowBits": 10},
        {"clientMaxWindowBits": 8},
    ):
        server = peers_node.node("node_server.js", "compressed", json.dumps(options))
        try:
            port = server.wait_line(r"^\d+$")
            with program(*echoer, "--deflate", f"ws://127.0.0.1:{port}/") as client:
                client.expect_exit(0)
            server.expect_exit(0)
        finally:
            server.stop()


# ---- Chromium

TALK = """
  const [url, done] = arguments, socket = new WebSocket(url);
  const sent = ['x', 'Grüße '.repeat(5000), '', JSON.stringify(Array(3000).fill({name: 'user'}))];
  sent.push(sent[3], sent[1]);
  let next = 0;
  socket.onopen = () => socket.send(sent[0]);
  socket.onmessage = event => {
    if (event.data !== sent[next]) return done('message ' + next + ' came back other');
    if (++next < sent.length) return socket.send(sent[next]);
    done([socket.extensions, sent.reduce((all, each) => all + each.length, 0)]);
  };
  socket.onclose = event => done('closed with ' + event.code);"""


@check("Chromium", "compression: agreed on, and the same messages come back")
def chromium():
    with Browser() as browser:
        for flags, extensions in (
            ((), ""),
            (("--deflate",), "permessage-deflate; server_no_context_takeover; "
                             "client_no_context_takeover"),
            (("--deflate-takeover",), "permessage-deflate"),
        ):
            with echo_server(*flags) as server:
                browser.open(server.http + "/")
                reported = browser.run_async(TALK, server.ws + "/echo")
                expect(isinstance(reported, list), True, reported)
                expect(reported[0], extensions, f"extensions with {flags}")
