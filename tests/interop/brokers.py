"""The common part of the checks with brokers: nats-server and redis-server as processes that can be stopped,
our server `bridged`, and rows that run beside each other."""

import asyncio
import contextlib
import itertools
import json
import os
import queue
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
import urllib.request

import websockets

import harness
from harness import SECONDS, Process, check, expect, program
from peers_proxies import eventually, listens
from peers_tls import certificate
from tcp_proxy import Proxy


# ---- rows

ROWS_AT_A_TIME = 6  # most rows only wait


class Beside:
    """Checks that run beside each other. The first one that run_all() calls starts all that it selects; each one
    then waits for its own end."""

    def __init__(self):
        self.rows = []  # name, function, the queue of the result
        self.begun = False

    def check(self, peer, name, each=None):
        def register(function):
            for command in each or (None,):
                title = name if command is None else name.format(command)
                row = (f"{peer}: {title}", function, () if command is None else (command,), queue.Queue())
                self.rows.append(row)
                check(peer, title)(lambda row=row: self._result(row))
            return function

        return register

    def _begin(self):
        self.begun = True
        certificate()  # makes it once, before several rows want it
        waiting = queue.Queue()
        for row in sorted(self.rows, key=lambda row: "30 s" not in row[0]):  # the long ones begin
            if all(word in row[0] for word in harness.WORDS):
                waiting.put(row)

        def work():
            with contextlib.suppress(queue.Empty):
                while True:
                    _, function, arguments, result = waiting.get_nowait()
                    try:
                        function(*arguments)
                        result.put(None)
                    except BaseException as error:
                        result.put(error)

        for _ in range(ROWS_AT_A_TIME):
            threading.Thread(target=work, daemon=True).start()

    def _result(self, row):
        if not self.begun:
            self._begin()
        error = row[3].get(timeout=10 * SECONDS)
        if error is not None:
            raise error


BESIDE = Beside()
row = BESIDE.check


# ---- brokers

PORTS = itertools.count(20_000 + os.getpid() % 10_000)


def free_port():
    """A port that no other row gets, and that the system gives to no connection."""
    while True:
        port = next(PORTS)  # one thread at a time
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Broker:
    """A broker on a port of its own. It can end and begin again on that port."""

    def __init__(self, name, command, port):
        path = shutil.which(command[0], path="/usr/sbin:" + os.environ["PATH"])
        if path is None:
            raise AssertionError(f"{command[0]} is not installed: scripts/setup.sh interop")
        self.name = name
        self.command = [path, *command[1:]]
        self.port = port
        self.process = None

    def start(self):
        self.process = Process(self.name, self.command)
        eventually(lambda: self.process.popen.poll() is not None or listens(("127.0.0.1", self.port)),
                   f"{self.name} listens")
        expect(self.process.popen.poll(), None, f"exit code of {self.name}, which printed {self.process.text()}")

    def kill(self):
        """SIGKILL."""
        self.process.stop()

    def pause(self):
        self.process.signal(signal.SIGSTOP)

    def resume(self):
        self.process.signal(signal.SIGCONT)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.process.stop()


