"""python3-websockets in both roles."""

import asyncio
import contextlib
import http
import re
import signal

import websockets

from harness import (
    ECHOERS, SECONDS, check, echo_server, expect, expect_fatal, expect_in, persistent, program,
)

CLIENT = "websockets, client"
SERVER = "websockets, server"

# Sizes on both sides of each form of the length (RFC 6455 §5.2), and far beyond one read.
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]


def within(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, SECONDS))


def text_of(size):
    """Text of exactly that many bytes, with characters of one to four bytes."""
    whole, rest = divmod(size, 10)
    return "aé€😀" * whole + "x" * rest


def binary_of(size):
    return bytes(i % 251 for i in range(size))


# The longest reason that fits is 123 bytes (RFC 6455 §5.5).
CLOSES = [(1000, "done"), (1001, ""), (1003, "no"), (1011, "é" * 61), (4999, "x")]


# ---- their client, our server


@contextlib.asynccontextmanager
async def connected(server, path="/echo", **options):
    async with websockets.connect(server.ws + path, close_timeout=SECONDS, **options) as socket:
        yield socket


@check(CLIENT, "text and binary of every size")
def echo_sizes():
    async def talk(server):
        async with connected(server) as socket:
            for size in SIZES:
                for payload in (text_of(size), binary_of(size)):
                    await socket.send(payload)
                    answer = await socket.recv()
                    if answer != payload:
                        raise AssertionError(f"{type(payload).__name__} of {size} came back other")

    with echo_server() as server:
        within(talk(server))


@check(CLIENT, "fragmented messages, RFC 6455 5.4")
def echo_fragments():
    async def talk(server):
        async with connected(server) as socket:
            await socket.send(["Grü", "ße ", "", "an die Küste"])
            expect(await socket.recv(), "Grüße an die Küste")
            await socket.send([b"\x00", b"\xff" * 70000, b""])
            expect(await socket.recv(), b"\x00" + b"\xff" * 70000)

    with echo_server() as server:
        within(talk(server))


@check(CLIENT, "pings are answered with their payload, RFC 6455 5.5.2")
def pings():
    async def talk(server):
        async with connected(server) as socket:
            for payload in (b"", b"x", b"y" * 125):
                await (await socket.ping(payload))

    with echo_server() as server:
        within(talk(server))


@check(CLIENT, "offered compression and subprotocols are declined")
def declined():
    async def talk(server):
        async with connected(server, subprotocols=["chat"]) as socket:
            offered = socket.request_headers["Sec-WebSocket-Extensions"]
            expect_in("permessage-deflate", offered, "what the client offers")
            expect(socket.extensions, [], "extensions")
            expect(socket.subprotocol, None, "subprotocol")

    with echo_server() as server:
        within(talk(server))


@check(CLIENT, "close codes and reasons come back, RFC 6455 5.5.1")
def close_codes():
    async def talk(server):
        for code, reason in CLOSES:
            async with connected(server) as socket:
                await socket.close(code, reason)
                expect(socket.close_rcvd.code, code, "code of the server's Close")
                expect(socket.close_sent.code, code, "code of our Close")

    with echo_server() as server:
        within(talk(server))


async def expect_close(socket, code):
    try:
        while True:
            await socket.recv()
    except websockets.ConnectionClosed as closed:
        if closed.rcvd is None:
            raise AssertionError(f"no Close frame came, expected {code}") from None
        expect(closed.rcvd.code, code, "code of the server's Close")
        expect(closed.rcvd_then_sent, True, "the server closed first")


@check(CLIENT, "too big is 1009")
def too_big():
    async def talk(server):
        async with connected(server, max_size=None) as socket:
            await socket.send(b"x" * 1000)
            expect(len(await socket.recv()), 1000)
            await socket.send(b"x" * 1001)
            await expect_close(socket, 1009)

    with echo_server("--max-message", "1000") as server:
        within(talk(server))


@check(CLIENT, "text that is not UTF-8 is 1007, RFC 6455 8.1")
def bad_utf8():
    async def talk(server):
        async with connected(server) as socket:
            await socket.write_frame(True, 1, b"\xed\xa0\x80")
            await expect_close(socket, 1007)

    with echo_server() as server:
        within(talk(server))


@check(CLIENT, "a reserved opcode is 1002, RFC 6455 5.2")
def reserved_opcode():
    async def talk(server):
        async with connected(server) as socket:
            header = bytes([0x83, 0x80, 0, 0, 0, 0])
            socket.transport.write(header)
            await expect_close(socket, 1002)

    with echo_server() as server:
        within(talk(server))


@check(CLIENT, "pushes arrive numbered")
def pushes():
    async def talk(server):
        async with connected(server, "/push") as socket:
            for number in (1, 2, 3):
                expect_in(f'"number":{number},', await socket.recv())

    with echo_server() as server:
        within(talk(server))


@check(CLIENT, "SIGTERM is 1001 for all")
def stopped():
    async def talk(server):
        async with contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(connected(server)) for _ in range(10)]
            server.signal(signal.SIGTERM)
            for socket in sockets:
                await expect_close(socket, 1001)
        server.expect_exit(0)

    with echo_server("--threads", "2") as server:
        within(talk(server))


