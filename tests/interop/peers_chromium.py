"""Headless Chromium drives the page of echo_server."""

import contextlib
import re
import signal
import socket
import threading

from harness import check, echo_server, expect, expect_in, program
from webdriver import Browser

NUMBERS = (
    "return Object.fromEntries([...document.querySelectorAll('[data-value]')]"
    ".map(e => [e.id, Number(e.dataset.value)]))"
)


def at_least(element, number):
    return f"Number(document.getElementById('{element}').dataset.value) >= {number}"


@check("Chromium", "the page: polls, pushes, echo, close with 1000, no console errors")
def page():
    with echo_server() as server, Browser() as browser:
        browser.open(f"http://localhost:{server.port}/")
        browser.wait_for(at_least("push-messages", 15) + " && " + at_least("poll-messages", 2))
        numbers = browser.run(NUMBERS)
        expect(numbers["push-requests"], 1, "requests of the pushes")
        expect(numbers["poll-requests"] >= 2, True, "polls were counted")
        expect(20 < numbers["push-each"] < 100, True, f"bytes per push: {numbers['push-each']}")
        expect(numbers["poll-each"] > 200, True, f"bytes per poll: {numbers['poll-each']}")
        expect(
            numbers["push-age"] < numbers["poll-age"], True, f"what is pushed is younger: {numbers}"
        )

        for text in ("Hello, tern", "Grüße an die Küste", "<b>&amp;</b>"):
            browser.type("#echo-text", text)
            browser.click("#echo-send")
            browser.wait_for(
                "document.querySelector('#echo-log li span')?.textContent === " + repr(text)
            )
            line = browser.run("return document.querySelector('#echo-log li').innerText")
            expect_in(" ms", line, "round trip")

        browser.click("#push-toggle")
        browser.wait_for("document.getElementById('push-state').dataset.code")
        closed = browser.run("return {...document.getElementById('push-state').dataset}")
        expect(closed["code"], "1000", "close code")
        expect(closed["clean"], "true", "wasClean")
        reported = browser.run("return document.getElementById('push-state').textContent")
        expect_in("closed 1000", reported, "state")
        expect(browser.console(), [], "console")