class Nats(Broker):
    """nats-server. `flags` are its own; `conf` is the text of its configuration file."""

    def __init__(self, *flags, conf=None, user=None):
        port = free_port()
        self.monitor = free_port()
        command = ["nats-server", "-a", "127.0.0.1", "-p", str(port), "-m", str(self.monitor), *flags]
        self.directory = tempfile.TemporaryDirectory(prefix="tern-nats-")
        if conf is not None:
            path = os.path.join(self.directory.name, "conf")
            with open(path, "w") as file:
                file.write(conf)
            command += ["-c", path]
        super().__init__("nats-server", command, port)
        self.scheme = "tls" if "--tls" in flags else "nats"
        self.url = f"{self.scheme}://{user + '@' if user else ''}127.0.0.1:{port}"

    def subscriptions(self):
        """The subscriptions of topics, without those for the bridges' own probes."""
        connections = json.loads(get(self.monitor, "/connz?subs=1"))["connections"]
        names = [name for each in connections for name in each.get("subscriptions_list") or []]
        return [name for name in names if "_probe." not in name and not name.startswith("_INBOX.")]

    def varz(self):
        return json.loads(get(self.monitor, "/varz"))

    def publish(self, subject, payload, user=None):
        """Publishes as another program does, without tern and without libnats."""
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as sock:
            read = sock.makefile("rb")
            read.readline()  # INFO
            login = {"verbose": False, "pedantic": False}
            if user:
                login["user"], login["pass"] = user.split(":")
            sock.sendall(b"CONNECT " + json.dumps(login).encode() + b"\r\n")
            data = payload if isinstance(payload, bytes) else payload.encode()
            sock.sendall(b"PUB %s %d\r\n%s\r\nPING\r\n" % (subject.encode(), len(data), data))
            expect(read.readline(), b"PONG\r\n", "answer of nats-server")


class NatsWatch:
    """A subscriber of NATS without libnats: next() is a message as (subject, header, payload), "-ERR …" as text."""

    def __init__(self, port, subject):
        self.sock = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.read = self.sock.makefile("rb")
        self.read.readline()
        self.sock.sendall(b'CONNECT {"verbose":false,"headers":true}\r\nSUB %s 1\r\nPING\r\n' % subject.encode())
        expect(self.read.readline(), b"PONG\r\n", "answer of nats-server")

    def next(self):
        while True:
            words = self.read.readline().split()
            if words[:1] == [b"PING"]:
                self.sock.sendall(b"PONG\r\n")
            elif words[:1] == [b"MSG"]:
                payload = self.read.read(int(words[-1]) + 2)[:-2]
                return words[1].decode(), b"", payload
            elif words[:1] == [b"HMSG"]:
                whole = self.read.read(int(words[-1]) + 2)[:-2]
                return words[1].decode(), whole[: int(words[-2])], whole[int(words[-2]):]
            else:
                raise AssertionError(f"nats-server sent {words}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class Redis(Broker):
    """redis-server without persistence. `flags` are its own."""

    def __init__(self, *flags, user=None):
        port = free_port()
        self.directory = tempfile.TemporaryDirectory(prefix="tern-redis-")
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                   "--dir", self.directory.name, *flags]
        super().__init__("redis-server", command, port)
        self.url = f"redis://{user + '@' if user else ''}127.0.0.1:{port}"

    def call(self, *words, user=None):
        """One command, without hiredis; returns the first line of the answer, or the whole bulk string."""
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as sock:
            read = sock.makefile("rb")
            for command in ([["AUTH", *user.split(":")]] if user else []) + [list(words)]:
                parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
                sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
                line = read.readline()
                if line.startswith(b"$") and line != b"$-1\r\n":
                    line = read.read(int(line[1:]) + 2)
            return line[:-2]


# ---- our server with a bridge


@contextlib.contextmanager
def bridged(*flags, up=True):
    """The program `bridged` (tests/interop/bridged.cc), when its bridge is up."""
    with program("bridged", *flags) as server:
        line = server.wait_line(r"^listening on ")
        server.port = int(line.rsplit(":", 1)[1])
        server.ws = f"ws://127.0.0.1:{server.port}/ws"
        server.get = lambda path: json.loads(get(server.port, path))
        if up:
            server.wait_line("^bridge up")
        yield server
        server.signal(signal.SIGTERM)
        server.expect_exit(0)


def metrics(server):
    """The counters of the bridge, by the name without "tern_bridge_" and "_total"."""
    lines = get(server.port, "/metrics").decode().split("\n")
    found = [re.fullmatch(r"tern_bridge_(\w+?)(?:_total)?(?:\{.*\})? (\d+)", line) for line in lines]
    return {each.group(1): int(each.group(2)) for each in found if each}


