"""Servers with a bridge over Redis: real redis-server processes that end, stop, lose connections and messages."""

import contextlib
import os
import re
import signal
import socket
import threading
import time

from brokers import STALL, Beat, Proxy, Redis, Subscriber, bridged, get, row
from harness import SECONDS, expect, expect_in
from peers_proxies import eventually

MODES = ("raw", "durable")
ALL_MODES = ("raw", "envelope", "durable")


def flags_of(mode):
    return {"raw": (), "envelope": ("--envelope",), "durable": ("--durable", "--history", "100")}[mode]


def hub(url, mode, *flags, **options):
    return bridged("--redis", url, *flags_of(mode), *flags, **options)


@contextlib.contextmanager
def two_hubs(url, mode, *flags, **options):
    with hub(url, mode, *flags, **options) as one, hub(url, mode, *flags, **options) as two:
        yield one, two


def text_of(publication):
    """Without the position that durable hubs put before it."""
    return re.sub(r"^\d+ \d+ ", "", publication) if isinstance(publication, str) else publication


def next_texts(subscriber, count):
    return [text_of(subscriber.next()) for _ in range(count)]


def confirmed(broker, topic, subscribers=2, prefix="tern."):
    """Waits until the broker has the subscriptions of so many hubs."""
    def number():
        with socket.create_connection(("127.0.0.1", broker.port), SECONDS) as sock:
            channel = (prefix + topic).encode()
            sock.sendall(b"*3\r\n$6\r\nPUBSUB\r\n$6\r\nNUMSUB\r\n$%d\r\n%s\r\n" % (len(channel), channel))
            read = sock.makefile("rb")
            for _ in range(3):
                read.readline()
            return int(read.readline()[1:])
    eventually(lambda: number() == subscribers, f"{subscribers} hubs subscribe {topic}")


def gaps_of(server, topic):
    return [line for line in server.lines if re.match(rf"gap {re.escape(topic)} ", line)]


def metric(server, name):
    text = get(server.port, "/metrics").decode()
    return sum(float(value) for value in re.findall(rf"^\w*{name}\w*(?:{{[^}}]*}})? (\S+)$", text, re.M))


def numbers(first, last):
    return [str(number) for number in range(first, last + 1)]


def publish(subscriber, topic, first, last):
    for number in range(first, last + 1):
        expect(subscriber.ask(f"all {topic} {number}"), "queued", "answer")


def tallies(server, clients, received):
    """Waits until each client inside of the hub has so many publications; returns what they counted."""
    def there():
        counts = server.get("/tally")
        return len(counts) == clients and all(count["received"] >= received for count in counts)
    with contextlib.suppress(AssertionError):
        eventually(there, "publications")  # a loaded machine may need longer
    eventually(there, f"{received} publications")
    return server.get("/tally")


def subscribed(server, topics):
    eventually(lambda: all(count["subscribed"] == topics for count in server.get("/tally")), "subscriptions")


# ---- what works


