"""nginx, HAProxy and Caddy with every configuration of docs/guides/behind-a-proxy.md, in front of our
server.

The blocks are read from the page. Only their addresses, their ports and their files are replaced. The
options of the server are those of the C++ snippet above a block.
"""

import contextlib
import functools
import os
import re
import socket
import ssl
import tempfile
import types

import websockets

from harness import SECONDS, Process, check, expect, expect_in, program
from peers_curl import curl
from peers_proxies import NGINX_HEAD, eventually, free_port, health, run_proxy
from peers_tls import certificate
from peers_websockets import within
from webdriver import Browser

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/guides/behind-a-proxy.md")
CLIENT = "::1"  # the browser's address; the proxy comes from 127.0.0.1, which is trusted


TOKEN = r"^```(?P<language>\w+)\n(?P<body>.*?)^```$|(?P<first>options\s+of\s+the\s+first\s+section)"


def configurations(language):
    """The blocks of a language, each as its text and the options of the server above it."""
    found, snippets, options = [], [], ""
    with open(PAGE) as page:
        text = page.read()
    for token in re.finditer(TOKEN, text, re.M | re.S):
        if token["first"]:
            options = snippets[0]
        elif token["language"] == "cpp" and "tern::Server server({" in token["body"]:
            options = token["body"]
            snippets.append(options)
        elif token["language"] == language:
            found.append(types.SimpleNamespace(text=token["body"], options=options, number=len(found) + 1))
    return found


def flags_of(options, path):
    """The flags of echo_server for the options of a snippet, and whether it has TLS."""
    flags = []
    for name, flag in ((r"trusted_proxies = ", "--trusted-proxy"), (r"\.from = ", "--proxy-protocol")):
        entries = re.search(name + r"\{([^}]*)\}", options)
        for entry in re.findall(r'"([^"]*)"', entries[1]) if entries else ():
            flags += [flag, entry]
    if "TrustedHeader::forwarded" in options:
        flags.append("--forwarded")
    if "unix:/run/app.sock" in options:
        flags += ["--unix", path]
    else:
        flags += ["--port", "0"]
    if ".tls = " in options:
        flags += certificate().flags
    return flags, ".tls = " in options


@contextlib.contextmanager
def server_of(name, options, directory):
    path = os.path.join(directory, "app.sock")
    flags, secure = flags_of(options, path)
    with program(name, *flags) as server:
        line = server.wait_line("^listening on ")
        server.port = int(re.search(r":(\d+)/\w+$", line)[1]) if "--port" in flags else 0
        server.path = path
        server.secure = secure
        yield server


def with_places(text, server, front):
    """The configuration with the places of this test."""
    pem = os.path.join(front.directory, "pem")
    for old, new in (
        ("127.0.0.1:9001", f"127.0.0.1:{server.port}"),
        ("/run/app.sock", server.path),
        ("/etc/ssl/site.pem", pem),
        ("/etc/ssl/site.key", pem),
        ("listen 443 ssl", f"listen [::1]:{front.port} ssl"),
        ("listen 80", f"listen [::1]:{front.port}"),
        ("bind :443", f"bind [::1]:{front.port}"),
        # Caddy would request a certificate for the host.
        ("example.org {", f"https://localhost:{front.port} {{\n  bind ::1\n  tls {pem} {pem}"),
    ):
        text = text.replace(old, new)
    for forgotten in (":9001", "/etc/ssl/", "/run/", "443", "listen 80"):
        expect(forgotten in text.replace(str(front.port), ""), False, f"{forgotten} is replaced")
    return text


@contextlib.contextmanager
def in_front(language, configuration, name="echo_server"):
    """The server of a configuration with its proxy in front: the port, and whether TLS is spoken."""
    with tempfile.TemporaryDirectory(prefix="tern-behind-") as directory:
        front = types.SimpleNamespace(port=free_port(CLIENT), directory=directory)
        with server_of(name, configuration.options, directory) as server:
            text = with_places(configuration.text, server, front)
            front.secure = server.secure or " ssl" in text or language == "caddy"
            if language == "nginx":
                head = NGINX_HEAD.format(directory=directory)
                text, arguments = head + text + "}\n", ("-e", "stderr", "-c")
            elif language == "caddy":
                text = f"{{\n  admin off\n  storage file_system {directory}\n}}\n" + text
                arguments = ("run", "--adapter", "caddyfile", "--config")
            else:
                text = f"global\n  stats socket {directory}/control\n" + text
                arguments = ("-db", "-f")
            with run_proxy(language, text, arguments, directory, (CLIENT, front.port)):
                yield front


def origins(front):
    scheme = "https" if front.secure else "http"
    return f"{scheme}://localhost:{front.port}", f"{scheme}://evil.example:{front.port}"


