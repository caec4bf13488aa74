"""Hubs on a real broker: one of them, and three behind HAProxy, started by examples/cluster/run.sh."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import tempfile
import types

import websockets

import harness
from brokers import Nats, NatsWatch, Redis, row
from harness import SECONDS, Process, check, expect, expect_in
from peers_curl import Answer, curl
from peers_hub import LIVE, NOTES, OFFSETS, hub, says, shows
from peers_proxies import eventually, free_port, listens
from peers_websockets import within
from webdriver import Browser

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/cluster/run.sh")
SERVED_BY = "return document.getElementById('hub').textContent"


def status(port, path):
    return Answer(curl("--include", f"http://127.0.0.1:{port}{path}"))


def becomes(port, path, wanted):
    eventually(lambda: status(port, path).status == wanted, f"{path} answers {wanted}")
    return status(port, path).body


class Member:
    """A client of a hub, which is subscribed to a topic."""

    def __init__(self, socket, topic):
        self.socket = socket
        self.topic = topic

    async def hear(self):
        return json.loads(await self.socket.recv())

    async def say(self, data):
        await self.socket.send(json.dumps({"op": "publish", "topic": self.topic, "data": data}))


@contextlib.asynccontextmanager
async def member(port, topic, **subscription):
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws", close_timeout=SECONDS, ping_interval=None) as peer:
        await peer.send(json.dumps({"op": "subscribe", "topic": topic, **subscription}))
        one = Member(peer, topic)
        one.begun = await one.hear()
        expect(one.begun["op"], "subscribed", "answer")
        yield one


@contextlib.asynccontextmanager
async def shared_by(one, two, topic):
    """A member at each of two hubs, who hear each other."""
    for each in (one, two):
        becomes(each.port, "/healthz", 200)
    async with member(one.port, topic) as ann, member(two.port, topic) as bob:
        for sender, receiver in ((ann, bob), (bob, ann)):
            heard = None
            while heard != "?":  # the broker may learn of the other subscription a moment later
                await sender.say("?")
                with contextlib.suppress(asyncio.TimeoutError):
                    heard = (await asyncio.wait_for(receiver.hear(), 0.2))["data"]
        for peer in (ann, bob):
            await peer.say("!" + peer.topic)
        for peer in (ann, bob):
            for _ in range(2):
                while not str((await peer.hear())["data"]).startswith("!"):
                    pass
        yield ann, bob


# ---- hubs on a broker

# The payload of another program, and the data that subscribers receive.
PAYLOADS = (('{"a":[1,2]}', {"a": [1, 2]}), ("not JSON", "not JSON"), ("12", 12), ("[" * 1000, "[" * 1000))


async def both_hear(ann, bob, data, what):
    for peer in (ann, bob):
        expect((await peer.hear())["data"], data, what)


async def chat(ann, bob):
    for sender, data in ((ann, {"text": "Hello"}), (bob, "Grüße"), (ann, [1, None])):
        await sender.say(data)
        await both_hear(ann, bob, data, "data")


async def payloads_of_others(ann, bob, publish):
    """Another program publishes the payloads by publish(payload)."""
    for payload, data in PAYLOADS:
        publish(payload)
        await both_hear(ann, bob, data, f"data of {payload[:20]}")


BROKERS = {"NATS": ("--nats", Nats), "Redis": ("--redis", Redis)}


@row("Redis", "two hubs share a topic, and other programs take part with the JSON text of the data")
def redis_hubs():
    with Redis() as broker, hub("--redis", broker.url) as one, hub("--redis", broker.url) as two:

        async def talk():
            async with shared_by(one, two, "room.7") as (ann, bob):
                await chat(ann, bob)
                await payloads_of_others(ann, bob, lambda payload: broker.call("PUBLISH", "tern.room.7", payload))
                with socket.create_connection(("127.0.0.1", broker.port), SECONDS) as other:
                    other.sendall(b"SUBSCRIBE tern.room.7\r\n")
                    read = other.makefile("rb")
                    for _ in range(6):
                        read.readline()  # the answer
                    await ann.say({"text": "out"})
                    expect([read.readline() for _ in range(7)][-1], b'{"text":"out"}\r\n', "at the other program")

        within(talk())


@row("NATS", "two hubs share a topic, and other programs take part with the JSON text of the data")
def nats_hubs():
    with Nats() as broker, hub("--nats", broker.url) as one, hub("--nats", broker.url) as two:

        async def talk():
            async with shared_by(one, two, "room.7") as (ann, bob):
                await chat(ann, bob)
                await payloads_of_others(ann, bob, lambda payload: broker.publish("tern.room.7", payload))
                with NatsWatch(broker.port, "tern.>") as other:
                    await ann.say({"text": "out"})
                    expect(other.next(), ("tern.room.7", b"", b'{"text":"out"}'), "at the other program")

        within(talk())


@row("the hub", "{}: a broker that is killed shows in /healthz, and in one gap for each topic", BROKERS)
def outage(name):
    flag, kind = BROKERS[name]
    with kind() as broker, hub(flag, broker.url) as one, hub(flag, broker.url) as two:

        async def talk():
            async with shared_by(one, two, "a") as (ann, bob), member(two.port, "b") as eve:
                broker.kill()
                for each in (one, two):
                    expect_in("to its broker is", becomes(each.port, "/healthz", 503), "the reason")
                    expect(status(each.port, "/livez").status, 200, "/livez")
                broker.start()
                for each in (one, two):
                    becomes(each.port, "/healthz", 200)
                for peer in (ann, bob, eve):
                    gap = await peer.hear()
                    expect(gap, {"op": "gap", "topic": peer.topic, "missed": 0}, "gap")
                # A second gap would come before these.
                await eve.say("e")
                expect((await eve.hear())["data"], "e", "data")
                await chat(ann, bob)

        within(talk())


@row("Redis", "hubs take credentials from the URL, and say when they are wrong")
def redis_credentials():
    with Redis("--requirepass", "a b/c") as broker:
        at = f"@127.0.0.1:{broker.port}"
        with hub("--redis", "redis://:a%20b%2Fc" + at) as right:
            becomes(right.port, "/healthz", 200)
        with hub("--redis", "redis://:k4x9" + at) as wrong:
            wrong.wait_line(r"(?i)wrongpass|password")
            expect(status(wrong.port, "/healthz").status, 503, "/healthz")
            expect(status(wrong.port, "/livez").status, 200, "/livez")
            expect("k4x9" in wrong.text(), False, "the password is printed")


@row("NATS", "hubs take credentials from the URL, and say when they are wrong")
def nats_credentials():
    with Nats("--user", "ann", "--pass", "a b/c") as broker:
        at = f"@127.0.0.1:{broker.port}"
        with hub("--nats", "nats://ann:a%20b%2Fc" + at) as right:
            becomes(right.port, "/healthz", 200)
        with hub("--nats", "nats://ann:k4x9" + at) as wrong:
            wrong.wait_line(r"(?i)authori[sz]ation")
            expect(status(wrong.port, "/healthz").status, 503, "/healthz")
            expect(status(wrong.port, "/livez").status, 200, "/livez")
            expect("k4x9" in wrong.text(), False, "the password is printed")


# ---- the cluster


def free_ports(count):
    """The first of so many free ports in a row."""
    while True:
        first = free_port()
        if first + count > 65535:
            continue
        with contextlib.ExitStack() as listeners, contextlib.suppress(OSError):
            for port in range(first, first + count):
                listeners.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


@contextlib.contextmanager
def cluster(name, again):
    """Three hubs on a broker behind HAProxy. Parts that end start again after so many seconds."""
    port = free_ports(5)
    with tempfile.TemporaryDirectory(prefix="tern-cluster-") as directory:
        process = Process("cluster", [RUN, name], env={
            "BUILD": os.path.dirname(harness.BIN), "PORT": str(port), "AGAIN": str(again), "TMPDIR": directory})
        try:
            process.wait_line(r"^page at http")
            process.port = port
            process.pids = {part: int(pid) for part, pid in
                            re.findall(r"^(\S+) at .* kill -9 (\d+)$", process.text(), re.M)}
            yield process
            process.signal(signal.SIGINT)
            process.expect_exit(0)
            expect(os.listdir(directory), [], "files after the end")
            expect([listens(("127.0.0.1", each)) for each in range(port, port + 5)], [False] * 5, "who listens")
        finally:
            process.stop()


@check("Chromium", "three pages on three hubs chat; one hub is killed, and its page misses nothing at another one")
def three_hubs():
    with cluster("redis", 3600) as hubs, Browser() as browser:
        pages = {}
        for person in ("Ann", "Bob", "Eve"):
            if pages:
                browser.select(browser.new_tab())
            # HAProxy skips a hub that is late to answer a health check, so a page may be opened again.
            for _ in range(12):
                browser.open(f"http://127.0.0.1:{hubs.port}/?room=tea&name={person}")
                browser.wait_for(LIVE + " && document.getElementById('hub').textContent !== ''")
                served = browser.run(SERVED_BY).removeprefix("served by ")
                if served not in [other for _, other in pages.values()]:
                    break
            pages[person] = (browser.tab(), served)
        expect(sorted(served for _, served in pages.values()), ["hub-1", "hub-2", "hub-3"], "hubs")

        def everyone_sees(text):
            for tab, _ in pages.values():
                browser.select(tab)
                browser.wait_for(shows(text))

        def person_says(person, text):
            browser.select(pages[person][0])
            says(browser, text)

        for person in pages:
            person_says(person, f"I am {person}")
            everyone_sees(f"I am {person}")

        # Bob's page is cut off for 5 seconds. Meanwhile its hub is killed, and the others chat on.
        tab, served = pages["Bob"]
        browser.select(tab)
        browser.click("#cut")
        browser.wait_for(f"!({LIVE})")
        os.kill(hubs.pids[served], signal.SIGKILL)
        for number in range(4, 9):
            person_says("Ann" if number % 2 else "Eve", f"number {number}")
        everyone_sees("number 8")
        browser.select(tab)
        browser.wait_for(LIVE)
        other = browser.run(SERVED_BY).removeprefix("served by ")
        expect(other != served and other in hubs.pids, True, f"was at {served}, is at {other}")
        person_says("Bob", "back")
        everyone_sees("back")
        for person, (tab, _) in pages.items():
            browser.select(tab)
            expect(browser.run(OFFSETS), list(range(1, 10)), f"offsets of {person}")
        browser.select(pages["Bob"][0])
        expect_in("5 missed messages follow, none is lost", str(browser.run(NOTES)), "note")

        # Ann's page loses its hub while it is connected.
        tab, served = pages["Ann"]
        os.kill(hubs.pids[served], signal.SIGKILL)
        person_says("Bob" if other != served else "Eve", "who is here?")
        browser.select(tab)
        browser.wait_for(LIVE + " && " + shows("who is here?"))
        expect(browser.run(OFFSETS), list(range(1, 11)), "offsets of Ann")


@row("NATS", "a cluster whose broker is away serves on, and begins again when it is back")
def broker_away():
    with cluster("nats", 1) as hubs:
        port = hubs.port
        becomes(port, "/healthz", 200)
        os.kill(hubs.pids["nats"], signal.SIGKILL)
        hubs.wait_line(r"^nats \(process \d+\) has ended")
        eventually(lambda: "<title>" in curl(f"http://127.0.0.1:{port}/"), "the page while the broker is away")
        hubs.wait_line(r"^nats runs again")
        one, two = (types.SimpleNamespace(port=port + number) for number in (1, 2))

        async def talk():
            async with shared_by(one, two, "a") as (ann, bob):
                await chat(ann, bob)

        within(talk())