@row("redis", "the clients of two {} hubs receive many publications in one order", each=ALL_MODES)
def one_order(mode):
    topics, count, rounds = {"raw": (1000, 20_000, 3), "envelope": (100, 5000, 1), "durable": (200, 10_000, 1)}[mode]
    with Redis() as broker, two_hubs(broker.url, mode, "--tally", str(topics)) as hubs:
        for each in hubs:
            subscribed(each, topics)
        confirmed(broker, f"t.{topics - 1}")
        for number in range(1, rounds + 1):
            threads = [threading.Thread(target=each.get, args=(f"/flood/{topics}/{count}/100",)) for each in hubs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(4 * SECONDS)
            found = [counts for each in hubs for counts in tallies(each, 2, 2 * count * number)]
        for counts in found:
            lost = {name: counts[name] for name in ("received", "missing", "repeated", "gaps")}
            wanted = {"received": 2 * count * rounds, "missing": 0, "repeated": 0, "gaps": 0}
            expect(lost, wanted, "publications")
        expect(len({counts["order"] for counts in found}), 1, "different orders")


@row("redis", "the publisher at a {} hub does not receive its own publication, others do", each=ALL_MODES)
def echo(mode):
    with Redis() as broker, two_hubs(broker.url, mode) as (one, two):
        with Subscriber(one) as me, Subscriber(one) as other, Subscriber(two) as far:
            for each in (me, other, far):
                each.subscribe("room.7")
            confirmed(broker, "room.7")
            for publisher, hearers in ((me, (other, far)), (far, (me, other))):
                expect(publisher.ask("pub room.7 mine"), "queued", "answer")
                for each in hearers:
                    expect(next_texts(each, 1), ["mine"], "publication")
            expect(me.ask("all room.7 end"), "queued", "answer")
            for each in (me, other, far):
                expect(next_texts(each, 1), ["end"], "publication")


@row("redis", "redis-cli publishes to subscribers of {} hubs", each=("raw", "envelope"))
def foreign(mode):
    with Redis() as broker, two_hubs(broker.url, mode) as hubs, contextlib.ExitStack() as stack:
        subscribers = [stack.enter_context(Subscriber(each)) for each in hubs]
        for each in subscribers:
            each.subscribe("room.7")
        confirmed(broker, "room.7")
        for payload in ('{"a":1}', "grüße", b"\xff\x00\xfe", ""):
            expect(broker.call("PUBLISH", "tern.room.7", payload), b":2", "receivers")
            for each in subscribers:
                each.expect_next(payload)
        expect(broker.call("PUBLISH", "room.7", "without the prefix"), b":0", "receivers")
        for topic in ("a*", "a?[b]", "grüße", "%2A"):
            subscribers[0].subscribe(topic)
            confirmed(broker, topic, 1)
            expect(subscribers[1].ask(f"all {topic} x"), "queued", "answer")
            expect(next_texts(subscribers[0], 1), ["x"], "publication")


@row("redis", "a hub logs in over a Unix socket, to a database, as a user with few rights")
def unix_socket():
    with Redis("--unixsocket", "sock") as broker:
        path = os.path.join(broker.directory.name, "sock")
        broker.call("ACL", "SETUSER", "app", "on", ">p@ss,word", "~tern.*", "&tern.*", "-@all", "+auth", "+select",
                    "+publish", "+subscribe", "+unsubscribe", "+ping", "+info", "+script|load", "+evalsha", "+hmget",
                    "+hset", "+hincrby", "+del", "+pexpire", "+xadd", "+xrevrange")
        with hub(f"unix://app:p%40ss%2Cword@{path}?db=3", "durable") as server, Subscriber(server) as client:
            client.subscribe("a")
            publish(client, "a", 1, 3)
            expect(next_texts(client, 3), numbers(1, 3), "publications")
        expect(broker.call("INFO", "keyspace").split(b"\r\n")[1].split(b",")[0], b"db3:keys=2", "databases with keys")


@row("redis", "a hub with wrong credentials says so without the password, serves, and tries again")
def credentials():
    with Redis("--requirepass", "right", user=":sesame") as broker:
        with hub(broker.url, "raw", up=False) as server, Subscriber(server) as client:
            server.wait_line("WRONGPASS")
            client.subscribe("a")
            broker.call("CONFIG", "SET", "requirepass", "sesame", user="default:right")
            server.wait_line("^bridge up")
            publish(client, "a", 1, 1)
            expect(next_texts(client, 1), ["1"], "publication")
            expect("sesame" in server.text(), False, "the password is printed")


@row("redis", "a hub without a broker at its start connects when there is one")
def late():
    broker = Redis()
    with hub(broker.url, "raw", up=False) as server, Subscriber(server) as client:
        server.wait_line("refused")
        client.subscribe("a")
        with broker:
            server.wait_line("^bridge up")
            confirmed(broker, "a", 1)
            publish(client, "a", 1, 1)
            expect(next_texts(client, 1), ["1"], "publication")


# ---- what breaks


@row("redis", "a broker that is killed and restarted leaves {} hubs one gap for each topic", each=MODES)
def killed(mode):
    with Redis() as broker, two_hubs(broker.url, mode) as hubs, contextlib.ExitStack() as stack:
        one, two = (stack.enter_context(Subscriber(each)) for each in hubs)
        beat = stack.enter_context(Beat(hubs[0]))
        topics = ("a", "b")
        for topic in topics:
            for each in (one, two):
                each.subscribe(topic)
            confirmed(broker, topic)
        publish(one, "a", 1, 5)
        for each in (one, two):
            expect(next_texts(each, 5), numbers(1, 5), "publications")
        broker.kill()
        for each in hubs:
            each.wait_line("^bridge down")
        flood = hubs[1].get("/flood/1/20000/1000")  # 20 MB, more than the buffer takes
        expect(flood["longest_us"] < 1e6 * STALL, True, f"publish took {flood['longest_us']} us")
        expect(flood["queued"] <= (8 << 20) // 1000, True, f"{flood} were buffered")
        expect(flood.get("bridge_down", 0) > 0, True, f"{flood} were refused")
        broker.start()
        for each in hubs:
            each.wait_line("^bridge up", timeout=2 * SECONDS)
        for topic in topics:
            confirmed(broker, topic)
        for each in hubs:
            for topic in topics:
                eventually(lambda: gaps_of(each, topic), f"a gap of {topic}")
        publish(one, "a", 6, 9)
        for each in (one, two):
            expect(next_texts(each, 4), numbers(6, 9), "publications after the restart")
        for each, server in ((one, hubs[0]), (two, hubs[1])):
            for topic in topics:
                expect(len(gaps_of(server, topic)), 1, f"gaps of {topic} of the server")
            expect(sorted(each.gaps), sorted(topics), "gaps of the client")
        expect(beat.longest < STALL, True, f"a loop stalled for {beat.longest} s")


def publish_each_while(client, topic, first, condition):
    """Publishes numbers until the condition holds. Returns the last one."""
    number = first - 1
    ended = time.monotonic() + 2 * SECONDS
    while not condition():
        if time.monotonic() > ended:
            raise AssertionError("it lasts too long")
        number += 1
        expect(client.ask(f"all {topic} {number}"), "queued", "answer")
        time.sleep(0.01)
    return number


@row("redis", "a broker that stops for 3 s loses nothing of {} hubs", each=MODES)
def paused(mode):
    with Redis() as broker, two_hubs(broker.url, mode) as hubs, contextlib.ExitStack() as stack:
        one, two = (stack.enter_context(Subscriber(each)) for each in hubs)
        beat = stack.enter_context(Beat(hubs[0]))
        for each in (one, two):
            each.subscribe("a")
        confirmed(broker, "a")
        broker.pause()
        until = time.monotonic() + 3
        last = publish_each_while(one, "a", 1, lambda: time.monotonic() > until)
        broker.resume()
        for each in (one, two):
            expect(next_texts(each, last), numbers(1, last), "publications")
        for each in hubs:
            expect([line for line in each.lines if line.startswith(("gap", "bridge down"))], [], "events")
        expect(beat.longest < STALL, True, f"a loop stalled for {beat.longest} s")


@row("redis", "a broker that stops for 30 s leaves one gap, and none with a history")
def stopped():
    with Redis() as broker, hub(broker.url, "raw", "--prefix", "raw.") as raw, \
            hub(broker.url, "durable") as durable, contextlib.ExitStack() as stack:
        servers = (raw, durable)
        clients = [stack.enter_context(Subscriber(each)) for each in servers]
        beats = [stack.enter_context(Beat(each)) for each in servers]
        for each in clients:
            each.subscribe("a")
        confirmed(broker, "a", 1)
        confirmed(broker, "a", 1, "raw.")
        for each in clients:
            publish(each, "a", 0, 0)
            expect(next_texts(each, 1), ["0"], "publication")
        broker.pause()
        began = time.monotonic()
        for each in servers:
            each.wait_line("^bridge down")
        time.sleep(max(0, began + 30 - time.monotonic()))
        broker.resume()
        for each, client in zip(servers, clients):
            each.wait_line("^bridge up")
            eventually(lambda: client.ask("all a 1") == "queued", "publications are accepted")
            expect(next_texts(client, 1), ["1"], "publication")
        expect((len(gaps_of(raw, "a")), clients[0].gaps), (1, ["a"]), "gaps of the raw hub")
        expect((len(gaps_of(durable, "a")), clients[1].gaps), (0, []), "gaps of the durable hub")
        expect(max(beat.longest for beat in beats) < STALL, True, "a loop stalled")


def behind_proxies(stack, broker):
    """A raw and a durable hub, each behind a proxy of its own, with a client that subscribes "a"."""
    found = []
    for mode in ("raw", "durable"):
        proxy = stack.enter_context(Proxy(broker.port))
        prefix = mode + "."
        server = stack.enter_context(hub(f"redis://127.0.0.1:{proxy.port}", mode, "--prefix", prefix))
        client = stack.enter_context(Subscriber(server))
        client.subscribe("a")
        confirmed(broker, "a", 1, prefix)
        publish(client, "a", 1, 1)
        expect(next_texts(client, 1), ["1"], "publication")
        found.append((mode, proxy, server, client))
    return found


def expect_gaps(mode, server, client, topic="a"):
    """A history heals what a connection lost."""
    wanted = 0 if mode == "durable" else 1
    eventually(lambda: len(gaps_of(server, topic)) >= wanted, "gaps")
    expect((len(gaps_of(server, topic)), len(client.gaps)), (wanted, wanted), f"gaps of the {mode} hub")


@row("redis", "a half-open link is noticed by pings")
def half_open():
    with Redis() as broker, contextlib.ExitStack() as stack:
        hubs = behind_proxies(stack, broker)
        beats = [stack.enter_context(Beat(server)) for _, _, server, _ in hubs]
        for _, proxy, _, _ in hubs:
            proxy.stall()
        for mode, proxy, server, client in hubs:
            expect_in("does not answer", server.wait_line("^bridge down"), "the reason")
            proxy.cut()
            server.wait_line("^bridge up")
            publish(client, "a", 2, 2)
            expect(next_texts(client, 1), ["2"], "publication")
            expect_gaps(mode, server, client)
        expect(max(beat.longest for beat in beats) < STALL, True, "a loop stalled")


@row("redis", "links that are cut and reset are made again, and one byte at a time is enough")
def cut():
    with Redis() as broker, contextlib.ExitStack() as stack:
        for mode, proxy, server, client in behind_proxies(stack, broker):
            for number, way in ((2, proxy.cut), (3, proxy.reset)):
                way()
                server.wait_line("^bridge down")
                server.wait_line("^bridge up")
                client.gaps.clear()
                publish(client, "a", number, number)
                expect(next_texts(client, 1), [str(number)], "publication")
            proxy.chunk = 1
            proxy.cut()
            server.wait_line("^bridge up")
            publish(client, "a", 4, 6)
            expect(next_texts(client, 3), numbers(4, 6), "publications")
            expect(len(gaps_of(server, "a")), 0 if mode == "durable" else 3, f"gaps of the {mode} hub")


@row("redis", "a connection that the broker kills costs {} hubs no local state", each=MODES)
def client_kill(mode):
    with Redis() as broker, hub(broker.url, mode) as server, Subscriber(server) as client:
        client.subscribe("a")
        confirmed(broker, "a", 1)
        publish(client, "a", 1, 3)
        expect(next_texts(client, 3), numbers(1, 3), "publications")
        expect(broker.call("CLIENT", "KILL", "TYPE", "pubsub"), b":1", "connections")
        server.wait_line("^bridge down")
        server.wait_line("^bridge up")
        confirmed(broker, "a", 1)
        publish(client, "a", 4, 6)
        expect(next_texts(client, 3), numbers(4, 6), "publications")
        expect_gaps(mode, server, client)


@row("redis", "a {} hub that reads too slowly is cut by the broker, and recovers", each=MODES)
def slow(mode):
    with Redis("--client-output-buffer-limit", "pubsub 16mb 0 0") as broker:
        with two_hubs(broker.url, mode, "--tally", "1", "--tally-clients", "1") as (one, two):
            for each in (one, two):
                subscribed(each, 1)
            confirmed(broker, "t.0")
            one.signal(signal.SIGSTOP)
            # More than the sockets and the broker take, in parts, so that the other hub is fast enough.
            for part in range(1, 13):
                expect(two.get("/flood/1/50/100000")["queued"], 50, "accepted publications")
                tallies(two, 1, 50 * part)
            one.signal(signal.SIGCONT)
            one.wait_line("^bridge down")
            one.wait_line("^bridge up")
            if mode == "raw":
                eventually(lambda: one.get("/tally")[0]["gaps"] == 1, "a gap")
            else:  # what the stream gives at once is less, so the rest is a gap
                eventually(lambda: one.get("/tally")[0]["received"] >= 1, "publications")
            expect(one.get("/tally")[0]["repeated"], 0, "repeated publications")


class Split(Proxy):
    """Sends every second connection to another port, as a load balancer may."""

    def __init__(self, first, second):
        self.ports = (first, second)
        super().__init__(first)

    @property
    def target(self):
        return ("127.0.0.1", self.ports[(self.accepted - 1) % 2])

    @target.setter
    def target(self, _):
        pass


@row("redis", "a hub leaves a server that delivers nothing, because a probe does not come back")
def silent():
    with Redis() as broker, Redis() as other, Split(broker.port, other.port) as proxy:
        with hub(f"redis://127.0.0.1:{proxy.port},{broker.url}", "raw") as server, Subscriber(server) as client:
            client.subscribe("a")
            confirmed(other, "a", 1)
            expect_in("probe", server.wait_line("^bridge down"), "the reason")
            server.wait_line("^bridge up")
            confirmed(broker, "a", 1)
            publish(client, "a", 1, 1)
            expect(next_texts(client, 1), ["1"], "publication")
            expect_gaps("raw", server, client)


@row("redis", "hubs fail over to the next server, and pass over a replica")
def fail_over():
    with Redis() as first, Redis() as second:
        second.call("REPLICAOF", "127.0.0.1", first.port)
        url = f"{second.url},{first.url}"
        with two_hubs(url, "raw") as hubs, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Subscriber(each)) for each in hubs]
            for each in clients:
                each.subscribe("a")
            confirmed(first, "a")
            for each in hubs:
                expect_in("replica", each.text(), "the output")
            publish(clients[0], "a", 1, 1)
            for each in clients:
                expect(next_texts(each, 1), ["1"], "publication")
            first.kill()
            for each in hubs:
                each.wait_line("^bridge down")
            expect(second.call("REPLICAOF", "NO", "ONE"), b"+OK", "answer")
            for each in hubs:
                each.wait_line("^bridge up")
            confirmed(second, "a")
            publish(clients[1], "a", 2, 2)
            for server, client in zip(hubs, clients):
                expect(next_texts(client, 1), ["2"], "publication")
                expect_gaps("raw", server, client)