def answer_to(front, origin):
    """The status that a browser on a page of this origin receives; then an echo."""
    context = certificate().client_context() if front.secure else None
    url = f"{'wss' if front.secure else 'ws'}://localhost:{front.port}/echo"

    async def talk():
        try:
            async with websockets.connect(
                url, origin=origin, ssl=context, host=CLIENT, port=front.port, close_timeout=SECONDS
            ) as peer:
                await peer.send("through a proxy")
                expect(await peer.recv(), "through a proxy", "echo")
                return 101
        except websockets.InvalidStatusCode as error:
            return error.status_code

    return within(talk())


def page_of(front, path, *arguments):
    scheme = "https" if front.secure else "http"
    return curl(
        "--cacert", certificate().cert, "--resolve", f"localhost:{front.port}:[{CLIENT}]", *arguments,
        f"{scheme}://localhost:{front.port}{path}",
    )


def works(language, configuration):
    with in_front(language, configuration) as front:
        own, other = origins(front)
        expect(answer_to(front, own), 101, "a page of this server")
        expect(answer_to(front, other), 403, "a page of another host")
        expect(answer_to(front, None), 101, "a program")
        # Fields that the client itself writes change nothing.
        forged = []
        for field in ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: ftp", "X-Forwarded-Host: evil",
                      "Forwarded: for=192.0.2.1;host=evil;proto=ftp"):
            forged += ["--header", field]
        for arguments in ((), forged):
            for _ in range(2):  # a connection to the server may serve both
                told = dict(line.split(" ", 1) for line in
                            page_of(front, "/client", *arguments).splitlines())
                client = told["client"]
                expect(client == CLIENT or client.startswith(f"[{CLIENT}]:"), True, f"client {client}")
                expect(told["host"].split(":")[0], "localhost", "host")
                # A plain port without X-Forwarded-Proto does not tell the scheme.
                expect(told["scheme"], "https" if front.secure else "http", "scheme")
                expect(told["peer"].startswith(("127.0.0.1:", "unix:")), True, f"peer {told['peer']}")
        if "check" in configuration.text:
            eventually(lambda: health(front.directory)[1].startswith("L"), "a health check")
            expect(health(front.directory)[0], "UP", "health")


def blocks(proxy):
    """The configurations of a proxy. The page names the languages of its blocks."""
    return configurations("caddyfile" if proxy == "caddy" else proxy)


for language in ("nginx", "haproxy", "caddy"):
    for configuration in blocks(language):
        check(language, f"the page about proxies, configuration {configuration.number}: pages, "
              "WebSockets of browsers, the client's address")(
            functools.partial(works, language, configuration))


@check("Chromium", "behind nginx with TLS: the page works, and the server knows the browser's address")
def browser():
    with in_front("nginx", configurations("nginx")[0]) as front:
        flags = ("--ignore-certificate-errors", f"--host-resolver-rules=MAP site.example [{CLIENT}]")
        with Browser(flags) as page:
            page.open(f"https://site.example:{front.port}/")
            page.wait_for("Number(document.getElementById('push-messages').dataset.value) >= 3")
            page.type("#echo-text", "Hello through nginx")
            page.click("#echo-send")
            page.wait_for(
                "document.querySelector('#echo-log li span')?.textContent === 'Hello through nginx'"
            )
            page.open(f"https://site.example:{front.port}/client")
            shown = page.run("return document.body.innerText")
            expect_in(f"client {CLIENT}\n", shown + "\n", "the page")
            expect_in(f"host site.example:{front.port}\nscheme https\npeer 127.0.0.1:", shown, "the page")


@check("Chromium", "behind nginx with TLS: the hub's page chats, and shows the browser's address")
def hub_page():
    with in_front("nginx", configurations("nginx")[0], "hub") as front:
        flags = ("--ignore-certificate-errors", f"--host-resolver-rules=MAP site.example [{CLIENT}]")
        with Browser(flags) as page:
            page.open(f"https://site.example:{front.port}/?room=tea&name=Ann")
            page.wait_for("document.getElementById('state').dataset.live === 'yes'")
            page.type("#text", "Hello through nginx")
            page.click("#send")
            page.wait_for("[...document.querySelectorAll('#log li span')].at(-1)?.textContent"
                          " === 'Hello through nginx'")
            page.wait_for("document.getElementById('address').textContent !== ''")
            expect(page.run("return document.getElementById('address').textContent"), CLIENT, "address")


@check("nginx", "the page about proxies has configurations for nginx, HAProxy and Caddy")
def complete():
    expect([len(blocks(proxy)) for proxy in ("nginx", "haproxy", "caddy")], [3, 3, 1], "blocks")
