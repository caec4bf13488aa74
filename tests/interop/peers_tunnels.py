"""tern's clients through proxies, Unix sockets and redirects of other projects: tinyproxy, squid,
microsocks, dante, nginx, python3-websockets and node's ws."""

import asyncio
import contextlib
import functools
import getpass
import os
import shutil
import signal
import subprocess
import tempfile

import websockets

from harness import (
    SECONDS, TALKERS, Process, check, echo_server, expect, expect_fatal, expect_in, persistent, program,
)
from peers_node import node
from peers_proxies import NGINX_HEAD, eventually, free_port, listens
from peers_tls import certificate, secure_node_server, secure_server
from peers_websockets import within

TINYPROXY = """
Port {port}
Listen 127.0.0.1
LogLevel Warning
PidFile "{directory}/pid"
ConnectPort {allowed}
{more}
"""

SQUID = """
http_port 127.0.0.1:{port}
{more}
pid_filename none
cache deny all
cache_log stdio:/dev/stderr
access_log none
logfile_rotate 0
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
acl tern port {allowed}
{access}
http_access deny all
"""

DANTE = """
logoutput: stderr
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
socksmethod: {method}
clientmethod: none
user.privileged: {user}
user.unprivileged: {user}
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 127.0.0.1/32 port = {allowed} }}
"""

NGINX = NGINX_HEAD + """  server {{
    listen 127.0.0.1:{port};
    location /there {{ return 307 http://127.0.0.1:{behind}/echo; }}
    location /secure {{ return 301 https://127.0.0.1:{secure}/echo; }}
    location /loop {{ return 302 /loop; }}
  }}
  server {{
    listen 127.0.0.1:{front} ssl;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    location / {{ return 302 http://127.0.0.1:{behind}/echo; }}
  }}
}}
"""