class CountingProxy:
    """A proxy between browser and server that keeps the bytes of both sides of each connection."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.connections = []  # [request bytes, response bytes]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(self.target)
            said = [bytearray(), bytearray()]
            self.connections.append(said)
            for source, target, kept in ((client, server, said[0]), (server, client, said[1])):
                words = (source, target, kept)
                threading.Thread(target=self._copy, args=words, daemon=True).start()

    @staticmethod
    def _copy(source, target, kept):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                kept += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.close()


@check("Chromium", "the page counts the bytes that went over the wire")
def account():
    with echo_server() as server, Browser() as browser:
        proxy = CountingProxy(server.port)
        browser.open(f"http://127.0.0.1:{proxy.port}/")
        browser.wait_for(at_least("push-messages", 20) + " && " + at_least("poll-messages", 3))
        numbers = browser.run(NUMBERS)
        proxy.close()
        requests, response = b"", b""
        for said in proxy.connections:
            # One connection serves many requests. The page's own head and body do not count.
            for head in bytes(said[0]).split(b"\r\n\r\n"):
                if head.startswith(b"GET /time "):
                    requests = head + b"\r\n\r\n"
            start = bytes(said[1]).rfind(b'\r\n\r\n{"time_us":')
            if start >= 0:
                head_start = bytes(said[1]).rfind(b"HTTP/1.1 200", 0, start)
                body_end = bytes(said[1]).index(b"}", start) + 1
                response = bytes(said[1])[head_start:body_end]
        real = len(requests) + len(response)
        reported = numbers["poll-each"]
        expect(0.95 * real < reported < 1.05 * real, True, f"bytes per poll: {reported}, in truth {real}")

        pushed = next(said for said in proxy.connections if said[0].startswith(b"GET /push "))
        frames = bytes(pushed[1]).partition(b"\r\n\r\n")[2]
        each = len(frames) / frames.count(b'{"number":')
        expect(abs(numbers["push-each"] - each) < 1, True, f"bytes per push: {numbers}, {each}")


@check("Chromium", "a page of another site may not connect, unless --any-origin")
def origins():
    script = """
      const [url, done] = arguments, socket = new WebSocket(url);
      socket.onopen = () => done('open');
      socket.onerror = () => done('error');"""
    with echo_server() as page_server, Browser() as browser:
        browser.open(page_server.http + "/")
        for flags, wanted in (((), "error"), (("--any-origin",), "open")):
            with echo_server(*flags) as server:
                expect(browser.run_async(script, server.ws + "/echo"), wanted, f"flags {flags}")


@check("Chromium", "SIGTERM is 1001 for both sockets of the page")
def stopped():
    with Browser() as browser:
        with echo_server() as server:
            browser.open(server.http + "/")
            browser.wait_for(
                at_least("push-messages", 1)
                + " && document.getElementById('echo-state').dataset.live === 'yes'"
            )
            server.signal(signal.SIGTERM)
            for state in ("push-state", "echo-state"):
                browser.wait_for(f"document.getElementById('{state}').dataset.code")
                reported = browser.run(f"return {{...document.getElementById('{state}').dataset}}")
                expect(reported["code"], "1001", f"code of {state}")
                expect(reported["clean"], "true", f"wasClean of {state}")


# The positions in CSS pixels of the first screen, and the size of each figure.
GEOMETRY = """
  const box = e => { const r = e.getBoundingClientRect();
                     return {left: r.left, top: r.top, right: r.right, bottom: r.bottom}; };
  const figures = [...document.querySelectorAll('dd, .clock, .bars b, select, .state')];
  return {
    width: innerWidth, height: innerHeight, scrolled: scrollY,
    page: document.documentElement.scrollWidth,
    cards: [...document.querySelectorAll('.pair .card')].map(box),
    figures: figures.map(e => ({
      id: e.id, box: box(e), size: parseFloat(getComputedStyle(e).fontSize),
      card: box(e.closest('.card')), cut: e.scrollWidth > e.clientWidth + 1})),
  };"""

POINT = ("poll-each", "poll-age", "push-each", "push-age")


@check("Chromium", "the page: bytes per update and mean age are largest, on the first screen")
def geometry():
    with echo_server() as server, Browser() as browser:
        for width, height in ((1280, 800), (390, 844)):
            browser.resize(width, height)
            browser.open(server.http + "/")
            # A mean age has at most four digits, so this is its largest width.
            browser.run("document.getElementById('poll-every').value = '3000'")
            browser.run("document.getElementById('poll-every').dispatchEvent(new Event('change'))")
            browser.wait_for(at_least("push-messages", 20) + " && " + at_least("poll-age", 1000))
            # A slow network, for as long as the next 25 updates take.
            browser.run("for (const side of [poll, push]) side.delays = Array(51).fill(8888)")
            browser.wait_for(at_least("push-delay", 8000))
            seen = browser.run(GEOMETRY)
            expect([seen["width"], seen["height"], seen["scrolled"]], [width, height, 0])
            expect(seen["page"] <= width, True, f"scrolls sideways at {width}: {seen['page']}")

            polled, pushed = seen["cards"]
            expect(polled["top"], pushed["top"], f"side by side at {width}")
            expect(polled["right"] < pushed["left"], True, f"side by side at {width}: {polled}")

            figures = {figure["id"]: figure for figure in seen["figures"]}
            for name in POINT:
                box = figures[name]["box"]
                inside = box["top"] >= 0 and box["bottom"] <= height and box["right"] <= width
                expect(inside, True, f"{name} is on the first screen of {width}: {box}")
            least = min(figures[name]["size"] for name in POINT)
            for name, figure in figures.items():
                if name not in POINT:
                    expect(1.5 * figure["size"] < least, True, f"{name} is smaller: {figure}")
                room = figure["box"]["right"] <= figure["card"]["right"] and not figure["cut"]
                expect(room, True, f"{name} has room at {width}: {figure}")


STATES = """
  window.reported = [];
  new MutationObserver(() => reported.push(document.getElementById('push-state').textContent))
      .observe(document.getElementById('push-state'), {childList: true});"""


@check("Chromium", "the page: after a restart of the server it reconnects and keeps its numbers")
def restarted():
    live = " && ".join(
        f"document.getElementById('{name}-state').dataset.live === 'yes'"
        for name in ("poll", "push", "echo")
    )
    with Browser() as browser:
        with echo_server() as server:
            port = str(server.port)
            browser.open(server.http + "/")
            browser.wait_for(live + " && " + at_least("push-messages", 15))
            browser.run(STATES)
            before = browser.run(NUMBERS)
        # The server is gone. The page shows that, and the time of its next try.
        browser.wait_for("reported.some(text => /^closed 1001.* again in [1-9] s$/.test(text))")
        browser.wait_for("reported.some(text => /^connecting, try 2$/.test(text))")
        browser.type("#echo-text", "sent while it was away")
        browser.click("#echo-send")
        with program("echo_server", "--port", port) as server:
            server.wait_line("^listening on ")
            for name, more in (("push", 10), ("poll", 1)):
                shown = int(before[f"{name}-messages"]) + more
                browser.wait_for(live + " && " + at_least(f"{name}-messages", shown))
            after = browser.run(NUMBERS)
            for name in ("push-messages", "push-bytes", "poll-messages", "poll-bytes"):
                expect(after[name] > before[name], True, f"{name}: {before}, then {after}")
            expect(after["push-requests"], 2, "connections")
            expect(20 < after["push-each"] < 100, True, f"bytes per push: {after['push-each']}")
            browser.wait_for(
                "document.querySelector('#echo-log li span')?.textContent"
                " === 'sent while it was away'"
            )
            # A connection that the user closed stays closed.
            browser.run("reported.length = 0")
            browser.click("#push-toggle")
            browser.wait_for("reported.some(text => /^closed 1000/.test(text))")
            browser.wait_for(at_least("poll-messages", after["poll-messages"] + 2))
            others = browser.run("return reported.filter(text => !/^closed 1000|^closing$/.test(text))")
            expect(others, [], "states")
            server.signal(signal.SIGTERM)
            server.expect_exit(0)


@check("Chromium", "the page: pauses get longer if the server closes at once")
def closed_at_once():
    tried = "reported.filter(text => /^connecting/.test(text))"
    with echo_server("--max-message", "5") as server, Browser() as browser:
        browser.open(server.http + "/")
        browser.wait_for("document.getElementById('echo-state').dataset.live === 'yes'")
        browser.run(STATES.replace("push-state", "echo-state"))
        # The text is too long for the server, and the page sends it again on each connection.
        browser.type("#echo-text", "sixsix")
        browser.click("#echo-send")
        browser.wait_for(f"/try 4$/.test({tried}.at(-1)) || {tried}.length > 10")
        all_reported = browser.run("return reported")
        # After a connection that lived for two seconds the page tries at once, and counts from 1.
        tries = [text for text in all_reported if text.startswith("connecting,")]
        expect(tries, [f"connecting, try {number}" for number in (2, 3, 4)], "tries")
        waits = [re.fullmatch(r"closed 1009.* again in (\d+) s", text) for text in all_reported]
        waits = [int(wait[1]) for wait in waits if wait]
        expect(max(waits) >= 2, True, f"the waits grow, in seconds: {waits}")


# Counts the requests of the page that wait for an answer, and their maximum at a time.
REQUESTS = """
  window.waiting_now = window.waiting_most = 0;
  const plain = window.fetch;
  window.fetch = async (...words) => {
    waiting_most = Math.max(waiting_most, ++waiting_now);
    try { return await plain(...words); } finally { waiting_now--; }
  };"""

CHOOSE = """
  for (const pace of arguments) {
    document.getElementById('poll-every').value = pace;
    document.getElementById('poll-every').dispatchEvent(new Event('change'));
  }"""


@check("Chromium", "the page: a change of the pace leaves one poll at a time, and a stop leaves none")
def another_pace():
    with echo_server() as server, Browser() as browser:
        browser.open(server.http + "/")
        browser.run(CHOOSE, "0")
        browser.wait_for("document.getElementById('poll-state').textContent === 'stopped'")
        browser.wait_for(at_least("poll-messages", 1))  # no poll is under way
        browser.run(REQUESTS)
        browser.run(CHOOSE, "250", "3000", "100", "250", "100")
        first = browser.run(NUMBERS)["poll-messages"]
        browser.wait_for(at_least("poll-messages", first + 10))
        expect(browser.run("return waiting_most"), 1, "polls at a time")

        # Stops while an answer is under way.
        browser.run(CHOOSE, "0", "100", "0")
        browser.wait_for("waiting_now === 0")
        requests = []
        for _ in range(2):
            pushed = browser.run(NUMBERS)["push-messages"]
            browser.wait_for(at_least("push-messages", pushed + 5))
            requests.append(browser.run(NUMBERS)["poll-requests"])
        expect(requests[1], requests[0], "requests")
        state = browser.run("return document.getElementById('poll-state').textContent")
        expect(state, "stopped", "state")


@check("Chromium", "the page: shows that it closes until the server has answered the Close")
def closing():
    state = "document.getElementById('push-state').textContent"
    with echo_server() as server, Browser() as browser:
        browser.open(server.http + "/")
        browser.wait_for(at_least("push-messages", 1))
        server.signal(signal.SIGSTOP)
        try:
            browser.click("#push-toggle")
            expect(browser.run(f"return {state}"), "closing", "state")
        finally:
            server.signal(signal.SIGCONT)
        browser.wait_for(f"/^closed 1000/.test({state})")
