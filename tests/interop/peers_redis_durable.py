"""Servers with a durable bridge over Redis: histories in streams, and clients that recover by their position."""

import contextlib
import random
import re
import threading

from brokers import Proxy, Redis, Subscriber, row
from harness import expect, expect_in, program
from peers_proxies import eventually
from peers_redis import confirmed, flags_of, hub, metric, next_texts, numbers, publish, subscribed, tallies


class Losing:
    """Loses a part of the notifications: for Proxy.change. Each connection is copied by a thread of its own."""

    def __init__(self, part):
        self.part = part
        self.random = random.Random(1)
        self.rests = {}
        self.lost = 0
        self.lock = threading.Lock()

    def __call__(self, data):
        with self.lock:
            thread = threading.get_ident()
            data = self.rests.pop(thread, b"") + data
            kept = b""
            while data:
                end = self.end_of_push(data)
                if end is None:
                    return kept + data  # not a notification
                if end == 0:
                    self.rests[thread] = data
                    return kept
                push, data = data[:end], data[end:]
                if self.random.random() < self.part:
                    self.lost += 1
                else:
                    kept += push
            return kept

    @staticmethod
    def end_of_push(data):
        """The size of the push in front; 0: it is not complete; None: it is something else."""
        start = b"*3\r\n$7\r\nmessage\r\n$"
        if data[: len(start)] != start[: len(data)]:
            return None
        at = len(start) - 1
        for _ in range(2):  # channel and payload
            line = data.find(b"\r\n", at)
            if line < 0:
                return 0
            at = line + 2 + int(data[at + 1: line]) + 2
        return at if at <= len(data) else 0


@row("redis", "a durable hub misses nothing when a tenth of the notifications is lost")
def lost():
    topics, count = 10, 20_000
    with Redis() as broker, Proxy(broker.port) as proxy:
        with hub(f"redis://127.0.0.1:{proxy.port}", "durable", "--tally", str(topics)) as server, \
                hub(broker.url, "durable") as other:
            subscribed(server, topics)
            confirmed(broker, f"t.{topics - 1}", 1)
            other.get(f"/flood/{topics}/{topics}/100")  # a hub counts from the first position that it hears
            tallies(server, 2, topics)
            proxy.change = Losing(0.1)
            other.get(f"/flood/{topics}/{count}/100")

            def all_came():  # a further publication shows that the last notification was lost
                other.get(f"/flood/{topics}/{topics}/100")
                return min(each["received"] for each in server.get("/tally")) > count + topics

            eventually(all_came, "the publications")
            for each in server.get("/tally"):
                found = {name: each[name] for name in ("missing", "repeated", "gaps")}
                expect(found, {"missing": 0, "repeated": 0, "gaps": 0}, "publications")
            expect(proxy.change.lost > count // 20, True, f"{proxy.change.lost} notifications were lost")
            expect(metric(server, "healed") > 0, True, "holes that were healed")


@row("redis", "a client of a hub that is killed recovers on another hub by its position")
def recovery():
    with Redis() as broker, contextlib.ExitStack() as stack:
        two = stack.enter_context(hub(broker.url, "durable", "--positions"))
        publisher = stack.enter_context(Subscriber(two))
        with program("bridged", "--redis", broker.url, *flags_of("durable"), "--positions") as one:
            one.ws = "ws://" + one.wait_line("^listening on ").split(" ")[-1] + "/ws"
            client = Subscriber(one)
            client.subscribe("a")
            confirmed(broker, "a", 1)
            publish(publisher, "a", 1, 3)
            epoch, offset, _ = [client.next() for _ in range(3)][-1].split(" ")
            expect(offset, "3", "offset")
            one.kill()
        publish(publisher, "a", 4, 9)
        with Subscriber(two) as again:
            again.say(f"sub a {epoch} {offset}")
            expect_in("subscribed", again.answer(), "answer")
            expect(next_texts(again, 6), numbers(4, 9), "publications that were missed")
            publish(publisher, "a", 10, 12)
            for number in range(10, 13):
                expect(again.next(), f"{epoch} {number} {number}", "publication")
            expect(again.gaps, [], "gaps")
        with Subscriber(two) as newest:
            newest.say("sub a last 2")
            expect_in("subscribed", newest.answer(), "answer")
            expect(next_texts(newest, 2), ["11", "12"], "newest publications")


@row("redis", "many clients that come back ask the broker once for each topic")
def single_flight():
    with Redis() as broker, hub(broker.url, "durable") as one, hub(broker.url, "durable") as two:
        with Subscriber(one) as publisher:
            publish(publisher, "a", 1, 20)
        epoch = broker.call("HGET", "tern.position:a", "epoch").decode()
        broker.call("CONFIG", "RESETSTAT")
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Subscriber(two)) for _ in range(50)]
            for each in clients:
                each.say(f"sub a {epoch} 5")
            for each in clients:
                expect_in("subscribed", each.answer(), "answer")
            for each in clients:
                expect(next_texts(each, 15), numbers(6, 20), "publications")
        expect(reads(broker) <= 2, True, f"the stream was read {reads(broker)} times")


def reads(broker):
    found = re.search(rb"cmdstat_xrevrange:calls=(\d+)", broker.call("INFO", "commandstats"))
    return int(found.group(1)) if found else 0


@row("redis", "a position of another life of the topic is not recovered")
def another_epoch():
    with Redis() as broker, hub(broker.url, "durable", "--positions") as server, Subscriber(server) as client:
        client.subscribe("a")
        publish(client, "a", 1, 3)
        epoch = client.next().split(" ")[0]
        expect(next_texts(client, 2), ["2", "3"], "publications")
        expect(broker.call("FLUSHALL"), b"+OK", "answer")
        publish(client, "a", 4, 4)
        again, offset, text = client.next().split(" ")
        expect((again != epoch, offset, text), (True, "1", "4"), "position after the loss")
        eventually(lambda: client.gaps == ["a"], "a gap")


@row("redis", "a client with a position that does not exist yet leaves the history alone")
def position_ahead():
    with Redis() as broker, hub(broker.url, "durable", "--positions") as one, hub(broker.url, "durable") as two:
        with Subscriber(one) as client, Subscriber(two) as ahead:
            client.subscribe("a")
            publish(client, "a", 1, 3)
            epoch = [client.next() for _ in range(3)][-1].split(" ")[0]
            broker.call("CONFIG", "RESETSTAT")
            ahead.say(f"sub a {epoch} 1000000")
            expect_in("subscribed", ahead.answer(), "answer")
            eventually(lambda: reads(broker) > 0, "the stream is read")
            publish(client, "a", 4, 4)
            expect(client.next(), f"{epoch} 4 4", "publication")
            expect(client.gaps, [], "gaps")
            expect(broker.call("HGET", "tern.position:a", "epoch").decode(), epoch, "epoch")


@row("redis", "a broker that loses its scripts loses no publication of a durable hub")
def scripts_lost():
    with Redis() as broker, hub(broker.url, "durable") as server, Subscriber(server) as client:
        client.subscribe("a")
        for first in (1, 11, 21):
            publish(client, "a", first, first + 9)
            broker.call("SCRIPT", "FLUSH")
        publish(client, "a", 31, 40)
        expect(next_texts(client, 40), numbers(1, 40), "publications")
        expect(client.gaps, [], "gaps")
        expect(metric(server, "tern_bridge_connects_total"), 1, "connections")