@contextlib.contextmanager
def daemon(name, port, command):
    """A program that listens on the port."""
    process = Process(name, [shutil.which(command[0], path="/usr/sbin:" + os.environ["PATH"]), *command[1:]])
    try:
        eventually(lambda: process.popen.poll() is not None or listens(("127.0.0.1", port)), f"{name} listens")
        expect(process.popen.poll(), None, f"exit code of {name}, which printed {process.text()}")
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def configured(name, template, command, **values):
    """A program that reads a file; `command` gets the file's path. Yields its port."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # a daemon started by root reads it as another user
        port = free_port()
        path = os.path.join(directory, "conf")
        with open(path, "w") as conf:
            conf.write(template.format(directory=directory, port=port, **values))
        with daemon(name, port, [*command, path]):
            yield port


def tinyproxy(allowed, credentials):
    more = "BasicAuth me secret" if credentials else ""
    command = ["tinyproxy", "-d", "-c"]
    return configured("tinyproxy", TINYPROXY, command, allowed=allowed, more=more)


@contextlib.contextmanager
def squid(allowed, credentials, secure=None):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        access = "http_access allow CONNECT tern"
        if credentials:
            users = os.path.join(directory, "users")
            subprocess.run(["openssl", "passwd", "-apr1", "secret"], check=True, text=True,
                           stdout=open(users, "w"))
            hashed = open(users).read()
            with open(users, "w") as file:
                file.write("me:" + hashed)
            access = (
                f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {users}\n"
                "auth_param basic children 1\nacl known proxy_auth REQUIRED\n"
                "http_access deny CONNECT tern !known\nhttp_access allow CONNECT tern known"
            )
        more = ""
        if secure is not None:
            for name in ("cert", "key"):
                shutil.copy(getattr(certificate(), name), directory)
                os.chmod(os.path.join(directory, name + ".pem"), 0o644)
            more = (f"https_port 127.0.0.1:{secure} tls-cert={directory}/cert.pem"
                    f" tls-key={directory}/key.pem")
        with configured("squid", SQUID, ["squid", "-N", "-f"], allowed=allowed, access=access,
                        more=more) as port:
            yield port if secure is None else secure


def squid_tls(allowed, credentials):
    return squid(allowed, credentials, free_port())


@contextlib.contextmanager
def microsocks(allowed, credentials, port=None):
    port = port or free_port()
    words = ["-u", "me", "-P", "secret"] if credentials else []
    with daemon("microsocks", port, ["microsocks", "-i", "127.0.0.1", "-p", str(port), *words]):
        yield port


def dante(allowed, credentials):
    return configured("dante", DANTE, ["danted", "-f"], allowed=allowed,
                      method="username" if credentials else "none", user=getpass.getuser())


def expect_echo(talker, url, *flags):
    """The client gets its message back."""
    with program(*talker, url, "--ca", certificate().cert, *flags) as client:
        client.wait_line("^recv: ")
        client.signal(signal.SIGINT)
        client.expect_exit(0)


def expect_refused(talker, words, url, *flags):
    """The client prints why it is not connected, and does not try again."""
    command = persistent((*talker, url, "--ca", certificate().cert, *flags))
    with program(*command) as client:
        client.expect_exit(1)
        expect_in(words, client.text(), f"what {client.name} prints")
        expect_fatal(client.text())
        if "--proxy" in flags and client.name == "loop_client":
            expect_in("stage=proxy", client.text(), "the stage")


def passes(start, scheme, credentials, talker):
    user = "me:secret@" if credentials else ""
    for server_of in (echo_server, secure_server):
        with server_of() as server, start(server.port, credentials) as port:
            expect_echo(talker, server.ws + "/echo", "--proxy", f"{scheme}://{user}127.0.0.1:{port}")
            if credentials:
                for wrong in ("", "me:wrong@"):
                    expect_refused(talker, "proxy 127.0.0.1", server.ws + "/echo", "--proxy",
                                   f"{scheme}://{wrong}127.0.0.1:{port}")


for name, start, scheme in (
    ("tinyproxy", tinyproxy, "http"),
    ("squid", squid, "http"),
    ("squid", squid_tls, "https"),
    ("microsocks", microsocks, "socks5"),
    ("microsocks", microsocks, "socks5h"),
    ("dante", dante, "socks5"),
    ("dante", dante, "socks5h"),
):
    check(name, f"ws and wss of {{}} pass through it as {scheme}", each=TALKERS)(
        functools.partial(passes, start, scheme, False))
    if start is not dante:  # whose passwords are those of the system's users
        check(name, f"ws and wss of {{}} pass through it as {scheme} with a password, not with a wrong one",
              each=TALKERS)(functools.partial(passes, start, scheme, True))


def refuses(start, scheme, words, talker):
    """The proxy allows another port than that of the server."""
    with echo_server() as server, start(free_port(), False) as port:
        expect_refused(talker, words, server.ws + "/echo", "--proxy", f"{scheme}://127.0.0.1:{port}")


for name, start, scheme, words in (
    ("tinyproxy", tinyproxy, "http", "403"),
    ("squid", squid, "http", "403"),
    ("squid", squid_tls, "https", "403"),
    ("dante", dante, "socks5h", "do not allow"),
):
    check(name, f"a port that it forbids is refused to {{}} as {scheme}", each=TALKERS)(
        functools.partial(refuses, start, scheme, words))


@check("microsocks", "a port on which nothing listens is refused to {}", each=TALKERS)
def microsocks_refuses(talker):
    with microsocks(0, False) as port:
        url = f"ws://127.0.0.1:{free_port()}/echo"
        with program(*persistent((*talker, url, "--proxy", f"socks5://127.0.0.1:{port}"))) as client:
            client.expect_exit(1)
            expect_in("the connection was refused", client.text(), f"what {client.name} prints")
            if client.name == "loop_client":  # it may listen later
                expect(client.text().count("stage=proxy"), 2, f"attempts in {client.text()!r}")


@check("dante", "a wrong password of {} is refused", each=TALKERS)
def dante_password(talker):
    with echo_server() as server, dante(server.port, True) as port:
        expect_refused(talker, "does not accept the name and password", server.ws + "/echo",
                       "--proxy", f"socks5h://unknown:wrong@127.0.0.1:{port}")


@check("nginx", "its redirects are followed by {}, never from wss to ws, and only as many as allowed",
       each=TALKERS)
def redirects(talker):
    front = free_port()
    with echo_server() as server, secure_server() as secure, configured(
        "nginx", NGINX, ["nginx", "-e", "stderr", "-c"], behind=server.port, secure=secure.port,
        front=front, cert=certificate().cert, key=certificate().key,
    ) as port:
        at = f"ws://127.0.0.1:{port}"
        expect_echo(talker, at + "/there", "--max-redirects", "1")
        expect_echo(talker, at + "/secure", "--max-redirects", "1")
        expect_refused(talker, "307", at + "/there")
        expect_refused(talker, "redirect", at + "/loop", "--max-redirects", "5")
        expect_refused(talker, "from wss:// to ws://", f"wss://127.0.0.1:{front}/",
                       "--max-redirects", "1")


@check("websockets, server", "{} reaches a Unix socket, by ws+unix, wss+unix and --unix-socket",
       each=TALKERS)
def unix_websockets(talker):
    async def echo(socket):
        async for message in socket:
            await socket.send(message)

    async def run(scheme, context):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "socket")
            async with websockets.unix_serve(echo, path, ssl=context, close_timeout=SECONDS):
                loop = asyncio.get_running_loop()
                for way in ([f"{scheme}+unix://{path}:/echo"],
                            [f"{scheme}://localhost/echo", "--unix-socket", path]):
                    await loop.run_in_executor(None, expect_echo, talker, *way)

    within(run("ws", None))
    within(run("wss", certificate().server_context()))


@check("node ws, server", "{} reaches a Unix socket, by ws+unix and wss+unix", each=TALKERS)
def unix_node(talker):
    for scheme, start in (("ws", functools.partial(node, "node_server.js")),
                          ("wss", secure_node_server)):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "socket")
            server = start("unix", path)
            try:
                server.wait_line("^listening$")
                expect_echo(talker, f"{scheme}+unix://{path}:/echo?a=b")
            finally:
                server.stop()
