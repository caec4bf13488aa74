"""Bridges over real nats-servers: `bridged` (tests/interop/bridged.cc) with libnats, nats-server that is killed,
stopped, replaced and secured, and programs that speak NATS without tern. Most rows only wait, so they run beside
each other."""

import contextlib
import re
import signal
import threading
import time

from brokers import (
    STALL, Beat, Nats, NatsWatch, Proxy, Subscriber, bridged, free_port, gaps, metrics, row,
)
from harness import SECONDS, expect, expect_in
from peers_proxies import eventually

PEER = "nats-server"


@contextlib.contextmanager
def pair(broker, *flags, urls=None):
    """Two servers on one broker."""
    for_each = [word for url in urls or [broker.url] for word in ("--nats", url)]
    with bridged(*for_each, *flags) as a, bridged(*for_each, *flags) as b:
        yield a, b


def wait_subscribed(broker, count):
    """Until the broker has this number of subscriptions of topics."""
    eventually(lambda: len(broker.subscriptions()) == count, f"{count} subscriptions")


@contextlib.contextmanager
def subscribers(broker, servers, topics, count=None):
    """A client at each server that is subscribed to the topics, also at the broker."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Subscriber(server)) for server in servers]
        for client in clients:
            for topic in topics:
                client.subscribe(topic)
        if broker:
            wait_subscribed(broker, count or len(servers) * len(topics))
        yield clients


# ---- the payload, the subjects, the header fields


@row(PEER, "another program publishes text and bytes to browsers, and reads what they publish")
def foreign():
    with Nats() as broker, bridged("--nats", broker.url) as server:
        with subscribers(broker, [server], ["room.7", "a%*..", "Grüße"]) as (client,):
            broker.publish("tern.room.7", '{"hello":"Jürgen"}')
            client.expect_next('{"hello":"Jürgen"}')
            broker.publish("tern.room.7", b"\xff\x00bytes")
            client.expect_next(b"\xff\x00bytes")
            broker.publish("tern.room.7", b"")
            client.expect_next("")
            broker.publish("tern.a%25%2A.%2E", "escaped")
            client.expect_next("escaped")
            broker.publish("tern.Grüße", "aus Kiel")
            client.expect_next("aus Kiel")
            broker.publish("tern.other", "nobody wants it")
            with NatsWatch(broker.port, "tern.>") as watch:
                client.ask("all room.7 plain")
                expect(watch.next(), ("tern.room.7", b"", b"plain"), "a text of the server")
                client.ask("bin other text")  # a topic without a subscriber
                subject, header, payload = watch.next()
                expect((subject, payload), ("tern.other", b"text"), "a binary message")
                expect_in(b"Tern-Type: binary", header, "header")
                client.ask("pub room.7 mine")
                subject, header, payload = watch.next()
                expect((subject, payload), ("tern.room.7", b"mine"), "a publication of a client")
                expect_in(b"Tern-Origin: ", header, "header")
            client.expect_next("plain")  # and not "mine"
            client.ask("all room.7 end")
            client.expect_next("end")


@row(PEER, "publications reach the other server with their type, and not the connection that sent them")
def two_servers():
    with Nats() as broker, pair(broker) as (a, b):
        with subscribers(broker, [a, b], ["room.7"]) as (ann, bob), Subscriber(a) as ada:
            ada.subscribe("room.7")
            ann.ask("pub room.7 from Ann")
            for other in (bob, ada):
                other.expect_next("from Ann")
            bob.ask("bin room.7 bytes that are text")
            for each in (ann, bob, ada):
                each.expect_next(b"bytes that are text")
            bob.ask("all room.7 to all")
            for each in (ann, bob, ada):
                each.expect_next("to all")


@row(PEER, "local_first: its own subscribers get a publication once, the others too")
def local_first():
    with Nats() as broker, pair(broker, "--order", "local_first") as (a, b):
        with subscribers(broker, [a, b], ["room.7"]) as (ann, bob), Subscriber(a) as ada:
            ada.subscribe("room.7")
            for number in range(20):
                ann.ask(f"pub room.7 {number}")
                ann.ask(f"all room.7 all {number}")
            for number in range(20):
                ann.expect_next(f"all {number}")
                for other in (ada, bob):
                    other.expect_next(str(number), f"all {number}")
            eventually(lambda: metrics(a)["echoes"] == 40, "the echoes are dropped")
            for each in (ann, bob, ada):
                expect(each.publications.qsize(), 0, "publications that came twice")


@row(PEER, "a prefix of its own separates servers on one broker; without a prefix subjects are topics")
def prefixes():
    with Nats() as broker, bridged("--nats", broker.url, "--prefix", "one.") as a, \
            bridged("--nats", broker.url, "--prefix", "") as b:
        with Subscriber(a) as ann, Subscriber(b) as bob:
            ann.subscribe("t"), bob.subscribe("t"), bob.subscribe("one.t")
            wait_subscribed(broker, 3)
            broker.publish("t", "to b")
            broker.publish("one.t", "to both")
            bob.expect_next("to b", "to both")
            ann.expect_next("to both")


@row(PEER, "a publication over its max_payload is a gap that is told, and the connection stays")
def max_payload():
    with Nats(conf="max_payload: 1000\n") as broker, bridged("--nats", broker.url) as server:
        with subscribers(broker, [server], ["t"]) as (client,):
            client.ask("all t before")
            client.ask("all t " + "x" * 1001)
            server.wait_line("^log: .*refuses publications .*max_payload")
            server.wait_line("^gap t lost")
            client.ask("all t after")
            client.expect_next("before", "after")
            expect(metrics(server)["connects"], 1, "connections")


# ---- order, many topics, interest


@row(PEER, "two servers, 1000 topics, 100 000 publications: the order of each publisher, none lost or twice")
def many():
    with Nats() as broker, pair(broker, "--tally", "1000", "--tally-clients", "1") as (a, b):
        wait_subscribed(broker, 2000)
        with Subscriber(a) as ann, Subscriber(b) as bob:
            ann.say("ping"), bob.say("ping")
        floods = []
        threads = [threading.Thread(target=lambda server=server: floods.append(server.get("/flood/1000/50000/100?window=5000")))
                   for server in (a, b)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * SECONDS)
        expect([flood.get("queued") for flood in floods], [50000, 50000], f"publications that were taken: {floods}")
        eventually(lambda: all(server.get("/tally")[0]["received"] >= 100_000 for server in (a, b)),
                   "all publications arrive")
        for server in (a, b):
            tally = server.get("/tally")[0]
            expect((tally["received"], tally["missing"], tally["repeated"], tally["gaps"]), (100_000, 0, 0, 0),
                   "received, missing, repeated, gaps")


@row(PEER, "interest that comes and goes costs one command at each end, and none within the linger")
def churn():
    with Nats() as broker, Proxy(broker.port) as proxy:
        proxy.record = bytearray()
        with bridged("--nats", f"nats://127.0.0.1:{proxy.port}", "--linger", "0.5") as server:
            with Subscriber(server) as client:
                for _ in range(2000):
                    client.say("sub t"), client.say("unsub t")
                for _ in range(4000):
                    client.answer()
                wait_subscribed(broker, 1)
                wait_subscribed(broker, 0)  # after the linger
                expect(proxy.record.count(b"SUB tern.t "), 1, "SUB")
                expect(proxy.record.count(b"UNSUB "), 1, "UNSUB")
                client.subscribe("t")
                wait_subscribed(broker, 1)
                expect(proxy.record.count(b"SUB tern.t "), 2, "SUB")
                client.ask("all t again")
                client.expect_next("again")


# ---- brokers that fail


def expect_one_gap(servers, topics, cause="outage"):
    for server in servers:
        eventually(lambda: gaps(server, cause) == sorted(topics), f"one gap for each topic of {server.lines}")


@row(PEER, "killed by -9 and started again: subscribed again, one gap for each topic, what waited arrives")
def killed():
    topics = ["r.1", "r.2", "r.3"]
    with Nats() as broker, pair(broker) as (a, b), subscribers(broker, [a, b], topics) as (ann, bob), Beat(a) as beat:
        broker.kill()
        for server in (a, b):
            server.wait_line("^bridge down ")
        expect(ann.ask("all r.1 waits"), "queued", "a publication without a broker")
        time.sleep(1.5)
        broker.start()
        for server in (a, b):
            server.wait_line("^bridge up ")
        expect_one_gap((a, b), topics)
        ann.expect_next("waits")  # others may have subscribed again after it
        wait_subscribed(broker, 6)
        ann.ask("all r.2 after")
        ann.expect_next("after")
        while bob.next() != "after":
            pass
        for client in (ann, bob):
            eventually(lambda: sorted(client.gaps) == topics, f"the gaps of a client: {client.gaps}")
        expect_one_gap((a, b), topics)
        expect(beat.longest < STALL, True, f"the longest answer of a loop took {beat.longest:.3f} s")


@row(PEER, "gone: 8 MiB wait, then publish() fails at once, and after 5 s what waited is dropped and counted")
def bounds():
    with Nats() as broker, bridged("--nats", broker.url) as server, Subscriber(server) as client, \
            Beat(server) as beat:
        client.subscribe("t.0")
        broker.kill()
        server.wait_line("^bridge down ")
        flood = server.get("/flood/1/100000/1000")
        accepted = flood["queued"]
        expect(6000 < accepted < 8400, True, f"publications of 1000 bytes that wait: {flood}")
        expect(flood["bridge_down"], 100_000 - accepted, "the others")
        expect(flood["longest_us"] < 1e6 * STALL, True, f"the longest publish(): {flood}")
        expect(metrics(server)["waiting_bytes"] <= 8 << 20, True, "bytes that wait")
        eventually(lambda: metrics(server)["dropped_down"] == accepted, "what waited is dropped")
        expect(client.ask("all t.0 x"), "bridge_down", "publish() later")
        broker.start()
        server.wait_line("^bridge up ")
        expect_one_gap([server], ["t.0"])
        expect(client.ask("all t.0 x"), "queued", "publish() with a broker")
        client.expect_next("x")
        expect(beat.longest < STALL, True, f"the longest answer of a loop took {beat.longest:.3f} s")


@row(PEER, "gone, with --while-down: fail tells it at once, local delivers here")
def while_down():
    with Nats() as broker, bridged("--nats", broker.url, "--while-down", "fail") as a, \
            bridged("--nats", broker.url, "--while-down", "local") as b:
        with subscribers(broker, [a, b], ["t"]) as (ann, bob):
            broker.kill()
            for server in (a, b):
                server.wait_line("^bridge down ")
            expect(ann.ask("all t x"), "bridge_down", "fail")
            expect(bob.ask("all t here"), "queued", "local")
            bob.expect_next("here")


@row(PEER, "gone, with --on-gap close: subscribers are closed with 1012 when it is back")
def closes():
    with Nats() as broker, bridged("--nats", broker.url, "--on-gap", "close") as server:
        with subscribers(broker, [server], ["t"]) as (client,), Subscriber(server) as other:
            broker.kill()
            server.wait_line("^bridge down ")
            broker.start()
            server.wait_line("^bridge up ")
            eventually(lambda: client.closed == 1012, "the close code")
            expect(other.ask("ping"), "pong", "a client without a subscription")


def paused(seconds):
    with Nats() as broker, pair(broker) as (a, b), subscribers(broker, [a, b], ["t"]) as (ann, bob), \
            Beat(a) as beat:
        broker.pause()
        ended = time.monotonic() + seconds
        expect(ann.ask("all t during"), "queued", "a publication")
        flood = a.get("/flood/1/100000/1000")
        expect(flood["longest_us"] < 1e6 * STALL, True, f"the longest publish(): {flood}")
        expect(metrics(a)["waiting_bytes"] <= 8 << 20, True, "bytes that wait")
        if seconds > 20:
            for server in (a, b):
                server.wait_line("^bridge down .*(does not answer|takes no publications)")
        time.sleep(max(0, ended - time.monotonic()))
        broker.resume()
        if seconds > 20:
            for server in (a, b):
                server.wait_line("^bridge up ", 2 * SECONDS)
            expect_one_gap((a, b), ["t"])
            wait_subscribed(broker, 2)
        eventually(lambda: ann.ask("all t after") == "queued", "a publication is taken")
        for client in (ann, bob):
            while client.next() != "after":
                pass
        expect(beat.longest < STALL, True, f"the longest answer of a loop took {beat.longest:.3f} s")


@row(PEER, "stopped (SIGSTOP) for 3 s: no loop waits, the bounds hold, and all goes on")
def paused_short():
    paused(3)


@row(PEER, "stopped (SIGSTOP) for 30 s: it is noticed, one gap for each topic, and all goes on")
def paused_long():
    paused(30)


# ---- links that fail


@contextlib.contextmanager
def proxied():
    with Nats() as broker, Proxy(broker.port) as proxy, \
            bridged("--nats", f"nats://127.0.0.1:{proxy.port}") as server:
        with subscribers(broker, [server], ["t", "u"]) as (client,):
            yield broker, proxy, server, client


@row(PEER, "a link that is half-open is noticed by pings, and replaced")
def half_open():
    with proxied() as (broker, proxy, server, client):
        proxy.stall()
        expect_in("does not answer", server.wait_line("^bridge down "), "reason")
        proxy.cut()
        server.wait_line("^bridge up ")
        expect_one_gap([server], ["t", "u"])
        client.ask("all t after")
        client.expect_next("after")


@row(PEER, "a link that passes all but publications is noticed by the bridge's own, and replaced")
def silent():
    with proxied() as (broker, proxy, server, client):
        proxy.change = lambda data: re.sub(rb"H?MSG [^\r]*\r\n[^\r]*\r\n", b"", data)
        server.wait_line("^bridge down ")
        proxy.change = None
        server.wait_line("^bridge up ")
        expect_one_gap([server], ["t", "u"])
        client.ask("all t after")
        client.expect_next("after")


@row(PEER, "links that end by FIN, by RST, or in the middle of a message: one gap each time")
def broken():
    with proxied() as (broker, proxy, server, client):
        for number, end in enumerate((proxy.cut, proxy.reset, proxy.cut, proxy.reset), 1):
            end()
            server.wait_line("^bridge down ")
            server.wait_line("^bridge up ")
            wait_subscribed(broker, 2)
            expect_one_gap([server], number * ["t", "u"])
            client.ask(f"all t {number}")
            client.expect_next(str(number))
        for size in (1, 60, 700, 711):  # INFO has about 400 bytes, so the last ones cut a message
            proxy.cut_after = size
            proxy.cut()
            server.wait_line("^bridge down ")
            for _ in range(5):
                client.ask("all t " + 100 * "x")
            proxy.cut_after = None
            eventually(lambda: metrics(server)["up"] == 1, "the bridge is up")
            wait_subscribed(broker, 2)
            mark = f"cut after {size}"
            client.ask("all t " + mark)
            while (payload := client.next()) != mark:
                expect(payload, 100 * "x", "a publication, whole")


@row(PEER, "a link that brings one byte at a time changes nothing")
def slow_link():
    with Nats() as broker, Proxy(broker.port) as proxy:
        proxy.chunk = 1
        with bridged("--nats", f"nats://127.0.0.1:{proxy.port}") as server:
            with subscribers(broker, [server], ["t"]) as (client,):
                for number in range(50):
                    broker.publish("tern.t", f"{number} é")
                client.expect_next(*(f"{number} é" for number in range(50)))


@row(PEER, "a flood for a busy server: it reads on, drops, counts and tells the gap, and the broker is well")
def slow_server():
    with Nats() as broker, bridged("--nats", broker.url) as a, \
            bridged("--nats", broker.url, "--threads", "1") as b:
        with Subscriber(b) as bob:
            bob.subscribe("t.0")
            wait_subscribed(broker, 1)
            bob.say("burn 1500")
            flood = a.get("/flood/1/150000/300")
            expect(flood["queued"], 150_000, f"publications that were taken: {flood}")
            eventually(lambda: metrics(b)["received"] >= 150_000, "the bridge has read all")
            b.wait_line("^gap t.0 too_slow")
            counts = metrics(b)
            expect(counts["dropped_full"] > 0, True, f"drops of {counts}")
            expect((counts["connects"], counts["failures"]), (1, 0), "connections")
            expect(broker.varz()["slow_consumers"], 0, "slow consumers of the broker")
            with Subscriber(a) as ann:
                ann.ask("all t.0 end")
                while bob.next() != "end":
                    pass
            expect_in("t.0", bob.gaps, "gaps of the client")


# ---- several brokers


@row(PEER, "two brokers: the next one when the first is killed, and back when the second is")
def fail_over():
    with Nats() as first, Nats() as second:
        with pair(None, urls=[first.url, second.url]) as (a, b):
            with subscribers(first, [a, b], ["t"]) as (ann, bob):
                for dead, other in ((first, second), (second, first)):
                    dead.kill()
                    for server in (a, b):
                        expect_in(other.url, server.wait_line("^bridge up "), "the broker")
                    wait_subscribed(other, 2)
                    ann.ask(f"all t by {other.port}")
                    for client in (ann, bob):
                        client.expect_next(f"by {other.port}")
                    expect_one_gap((a, b), ["t"] if dead is first else ["t", "t"])
                    dead.start()


@row(PEER, "lame duck: the bridge leaves before it is cut, for another server of the cluster that it was told of")
def lame_duck():
    routes = [free_port(), free_port()]
    flags = [["--cluster_name", "c", "--cluster", f"nats://127.0.0.1:{routes[i]}",
              "--routes", f"nats://127.0.0.1:{routes[1 - i]}"] for i in (0, 1)]
    with Nats(*flags[0]) as first, Nats(*flags[1]) as second:
        eventually(lambda: first.varz()["routes"] >= 1, "the cluster")
        eventually(lambda: len(first.varz().get("connect_urls") or []) == 2, "the URLs of the cluster")
        with bridged("--nats", first.url) as a, bridged("--nats", second.url) as b:
            with Subscriber(a) as ann, Subscriber(b) as bob:
                ann.subscribe("t"), bob.subscribe("t")
                wait_subscribed(first, 1), wait_subscribed(second, 1)
                first.process.signal(signal.SIGUSR2)  # nats-server --signal ldm
                expect_in("lame duck", a.wait_line("^bridge down "), "reason")
                expect_in(str(second.port), a.wait_line("^bridge up "), "the broker")
                wait_subscribed(second, 2)
                expect_one_gap([a], ["t"])
                bob.ask("all t after")
                for client in (ann, bob):
                    client.expect_next("after")
                expect(gaps(b), [], "gaps of the server that stayed")


@row(PEER, "a server that ends sends what waits")
def ends():
    with Nats() as broker, bridged("--nats", broker.url) as b, subscribers(broker, [b], ["t"]) as (bob,):
        with bridged("--nats", broker.url) as a, Subscriber(a) as ann:
            for number in range(1000):
                ann.say(f"all t {number}")
            for _ in range(1000):
                expect(ann.answer(), "queued", "publish()")
        bob.expect_next(*map(str, range(1000)))