def gaps(server, cause="outage"):
    """The topics that the server has reported so far, in order."""
    return sorted(line.split(" ")[1] for line in server.lines if re.fullmatch(rf"gap \S+ {cause}", line))


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=4 * SECONDS) as answer:
        return answer.read()


class Subscriber:
    """A WebSocket client of `bridged`. Messages that begin with '!' are the server's own: "!subscribed …",
    "!queued", "!gap TOPIC MISSED", "!pong". All others are publications."""

    def __init__(self, server):
        self.server = server
        self.loop = asyncio.new_event_loop()
        self.publications = queue.Queue()
        self.answers = queue.Queue()
        self.gaps = []  # topics
        self.closed = None  # the close code
        self.ready = queue.Queue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        error = self.ready.get(timeout=SECONDS)
        if error is not None:
            raise error

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._read())
        pending = asyncio.all_tasks(self.loop)  # close() waits for one of them
        if pending:
            self.loop.run_until_complete(asyncio.wait(pending, timeout=1))
        self.loop.close()

    async def _read(self):
        try:
            self.socket = await websockets.connect(self.server.ws, close_timeout=1, ping_interval=None, max_queue=None)
        except Exception as error:
            self.ready.put(error)
            return
        self.ready.put(None)
        try:
            async for message in self.socket:
                if isinstance(message, str) and message.startswith("!gap "):
                    self.gaps.append(message.split(" ")[1])
                elif isinstance(message, str) and message.startswith("!"):
                    self.answers.put(message[1:])
                else:
                    self.publications.put(message)
        except websockets.ConnectionClosed:
            pass
        self.closed = self.socket.close_code

    def say(self, command):
        """Sends a command without waiting for its answer."""
        asyncio.run_coroutine_threadsafe(self.socket.send(command), self.loop).result(SECONDS)

    def ask(self, command):
        """Sends a command and returns its answer."""
        self.say(command)
        return self.answer()

    def answer(self):
        try:
            return self.answers.get(timeout=SECONDS)
        except queue.Empty:
            raise AssertionError("no answer") from None

    def subscribe(self, topic, frm=""):
        answer = self.ask(f"sub {topic} {frm}".rstrip())
        if not answer.startswith("subscribed "):
            raise AssertionError(answer)
        return answer

    def next(self, timeout=SECONDS):
        """The next publication."""
        try:
            return self.publications.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no publication; {self.server.text()}") from None

    def expect_next(self, *wanted):
        for payload in wanted:
            expect(self.next(), payload, "publication")

    def close(self):
        if not self.loop.is_closed() and self.thread.is_alive():
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self.socket.close(), self.loop).result(SECONDS)
            self.thread.join(SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def heard(publisher, topic, *subscribers):
    """Publishes until all subscribers have received it, because a broker may not know a new subscription yet."""
    for number in range(SECONDS * 10):
        mark = f"mark {number}"
        publisher.ask(f"all {topic} {mark}")
        got = []
        for subscriber in subscribers:
            with contextlib.suppress(AssertionError):
                while subscriber.next(0.1 if len(got) == 0 else 0.05) != mark:
                    pass
                got.append(mark)
        if len(got) == len(subscribers):
            return
    raise AssertionError("the subscribers do not hear the publisher")


# A loop or a publish() that waits for a broker waits until the broker goes on: 3 s at least. A busy machine may
# hold a process for a second.
STALL = 2.5


class Beat:
    """Asks a server for pongs all the time; `longest` is the longest time that one took, in seconds. So it shows
    whether a loop stalls."""

    def __init__(self, server):
        self.subscriber = Subscriber(server)
        self.longest = 0.0
        self.ending = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ending:
            began = time.monotonic()
            self.subscriber.ask("ping")
            self.longest = max(self.longest, time.monotonic() - began)
            time.sleep(0.002)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join(SECONDS)
        self.subscriber.close()
