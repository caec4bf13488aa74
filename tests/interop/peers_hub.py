"""Chromium drives the page of hub, and python3-websockets speaks its protocol."""

import asyncio
import contextlib
import json
import re
import socket

import websockets

from harness import SECONDS, check, expect, expect_in, program
from tcp_proxy import Proxy
from webdriver import Browser


@contextlib.contextmanager
def hub(*flags):
    """The hub on a port that the system chooses, unless the flags name one."""
    with program("hub", *(() if "--port" in flags else ("--port", "0")), *flags) as server:
        line = server.wait_line(r"^listening on ")
        server.port = int(re.fullmatch(r"listening on ws://127\.0\.0\.1:(\d+)/ws", line).group(1))
        yield server


LIVE = "document.getElementById('state').dataset.live === 'yes'"
OFFSETS = "return [...document.querySelectorAll('#log li[data-offset]')].map(e => Number(e.dataset.offset))"
NOTES = "return [...document.querySelectorAll('#log li.note')].map(e => e.textContent)"


def shows(text):
    return "[...document.querySelectorAll('#log li span')].at(-1)?.textContent === " + json.dumps(text)


def says(browser, text):
    browser.type("#text", text)
    browser.click("#send")


@check("Chromium", "the hub: two pages chat, one loses its server and recovers without a gap")
def two_pages():
    with hub("--threads", "2") as server, Proxy(server.port) as proxy, Browser() as ann, Browser() as bob:
        ann.open(f"http://127.0.0.1:{server.port}/?room=tea&name=Ann")
        bob.open(f"http://127.0.0.1:{proxy.port}/?room=tea&name=Bob")
        for browser in (ann, bob):
            browser.wait_for(LIVE + " && document.getElementById('present').textContent === '2'")
        for sender, text in ((ann, "Hello, Bob"), (bob, "Grüße an die Küste"), (ann, "<b>&amp;</b>")):
            says(sender, text)
            for browser in (ann, bob):
                browser.wait_for(shows(text))

        proxy.cut(refuse=True)
        bob.wait_for(f"!({LIVE})")
        ann.wait_for("document.getElementById('present').textContent === '1'")
        for number in (4, 5, 6):
            says(ann, f"number {number}")
            ann.wait_for(shows(f"number {number}"))
        proxy.open()
        bob.wait_for(LIVE + " && " + shows("number 6"))
        expect(bob.run(OFFSETS), [1, 2, 3, 4, 5, 6], "offsets at the page that was cut off")
        expect_in("3 missed messages follow, none is lost", str(bob.run(NOTES)), "note")
        bob.wait_for("document.getElementById('present').textContent === '2'")
        says(bob, "back")
        ann.wait_for(shows("back"))
        bob.wait_for(shows("back"))

        # A page that is loaded again has the history.
        bob.open(f"http://127.0.0.1:{proxy.port}/?room=tea")
        bob.wait_for(shows("back"))
        expect(bob.run(OFFSETS), [1, 2, 3, 4, 5, 6, 7], "offsets after a reload")
        expect(ann.run(OFFSETS), [1, 2, 3, 4, 5, 6, 7], "offsets at the page that was never cut off")
        expect(ann.run(NOTES), [], "notes of the page that was never cut off")
        expect(ann.console(), [], "console")


@check("Chromium", "the hub: after a restart the page tells that messages are lost")
def restarted():
    with Browser() as browser:
        with hub() as server:
            port = str(server.port)
            browser.open(f"http://127.0.0.1:{port}/?room=tea&name=Ann")
            browser.wait_for(LIVE)
            says(browser, "before")
            browser.wait_for(shows("before"))
        browser.wait_for(f"!({LIVE})")
        with hub("--port", port):
            browser.wait_for(LIVE)
            browser.wait_for("document.querySelector('#log li.note.bad')")
            says(browser, "after")
            browser.wait_for(shows("after"))
            expect(browser.run(OFFSETS), [1, 1], "offsets")


@check("Chromium", "the hub: rooms are apart, the ticker runs, the layout fits a phone")
def rooms():
    with hub() as server, Browser() as browser:
        browser.open(f"http://127.0.0.1:{server.port}/?room=tea&name=Ann")
        browser.wait_for(LIVE + " && Number(document.getElementById('prices').textContent) >= 5")
        says(browser, "in tea")
        browser.wait_for(shows("in tea"))
        browser.type("#room", "coffee")
        browser.click("#move button")
        browser.wait_for("document.getElementById('room-title').textContent === 'coffee'")
        says(browser, "in coffee")
        browser.wait_for(shows("in coffee"))
        expect(browser.run(OFFSETS), [1], "offsets in the second room")
        expect(browser.run("return document.getElementById('skipped').textContent"), "0", "skipped")
        for width, height in ((1280, 800), (390, 844)):
            browser.resize(width, height)
            seen = browser.run("return document.documentElement.scrollWidth")
            expect(seen <= width, True, f"scrolls sideways at {width}: {seen}")
        expect(browser.console(), [], "console")


@check("websockets, client", "the hub: a subscriber that does not read gets a gap, and others do not wait")
def slow():
    publications = 200  # of 60 000 bytes: more than the buffers of the system and of the server

    async def run(port):
        url = f"ws://127.0.0.1:{port}/ws"
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.connect(("127.0.0.1", port))
        lazy = await websockets.connect(
            url, sock=small, max_size=None, max_queue=1, ping_interval=None
        )
        eager = await websockets.connect(url, max_size=None, ping_interval=None)
        for client in (lazy, eager):
            await client.send(json.dumps({"op": "subscribe", "topic": "much"}))
            expect(json.loads(await client.recv())["op"], "subscribed", "answer")
        text = json.dumps({"op": "publish", "topic": "much", "data": "x" * 60_000})
        for number in range(1, publications + 1):
            await eager.send(text)
            expect(json.loads(await eager.recv())["offset"], number, "offset")
        missed, offsets = 0, []
        while missed + len(offsets) < publications:
            message = json.loads(await lazy.recv())
            if message["op"] == "gap":
                missed += message["missed"]
            else:
                offsets.append(message["offset"])
        expect(missed > 0, True, "some were missed")
        expect(missed + len(offsets), publications, "missed and received")
        expect(offsets, sorted(set(offsets)), "offsets")
        await lazy.close()
        await eager.close()

    with hub("--history", "0") as server:
        asyncio.run(asyncio.wait_for(run(server.port), SECONDS))
