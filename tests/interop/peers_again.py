"""tern's client on a loop connects again: after restarts of servers and proxies of other projects, and
as their answers allow."""

import asyncio
import contextlib
import email.utils
import http
import re
import signal
import socket
import threading
import time

import websockets

from harness import SECONDS, TALKERS, check, echo_server, expect, expect_fatal, expect_in, program
from peers_node import node
from peers_proxies import free_port, haproxy, nginx
from peers_tls import certificate
from peers_tunnels import expect_echo, microsocks


class Server:
    """python3-websockets in a thread. It echoes, and can be stopped and started on the same port."""

    def __init__(self, secure=False, echoes=True):
        self.echoes = echoes
        self.answers = []  # for the next requests: (status, fields) instead of 101
        self.requests = []  # the time of each
        self.context = certificate().server_context() if secure else None
        self.holder = socket.socket()  # keeps the port while the server is stopped
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.holder.bind(("127.0.0.1", 0))
        self.port = self.holder.getsockname()[1]
        self.url = f"ws{'s' if secure else ''}://127.0.0.1:{self.port}/echo"
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.server = None

    def __enter__(self):
        self.thread.start()
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(SECONDS)
        self.loop.close()
        self.holder.close()

    def start(self):
        self._run(self._start())

    def stop(self):
        """Closes all connections with 1001."""
        self._run(self._stop())

    def drop(self):
        """Ends TCP of all connections without a Close frame."""
        self._run(self._drop())

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SECONDS)

    async def _start(self):
        self.server = await websockets.serve(
            self._handle, "127.0.0.1", self.port, ssl=self.context, process_request=self._answer,
            close_timeout=SECONDS, ping_interval=None,
        )

    async def _stop(self):
        self.server.close()
        await self.server.wait_closed()

    async def _drop(self):
        for each in list(self.server.websockets):
            each.transport.abort()

    async def _answer(self, path, headers):
        self.requests.append(time.monotonic())
        if not self.answers:
            return None
        status, fields = self.answers.pop(0)
        return http.HTTPStatus(status), fields, b""

    async def _handle(self, socket):
        with contextlib.suppress(websockets.ConnectionClosed):
            if self.echoes:
                async for message in socket:
                    await socket.send(message)


@contextlib.contextmanager
def client_of(url, *flags):
    """The client on a loop, which connects again after 100 to 200 ms. Ctrl-C ends it at any stage."""
    with program("loop_client", url, "--retry", "--ca", certificate().cert, *flags) as client:
        yield client
        client.signal(signal.SIGINT)
        client.expect_exit(0)


def field(line, name):
    return re.search(rf" {name}=(\S+)", line).group(1)


for scheme, flags in (("ws", []), ("wss", [True])):
    @check("websockets, server", f"loop_client connects again by {scheme} after a restart and a reset")
    def restarted(flags=flags):
        with Server(*flags) as server, client_of(server.url) as client:
            client.wait_line("^open 1$")
            client.wait_line("^recv: hello$")
            server.stop()
            client.wait_line("^closed 1 after 1 messages$")
            ended = client.wait_line("^ended ")
            expect_in("ended stage=open status=0 code=1001 failures=", ended)
            expect(0.1 <= float(field(ended, "wait")) <= 0.2, True, f"the wait in {ended!r}")
            expect_in("stage=connect", client.wait_line("^ended "), "while nothing listens")
            server.start()
            client.wait_line("^open 2$")
            client.wait_line("^recv: hello$")
            server.drop()
            client.wait_line("^closed 2 after 1 messages$")
            expect_in("ended stage=open status=0 code=1006 ", client.wait_line("^ended "))
            client.wait_line("^open 3$")


@check("websockets, server", "a server that closes each connection at once is left alone for 100 ms")
def closes_at_once():
    with Server(echoes=False) as server, client_of(server.url) as client:
        client.wait_line("^open 4$")
        gaps = [later - sooner for sooner, later in zip(server.requests, server.requests[1:])]
        expect([gap >= 0.1 for gap in gaps[:3]], [True] * 3, f"0.1 s in {gaps}")


@check("websockets, server", "loop_client tries again after each status that may pass")
def transient_statuses():
    statuses = [408, 425, 429, 500, 502, 503, 504]
    with Server() as server:
        server.answers = [(status, []) for status in statuses]
        with client_of(server.url) as client:
            for failures, status in enumerate(statuses, 1):
                ended = client.wait_line("^ended ")
                expect_in(f"stage=upgrade status={status} code=0 failures={failures} transient=1", ended)
            client.wait_line("^open 1$")


