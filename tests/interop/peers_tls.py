"""wss:// and https:// with websockets, node's ws, curl, Chromium and openssl itself."""

import asyncio
import functools
import os
import signal
import socket
import ssl
import subprocess
import tempfile

import websockets

import peers_node
from harness import (
    ECHOERS, SECONDS, TALKERS, Process, check, echo_server, expect, expect_fatal, expect_in, persistent,
    program,
)
from peers_node import HERE
from peers_websockets import SIZES, binary_of, text_of, within
from webdriver import Browser

SCRIPT = os.path.join(HERE, "..", "..", "scripts", "make_certificate.sh")


class Certificate:
    """A certificate for localhost and 127.0.0.1, made by scripts/make_certificate.sh."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="tern-tls-")
        subprocess.run([SCRIPT, self.directory.name], check=True, stdout=subprocess.DEVNULL)
        self.cert = os.path.join(self.directory.name, "cert.pem")
        self.key = os.path.join(self.directory.name, "key.pem")
        self.flags = ["--cert", self.cert, "--key", self.key]

    def client_context(self, **attributes):
        context = ssl.create_default_context(cafile=self.cert)
        for name, value in attributes.items():
            setattr(context, name, value)
        return context

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


certificate = functools.cache(Certificate)


def secure_server(*flags):
    return echo_server(*certificate().flags, *flags)


# ---- our server


VERSIONS = [("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)]


def echo_over(version):
    async def talk(server):
        context = certificate().client_context(maximum_version=version, minimum_version=version)
        async with websockets.connect(server.ws + "/echo", ssl=context, max_size=None) as client:
            for size in SIZES:
                for payload in (text_of(size), binary_of(size)):
                    await client.send(payload)
                    if await client.recv() != payload:
                        raise AssertionError(f"{type(payload).__name__} of {size} came back other")
            await client.close(1000, "done")
            expect(client.close_rcvd.code, 1000, "code of the server's Close")

    with secure_server() as server:
        within(talk(server))


for name, number in VERSIONS:
    check("wss, websockets, client", f"every size over TLS {name}")(
        functools.partial(echo_over, number)
    )


@check("wss, websockets, client", "SIGTERM is 1001 and a proper end of TLS")
def stopped():
    async def talk(server):
        context = certificate().client_context()
        async with websockets.connect(server.ws + "/echo", ssl=context) as client:
            server.signal(signal.SIGTERM)
            await client.wait_closed()
            expect(client.close_rcvd.code, 1001, "code")

    with secure_server() as server:
        within(talk(server))


def node_case(name, about, *flags):
    @check("wss, node ws, client", about)
    def run():
        with secure_server(*flags) as server:
            trust = {"NODE_EXTRA_CA_CERTS": certificate().cert}
            client = peers_node.node("node_client.js", name, server.ws, env=trust)
            try:
                client.expect_exit(0)
            finally:
                client.stop()


node_case("sizes", "text and binary of every size")
node_case("codes", "close codes and reasons come back, RFC 6455 5.5.1")
node_case("pinged", "the server pings a silent peer and keeps it", "--idle-timeout", "0.1")


def s_client(server, *flags, text=""):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-ign_eof", *flags]
    done = subprocess.run(
        command, input=text.encode(), capture_output=True, timeout=SECONDS, check=False
    )
    return (done.stdout + done.stderr).decode(errors="replace")


GET = "GET /time HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@check("https, openssl s_client", "verifies, agrees on http/1.1 and receives the end")
def openssl():
    with secure_server() as server:
        trust = ["-CAfile", certificate().cert, "-verify_return_error", "-servername", "localhost"]
        for version, _ in VERSIONS:
            flag = "-tls" + version.replace(".", "_")
            reported = s_client(server, *trust, flag, "-alpn", "h2,http/1.1", text=GET)
            expect_in("Verify return code: 0 (ok)", reported)
            expect_in("ALPN protocol: http/1.1", reported)
            expect_in("HTTP/1.1 200 OK", reported)
            expect_in("closed", reported)


@check("https, openssl s_client", "h2 alone, TLS 1.1 and renegotiation are refused")
def openssl_refused():
    with secure_server() as server:
        expect_in("no application protocol", s_client(server, "-alpn", "h2"))
        reported = s_client(server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        expect_in("alert protocol version", reported)
        # "R" requests a renegotiation.
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2"]
        done = subprocess.run(
            command, input=b"R\n", capture_output=True, timeout=SECONDS, check=False
        )
        expect_in("no renegotiation", (done.stdout + done.stderr).decode(errors="replace"))


@check("https, openssl s_client", "sessions are resumed over both versions")
def openssl_resumes():
    with secure_server() as server:
        for version, _ in VERSIONS:
            flag = "-tls" + version.replace(".", "_")
            with tempfile.NamedTemporaryFile(prefix="tern-session-") as session:
                expect_in("New, TLS", s_client(server, flag, "-sess_out", session.name, text=GET))
                reported = s_client(server, flag, "-sess_in", session.name, text=GET)
                expect_in("Reused, TLS", reported)


@check("https, curl", "the page with its CA, and an error without")
def curl():
    with secure_server() as server:
        url = f"https://localhost:{server.port}/"
        command = ["curl", "--silent", "--show-error", "--noproxy", "*", url]
        good = subprocess.run(
            [*command, "--cacert", certificate().cert], capture_output=True, timeout=SECONDS
        )
        expect(good.returncode, 0, f"curl's exit code, {good.stderr!r}")
        expect_in(b"<html", good.stdout.lower(), "page")
        expect(subprocess.run(command, capture_output=True, timeout=SECONDS).returncode, 60)


@check("wss, Chromium", "the page over https: pushes, echo, close with 1000")
def chromium():
    value = "Number(document.getElementById('push-messages').dataset.value)"
    with secure_server() as server, Browser(["--ignore-certificate-errors"]) as browser:
        browser.open(f"https://localhost:{server.port}/")
        browser.wait_for(value + " >= 5")
        browser.type("#echo-text", "Hello, tern")
        browser.click("#echo-send")
        browser.wait_for("document.querySelector('#echo-log li span')?.textContent === 'Hello, tern'")
        browser.click("#push-toggle")
        browser.wait_for("document.getElementById('push-state').dataset.code")
        closed = browser.run("return {...document.getElementById('push-state').dataset}")
        expect(closed["code"], "1000", "close code")
        expect(closed["clean"], "true", "wasClean")


# ---- our clients


def back_over(version, echoer):
    async def ask(client):
        for size in SIZES:
            for payload in (text_of(size), binary_of(size)):
                await client.send(payload)
                if await client.recv() != payload:
                    raise AssertionError(f"{type(payload).__name__} of {size} came back other")
        await client.close(1000, "done")
        expect(client.close_rcvd.code, 1000, "code of the answer")

    async def run():
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        async def handle(client):
            try:
                await ask(client)
                ended.set_result(None)
            except Exception as error:
                ended.set_exception(error)

        context = certificate().server_context()
        context.minimum_version = context.maximum_version = version
        async with websockets.serve(
            handle, "127.0.0.1", 0, ssl=context, max_size=None, close_timeout=SECONDS
        ) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"wss://localhost:{port}/"
            with program(*echoer, url, "--ca", certificate().cert) as client:
                await ended
                code = await loop.run_in_executor(None, client.wait)
                expect(code, 0, f"exit code, printed {client.text()!r}")
            with program(*persistent(echoer), url) as client:
                code = await loop.run_in_executor(None, client.wait)
                expect(code, 1, "exit code without --ca")
                expect_in("certificate of CN=localhost", client.text())
                expect_fatal(client.text())

    within(run())


for name, number in VERSIONS:
    check("wss, websockets, server", f"{{}} over TLS {name}, and not without its CA", each=ECHOERS)(
        functools.partial(back_over, number)
    )


def secure_node_server(*arguments):
    environment = {"TERN_CERT": certificate().cert, "TERN_KEY": certificate().key}
    return peers_node.node("node_server.js", *arguments, env=environment)


@check("wss, node ws, server", "our clients exchange messages with it")
def node_server():
    for case, command in (*(("sizes", each) for each in ECHOERS), *(("talk", each) for each in TALKERS)):
        server = secure_node_server(case)
        try:
            port = server.wait_line(r"^\d+$")
            url = f"wss://127.0.0.1:{port}/"
            with program(*command, url, "--ca", certificate().cert) as client:
                if case == "talk":
                    client.wait_line("^recv: .")
                    client.signal(signal.SIGINT)
                client.expect_exit(0)
            server.expect_exit(0)
        finally:
            server.stop()


@check("wss, openssl s_server", "{} connects to it, and reports its alert", each=ECHOERS)
def openssl_server(echoer):
    own = ["-cert", certificate().cert, "-key", certificate().key]
    for flags, wanted in (([], "upgrade wss://"), (["-Verify", "1"], "certificate required")):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-www", *own, *flags]
        server = Process("openssl s_server", command)
        try:
            server.wait_line("^ACCEPT")
            url = f"wss://127.0.0.1:{port}/"
            with program(*persistent(echoer), url, "--ca", certificate().cert) as client:
                expect(client.wait(), 1, "exit code")
                expect_in(wanted, client.text())
                expect_fatal(client.text())
        finally:
            server.stop()
