"""curl checks HTTP: every refusal with its status, fields and body, and the page."""

import email.utils
import shutil
import socket
import subprocess
import time

from harness import SECONDS, check, echo_server, expect, expect_in

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Answer:
    def __init__(self, text):
        head, _, self.body = text.partition("\r\n\r\n")
        status, *fields = head.split("\r\n")
        self.version, self.status = status.split(" ", 2)[:2]
        self.status = int(self.status)
        self.fields = {}
        for field in fields:
            name, _, value = field.partition(":")
            self.fields[name.lower()] = value.strip()


def curl(*arguments):
    done = subprocess.run(
        [shutil.which("curl"), "--silent", "--show-error", "--globoff", *arguments],
        capture_output=True,
        timeout=SECONDS,
    )
    if done.returncode != 0:
        raise AssertionError(f"curl: {done.stderr.decode()}")
    return done.stdout.decode()


def upgrade(**changes):
    """Flags for an upgrade request; None leaves a field out. '_' stands for '-'."""
    fields = {**UPGRADE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    words = []
    for name, value in fields.items():
        words += ["-H", f"{name}: {value}" if value is not None else f"{name}:"]
    return words


def expect_refusal(answer, status, **fields):
    expect(answer.status, status, "status")
    expect(answer.version, "HTTP/1.1", "version")
    expect_in("close", answer.fields.get("connection", ""), "Connection")
    expect(int(answer.fields["content-length"]), len(answer.body.encode()), "Content-Length")
    expect(answer.fields["content-type"], "text/plain; charset=utf-8", "Content-Type")
    expect(answer.body != "", True, "has a body")
    for name, value in fields.items():
        expect(answer.fields.get(name.replace("_", "-")), value, name)


# The refusals: name, status, path, flags, fields of the answer.
WANTS_UPGRADE = {"upgrade": "websocket", "sec_websocket_version": "13"}
REFUSALS = [
    ("no key", 400, "/echo", upgrade(Sec_WebSocket_Key=None), {}),
    ("a key of 15 bytes", 400, "/echo", upgrade(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25j"), {}),
    ("no Host", 400, "/echo", upgrade(Host=None), {}),
    ("a malformed Host", 400, "/echo", upgrade(Host="a b"), {}),
    ("no Connection: Upgrade", 400, "/echo", upgrade(Connection="keep-alive"), {}),
    ("a malformed version", 400, "/echo", upgrade(Sec_WebSocket_Version="013"), {}),
    ("a malformed protocol list", 400, "/echo", upgrade(Sec_WebSocket_Protocol="a b"), {}),
    ("a malformed extension list", 400, "/echo", upgrade(Sec_WebSocket_Extensions="a;;b"), {}),
    ("a body", 400, "/", ["--request", "GET", "--data", "x=1"], {}),
    ("a foreign Origin", 403, "/echo", upgrade(Origin="https://elsewhere.example"), {}),
    ("the null Origin", 403, "/echo", upgrade(Origin="null"), {}),
    ("an unknown page", 404, "/nowhere", [], {}),
    ("an unknown route", 404, "/nowhere", upgrade(), {}),
    ("POST to a route", 405, "/echo", ["--request", "POST"], {"allow": "GET"}),
    ("POST to a page", 405, "/", ["--request", "POST"], {"allow": "GET, HEAD, OPTIONS"}),
    ("a long request line", 414, "/" + "x" * 9000, [], {}),
    ("a plain GET of a route", 426, "/echo", [], WANTS_UPGRADE),
    ("version 8", 426, "/echo", upgrade(Sec_WebSocket_Version="8"), WANTS_UPGRADE),
    ("a head that is too big", 431, "/", ["-H", "X-Big: " + "x" * 17000], {}),
    (
        "too many fields",
        431,
        "/",
        [word for i in range(101) for word in ("-H", f"X-{i}: 1")],
        {},
    ),
    ("a plain GET of a route by HTTP/1.0", 426, "/echo", ["--http1.0"], WANTS_UPGRADE),
    ("an upgrade by HTTP/1.0", 426, "/echo", ["--http1.0", *upgrade()], WANTS_UPGRADE),
]


def refusal_check(name, status, path, flags, fields):
    @check("curl", f"{status} for {name}")
    def run():
        with echo_server() as server:
            expect_refusal(Answer(curl("--include", *flags, server.http + path)), status, **fields)


for refusal in REFUSALS:
    refusal_check(*refusal)


@check("curl", "408 when the head does not end in time")
def timeout():
    with echo_server("--handshake-timeout", "0.2") as server:
        with socket.create_connection(("127.0.0.1", server.port), SECONDS) as stream:
            stream.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            text = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
    expect_refusal(Answer(text), 408)


@check("curl", "503 at the connection limit, with descriptors left")
def full():
    with echo_server(descriptors=192) as server:  # 128 connections
        held = [socket.create_connection(("127.0.0.1", server.port), SECONDS) for _ in range(128)]
        answer = Answer(curl("--include", server.http + "/"))
        expect(answer.status, 503, "status")
        expect("retry-after" in answer.fields, True, "has Retry-After")
        for stream in held:
            stream.close()


@check("curl", "100 fields are accepted")
def many_fields():
    flags = [word for i in range(96) for word in ("-H", f"X-{i}: 1")]  # curl adds three
    with echo_server() as server:
        expect(Answer(curl("--include", *flags, server.http + "/time")).status, 200, "status")


@check("curl", "the page, by GET and by HEAD")
def page():
    with echo_server() as server:
        got = Answer(curl("--include", server.http + "/"))
        head = Answer(curl("--head", server.http + "/"))
        for answer in (got, head):
            expect(answer.status, 200, "status")
            expect(answer.fields["content-type"], "text/html; charset=utf-8", "Content-Type")
        expect(int(got.fields["content-length"]), len(got.body.encode()), "Content-Length")
        expect(head.fields["content-length"], got.fields["content-length"], "Content-Length")
        expect_in("</html>", got.body, "page")
        expect(head.body, "", "body of the answer to HEAD")


@check("curl", "two pages on one connection")
def keep_alive():
    with echo_server() as server:
        reported = curl(
            "--write-out", "%{http_code} %{num_connects}\n", "--output", "/dev/null",
            server.http + "/", "--output", "/dev/null", server.http + "/time",
        )
        expect(reported, "200 1\n200 0\n", "status and new connections of each")


@check("curl", "bodies with a length, in chunks, and behind 100")
def bodies():
    with echo_server() as server:
        url = server.http + "/body"
        chunks = ["--header", "Transfer-Encoding: chunked"]
        for size in (0, 5, 2000, 65536):
            body = "b" * size
            for flags in ([], chunks, ["--header", "Expect: 100-continue"], ["--request", "PUT"],
                          ["--http1.0"]):  # fmt: skip
                expect(curl("--data", body, *flags, url), body, f"body with {flags}")
        reported = curl("--data", "one", url, "--next", "--silent", "--data", "two", *chunks,
                        "--write-out", " %{num_connects}", url)  # fmt: skip
        expect(reported, "onetwo 0", "bodies and new connections")


@check("curl", "a body that is refused before it is sent")
def refused_body():
    with echo_server() as server:
        # curl waits for 100, and receives the refusal instead.
        reported = curl("--data", "b" * 65537, "--header", "Expect: 100-continue", "--output",
                        "/dev/null", "--write-out", "%{http_code} %{size_upload}",
                        server.http + "/body")  # fmt: skip
        expect(reported, "413 0", "status and bytes sent")


@check("curl", "a refusal ends the connection")
def refusal_closes():
    with echo_server() as server:
        reported = curl(
            "--write-out", "%{http_code} %{num_connects}\n", "--output", "/dev/null",
            server.http + "/nowhere", "--output", "/dev/null", server.http + "/time",
        )
        expect(reported, "404 1\n200 1\n", "status and new connections of each")


@check("curl", "a page by HTTP/1.0, and the methods that are allowed")
def old_http():
    with echo_server() as server:
        old = Answer(curl("--include", "--http1.0", "-H", "Host:", server.http + "/time"))
        expect(old.status, 200, "status")
        expect(old.fields["connection"], "close", "Connection")
        options = Answer(curl("--include", "--request", "OPTIONS", server.http + "/"))
        expect(options.status, 204, "status of OPTIONS")
        expect(options.fields["allow"], "GET, HEAD, OPTIONS", "Allow")
        server_wide = Answer(
            curl("--include", "--request", "OPTIONS", "--request-target", "*", server.http)
        )
        expect(server_wide.status, 204, "status of OPTIONS *")


@check("curl", "the page with an offer of HTTP/2, with Expect: 100, and in absolute form")
def offers():
    with echo_server() as server:
        h2c = ["-H", "Connection: Upgrade, HTTP2-Settings", "-H", "Upgrade: h2c",
               "-H", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]  # fmt: skip
        absolute = ["--request-target", server.http + "/time"]
        for flags in (h2c, ["-H", "Expect: 100-continue"], absolute):
            answer = Answer(curl("--include", *flags, server.http + "/time"))
            expect(answer.status, 200, f"status with {flags}")
            expect_in("time_us", answer.body, "body")


@check("curl", "each answer has the current Date")
def dates():
    with echo_server() as server:
        for path in ("/", "/nowhere", "/echo"):
            answer = Answer(curl("--include", server.http + path))
            reported = email.utils.parsedate_to_datetime(answer.fields["date"]).timestamp()
            expect(abs(reported - time.time()) < SECONDS, True, f"the Date of {path} is now")