@check("websockets, server", "loop_client does not try again after any other status")
def fatal_statuses():
    for status in (400, 401, 403, 404, 407, 410, 501, 505):
        with Server() as server:
            server.answers = [(status, [("Retry-After", "0")])]
            with program("loop_client", server.url, "--retry") as client:
                client.expect_exit(1)
                expect_in(f"stage=upgrade status={status} code=0 failures=1 transient=0", client.text())
                expect_fatal(client.text())
            expect(len(server.requests), 1, "requests")


@check("websockets, server", "loop_client waits for Retry-After, seconds or a date, unless it is stopped")
def retry_after():
    with Server() as server:
        server.answers = [(503, [("Retry-After", "1")])]
        with client_of(server.url) as client:
            ended = client.wait_line("^ended ")
            expect(field(ended, "retry_after"), "1.000", "Retry-After")
            client.wait_line("^open 1$")
            first, second = server.requests
            expect(second - first >= 1, True, f"a second in {server.requests}")
        date = email.utils.formatdate(time.time() + 300, usegmt=True)
        server.answers = [(503, [("Retry-After", date)])]
        with client_of(server.url) as client:
            ended = client.wait_line("^ended ")
            expect(200 < float(field(ended, "retry_after")) <= 300, True, f"Retry-After in {ended!r}")
            expect(200 < float(field(ended, "wait")) <= 301, True, f"the wait in {ended!r}")


@check("websockets, server", "each attempt of loop_client begins at the URL, before the redirects")
def redirected():
    with Server() as first, Server() as second:
        first.answers = [(302, [("Location", second.url)])] * 2
        with client_of(first.url, "--max-redirects", "1") as client:
            client.wait_line("^open 1$")
            second.drop()
            client.wait_line("^open 2$")
        expect(len(first.requests), 2, "requests at the URL")
        expect(len(second.requests), 2, "requests at the target")


@check("node ws, server", "it receives pings of loop_client, which stays while it answers")
def pings():
    server = node("node_server.js", "pinged")
    try:
        port = server.wait_line(r"^\d+$")
        with program("loop_client", f"ws://127.0.0.1:{port}/", "--silence", "0.05") as client:
            client.expect_exit(0)
        server.expect_exit(0)
    finally:
        server.stop()


@check("node ws, server", "loop_client leaves it when it hangs, and connects again when it goes on")
def hangs():
    server = node("node_server.js", "echo", "false")
    try:
        port = server.wait_line(r"^\d+$")
        url = f"ws://127.0.0.1:{port}/"
        with client_of(url, "--silence", "0.1", "--pong", "0.3") as client:
            client.wait_line("^recv: hello$")
            server.signal(signal.SIGSTOP)
            expect_in("stage=open", client.wait_line("^ended .*the peer did not answer a ping in time"))
            server.signal(signal.SIGCONT)
            client.wait_line("^open ")
            client.wait_line("^recv: hello$")
    finally:
        server.stop()


for name, front, status in (("nginx", nginx, 502), ("haproxy", haproxy, 503)):
    @check(name, f"ws and wss pass it to python3-websockets, {status} while that restarts")
    def in_front(front=front, status=status):
        with Server() as server, front(server.port) as at:
            for url in (f"ws://127.0.0.1:{at.port}/echo", f"wss://127.0.0.1:{at.secure}/echo"):
                for talker in TALKERS:
                    expect_echo(talker, url)
                with client_of(url) as client:
                    client.wait_line("^open 1$")
                    client.wait_line("^recv: hello$")
                    server.stop()
                    client.wait_line("^closed 1 after 1 messages$")
                    client.wait_line(f"^ended stage=upgrade status={status} .* transient=1 ")
                    server.start()
                    client.wait_line("^open 2$")
                    client.wait_line("^recv: hello$")


@check("microsocks", "loop_client connects again after a restart of the proxy")
def proxy_restarted():
    port = free_port()
    with echo_server() as server:
        flags = ["--proxy", f"socks5h://127.0.0.1:{port}"]
        with contextlib.ExitStack() as proxy, client_of(server.ws + "/echo", *flags) as client:
            client.wait_line("^ended stage=proxy .* transient=1 ")
            proxy.enter_context(microsocks(0, False, port))
            client.wait_line("^open 1$")
            proxy.close()
            client.wait_line("^ended stage=open ")
            client.wait_line("^ended stage=proxy .* transient=1 ")
            proxy.enter_context(microsocks(0, False, port))
            client.wait_line("^open 2$")
            client.wait_line("^recv: hello$")