@row("redis", "hubs leave a primary that becomes a replica, although it takes publications")
def demoted():
    with Redis() as old, Redis() as new, hub(f"{old.url},{new.url}", "raw") as server, Subscriber(server) as client:
        client.subscribe("a")
        old.call("REPLICAOF", "127.0.0.1", new.port)
        server.wait_line("^bridge down .*replica")
        server.wait_line(f"^bridge up .*{new.port}")
        confirmed(new, "a", 1)
        publish(client, "a", 1, 3)
        expect(next_texts(client, 3), numbers(1, 3), "publications")


@row("redis", "a channel that the user may not subscribe concerns only its topic")
def channel_refused():
    with Redis() as broker:
        broker.call("ACL", "SETUSER", "app", "on", ">pw", "+@all", "~*", "resetchannels", "&tern.a", "&tern.b",
                    "&tern.\x1f*")
        with hub(broker.url.replace("//", "//app:pw@"), "raw") as server, Subscriber(server) as client:
            client.subscribe("secret")
            server.wait_line('^log: .*subscription of the topic "secret": NOPERM')
            for topic in ("a", "b"):
                client.subscribe(topic)
                confirmed(broker, topic, 1)
                publish(client, topic, 1, 3)
                expect(next_texts(client, 3), numbers(1, 3), "publications")
            publish(client, "secret", 1, 1)
            server.wait_line("^log: .*refuses publications .*NOPERM")
            expect(metric(server, "tern_bridge_connects_total"), 1, "connections")


# ---- interest


@row("redis", "clients that come and go make one subscription, which ends after the linger")
def churn():
    with Redis() as broker, hub(broker.url, "raw", "--linger", "1") as server, Subscriber(server) as client:
        def calls(command):
            stats = broker.call("INFO", "commandstats")
            found = re.search(rb"cmdstat_%s:calls=(\d+)" % command, stats)
            return int(found.group(1)) if found else 0

        before = calls(b"subscribe")
        for _ in range(2000):
            client.say("sub a")
            client.say("unsub a")
        for _ in range(2000):
            expect_in("subscribed", client.answer(), "answer")
            expect(client.answer(), "unsubscribed", "answer")
        changes = calls(b"subscribe") - before
        confirmed(broker, "a", 0)
        expect(changes <= 3, True, f"{changes} subscriptions")
        expect(calls(b"unsubscribe") <= changes, True, "ends of subscriptions")
