"""python-requests sends bodies: with a length, in chunks, and on one connection."""

import requests

from harness import SECONDS, check, echo_server, expect

PAGE = "/body"


def parts(*texts):
    """A body whose length is not known before, so that it is sent in chunks."""
    yield from texts


@check("requests", "bodies with a length and in chunks, by each method, on one connection")
def bodies():
    with echo_server() as server, requests.Session() as session:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for data, wanted in (
                (b"Hello", b"Hello"),
                (b"x" * 65536, b"x" * 65536),
                (parts(b"Hel", b"lo", b"y" * 20000), b"Hello" + b"y" * 20000),
                (None, b""),
            ):
                answer = session.request(method, server.http + PAGE, data=data, timeout=SECONDS)
                expect(answer.status_code, 200, f"status of {method}")
                expect(answer.content, wanted, f"body of {method}")
        pool = session.get_adapter(server.http).poolmanager.connection_from_url(server.http)
        expect(pool.num_connections, 1, "connections")


@check("requests", "bodies that are too large, and that no page takes")
def refused():
    with echo_server() as server, requests.Session() as session:
        for method, path, data, status in (
            ("POST", PAGE, b"x" * 65537, 413),
            ("POST", PAGE, parts(b"x" * 40000, b"y" * 40000), 413),
            ("POST", "/", b"Hello", 405),
            ("POST", "/nowhere", b"Hello", 404),
            ("GET", "/", b"Hello", 400),
        ):
            answer = session.request(method, server.http + path, data=data, timeout=SECONDS)
            expect(answer.status_code, status, f"status of {method} {path}")
            expect(answer.headers["connection"], "close", "Connection")
