"""systemd-socket-activate passes a listening socket; curl reaches the server on a Unix socket."""

import contextlib
import os
import shutil
import signal
import tempfile

import harness
from harness import Process, check, expect, program
from peers_curl import Answer, curl
from peers_proxies import free_port


@contextlib.contextmanager
def activated(*flags):
    """echo_server, started by the first connection to a socket that it inherits."""
    port = free_port()
    command = [
        shutil.which("systemd-socket-activate") or "systemd-socket-activate",
        f"--listen=127.0.0.1:{port}",
        "--fdname=web",
        os.path.join(harness.BIN, "echo_server"),
        *flags,
    ]
    server = Process("systemd-socket-activate", command)
    try:
        server.wait_line(r"^Listening on ")
        server.port = port
        yield server
    finally:
        server.stop()


@check("systemd", "echo_server serves a socket of systemd-socket-activate")
def activation():
    with activated("--drain", "0") as server:
        url = f"http://127.0.0.1:{server.port}/"
        expect(Answer(curl("--include", url)).status, 200, "status")  # it came before the server started
        server.wait_line(rf"^listening on ws://127\.0\.0\.1:{server.port}/echo$")
        expect(Answer(curl("--include", url)).status, 200, "status")
        server.signal(signal.SIGTERM)
        server.expect_exit(0)


@check("curl", "a page over a Unix socket")
def unix_socket():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "app.sock")
        with program("echo_server", "--unix", path) as server:
            server.wait_line(r"^listening on ws\+unix:")
            page = Answer(curl("--include", "--unix-socket", path, "http://localhost/"))
            expect(page.status, 200, "status")
            server.signal(signal.SIGTERM)
            server.expect_exit(0)
        expect(os.listdir(folder), [], "files after the end")