@check(CLIENT, "another Origin receives 403, and is accepted with --any-origin")
def origins():
    async def talk(server, status):
        try:
            async with connected(server, origin="https://elsewhere.example") as socket:
                await socket.send("hi")
                expect(await socket.recv(), "hi")
                answered = 101
        except websockets.InvalidStatusCode as refused:
            answered = refused.status_code
        expect(answered, status, "status")

    with echo_server() as server:
        within(talk(server, 403))
    with echo_server("--any-origin") as server:
        within(talk(server, 101))


# ---- their server, our clients


def serve(command, arguments, handler, after=None, **options):
    """Runs one of our clients against `handler`, then `after(client, end)`; returns the client.

    The first word of `arguments` that holds {port} gets the server's port."""

    async def run():
        ended = asyncio.get_running_loop().create_future()

        async def handle(socket):
            try:
                value = await handler(socket)
                if not ended.done():
                    ended.set_result((value, socket))
            except Exception as error:
                if not ended.done():
                    ended.set_exception(error)

        async with websockets.serve(
            handle, "127.0.0.1", 0, max_size=None, close_timeout=SECONDS, **options
        ) as server:
            port = server.sockets[0].getsockname()[1]
            words = [word.format(port=port) for word in arguments]
            with program(*command, *words) as client:
                loop = asyncio.get_running_loop()
                if after is not None:
                    await after(client, ended, loop)
                code = await loop.run_in_executor(None, client.wait)
                return code, client.text()

    return within(run())


@check(SERVER, "{} echoes every size and type, exit 0 after 1000", each=ECHOERS)
def back_sizes(echoer):
    async def ask(socket):
        for size in SIZES:
            for payload in (text_of(size), binary_of(size)):
                await socket.send(payload)
                if await socket.recv() != payload:
                    raise AssertionError(f"{type(payload).__name__} of {size} came back other")
        await socket.send(["frag", "", "ments"])
        expect(await socket.recv(), "fragments")
        await (await socket.ping(b"are you there"))
        await socket.close(1000, "done")
        expect(socket.close_rcvd.code, 1000, "code of the answer")

    async def after(client, ended, loop):
        await ended

    code, printed = serve(echoer, ["ws://127.0.0.1:{port}/"], ask, after)
    expect(code, 0, f"exit code, printed {printed!r}")


@check(SERVER, "{} offers no compression", each=ECHOERS)
def back_offers_nothing(echoer):
    async def look(socket):
        expect(socket.request_headers.get("Sec-WebSocket-Extensions"), None, "offer")
        expect(socket.extensions, [], "extensions")

    async def after(client, ended, loop):
        await ended

    serve(echoer, ["ws://127.0.0.1:{port}/"], look, after)


def expect_one_error(printed):
    """An echoer printed one line, besides those of the client on a loop about its session."""
    errors = [line for line in printed.split("\n") if not re.match("open |closed ", line)]
    expect(len(errors), 1, f"lines of {printed!r}")


@check(SERVER, "{} exits 1 when TCP is dropped", each=ECHOERS)
def back_dropped(echoer):
    async def drop(socket):
        await socket.send("soon gone")
        expect(await socket.recv(), "soon gone")
        socket.transport.abort()

    code, printed = serve(echoer, ["ws://127.0.0.1:{port}/"], drop)
    expect(code, 1, "exit code")
    expect_one_error(printed)


@check(SERVER, "clients exit 1 and print the status of a refusal")
def refused():
    async def refuse(path, headers):
        return http.HTTPStatus.FORBIDDEN, [("X-Reason", "test")], b"not you\n"

    async def never(socket):
        raise AssertionError("the handshake went through")

    for command, arguments in (
        (("echo_back",), ["ws://127.0.0.1:{port}/"]),
        (("echo_client",), ["--addr", "127.0.0.1:{port}"]),
        (persistent(("loop_client",)), ["ws://127.0.0.1:{port}/"]),
    ):
        code, printed = serve(command, arguments, never, process_request=refuse)
        expect(code, 1, f"exit code of {command[0]}, which printed {printed!r}")
        expect_in("403", printed, f"what {command[0]} printed")
        expect_fatal(printed)


@check(SERVER, "echo_client sends the time, prints echoes, closes with 1000 on SIGINT")
def client_talks():
    async def echo(socket):
        expect(socket.path, "/path", "path")
        async for message in socket:
            expect(type(message), str, "type")
            await socket.send(message)
        return socket.close_rcvd.code

    async def after(client, ended, loop):
        for pattern in (r"^connecting to ws://127\.0\.0\.1:\d+/path$", "^recv: .", "^recv: ."):
            await loop.run_in_executor(None, client.wait_line, pattern)
        client.signal(signal.SIGINT)
        code, _ = await ended
        expect(code, 1000, "code of the client's Close")
        await loop.run_in_executor(None, client.wait_line, "^interrupt$")

    code, printed = serve(
        ("echo_client",), ["--addr", "127.0.0.1:{port}", "--path", "/path"], echo, after
    )
    expect(code, 0, f"exit code, printed {printed!r}")
