"""nginx and haproxy in front of our server, with their default settings."""

import contextlib
import os
import shutil
import socket
import tempfile
import time
import types

import websockets

from harness import SECONDS, Process, check, echo_server, expect, expect_in
from peers_curl import Answer, curl
from peers_tls import certificate
from peers_websockets import within

# The beginning of each configuration: nginx stays in the foreground and in its folder.
NGINX_HEAD = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
"""

NGINX = NGINX_HEAD + """  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{secure} ssl;
    ssl_certificate {directory}/pem;
    ssl_certificate_key {directory}/pem;
    location / {{ proxy_pass http://127.0.0.1:{behind}; }}
    location /echo {{
      proxy_pass http://127.0.0.1:{behind};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header Host $http_host;
    }}
    location /stock/ {{ proxy_pass http://127.0.0.1:{behind}/; }}
  }}
}}
"""

HAPROXY = """
global
  stats socket {directory}/control
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  retries 0
frontend front
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{secure} ssl crt {directory}/pem
  default_backend back
backend back
  {option}
  server tern 127.0.0.1:{behind} {check}
"""


def free_port(host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        return listener.getsockname()[1]


def eventually(condition, what):
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not in {SECONDS} s")
        time.sleep(0.02)


def listens(address):
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(address, SECONDS).close()
        return True
    return False


@contextlib.contextmanager
def run_proxy(name, text, arguments, directory, address):
    """The proxy with this configuration, once it listens at the address. Its folder has a certificate
    with its key in the file pem."""
    with open(os.path.join(directory, "pem"), "w") as pem:
        for part in (certificate().cert, certificate().key):
            with open(part) as file:
                pem.write(file.read())
    path = os.path.join(directory, "conf")
    with open(path, "w") as conf:
        conf.write(text)
    command = [shutil.which(name, path="/usr/sbin:" + os.environ["PATH"]), *arguments, path]
    process = Process(name, command)
    try:
        eventually(lambda: process.popen.poll() is not None or listens(address), f"{name} listens")
        expect(process.popen.poll(), None, f"exit code of {name}, which printed {process.text()}")
        yield
    finally:
        process.stop()


@contextlib.contextmanager
def proxy(name, template, *arguments, **values):
    """The proxy, with its ports, plain and TLS, and its directory."""
    with tempfile.TemporaryDirectory() as directory:
        front = types.SimpleNamespace(port=free_port(), secure=free_port(), directory=directory)
        text = template.format(**vars(front), **values)
        with run_proxy(name, text, arguments, directory, ("127.0.0.1", front.port)):
            yield front


def nginx(behind):
    return proxy("nginx", NGINX, "-e", "stderr", "-c", behind=behind)


def haproxy(behind, option="", check=""):
    return proxy("haproxy", HAPROXY, "-db", "-f", behind=behind, option=option, check=check)


def echoes(url):
    async def talk():
        async with websockets.connect(url, close_timeout=SECONDS) as peer:
            await peer.send("through a proxy")
            expect(await peer.recv(), "through a proxy")

    within(talk())


@check("nginx", "a default proxy_pass, which uses HTTP/1.0, gets the page")
def nginx_page():
    with echo_server() as server, nginx(server.port) as front:
        for path in ("/", "/time", "/"):
            got = Answer(curl("--include", f"http://127.0.0.1:{front.port}{path}"))
            expect(got.status, 200, "status of " + path)
            expect(int(got.fields["content-length"]), len(got.body.encode()), "Content-Length")


@check("nginx", "a WebSocket, and 426 where proxy_http_version is not set")
def nginx_websocket():
    with echo_server() as server, nginx(server.port) as front:
        echoes(f"ws://127.0.0.1:{front.port}/echo")
        refused = None
        try:
            echoes(f"ws://127.0.0.1:{front.port}/stock/echo")
        except websockets.InvalidStatusCode as error:
            refused = error.status_code
        expect(refused, 426, "status without proxy_http_version")


def health(directory):
    """The state of our server in haproxy: (UP or DOWN, result of the last check), or two empty
    strings: haproxy may open its port before its control socket."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(SECONDS)
        try:
            control.connect(os.path.join(directory, "control"))
        except (FileNotFoundError, ConnectionRefusedError):
            return "", ""
        control.sendall(b"show stat\n")
        names, *rows = b"".join(iter(lambda: control.recv(65536), b"")).decode().split("\n")
    for row in rows:
        values = dict(zip(names.lstrip("# ").split(","), row.split(",")))
        if values.get("svname") == "tern":
            return values["status"], values["check_status"]
    return "", ""


@check("haproxy", "the default health check, OPTIONS by HTTP/1.0, reports the server as up")
def haproxy_health():
    with echo_server() as server, haproxy(
        server.port, "option httpchk", "check inter 100ms"
    ) as front:
        eventually(lambda: health(front.directory)[1].startswith("L7"), "a health check")
        expect(health(front.directory), ("UP", "L7OK"), "health")
        expect_in("</html>", curl(f"http://127.0.0.1:{front.port}/"), "page")
        echoes(f"ws://127.0.0.1:{front.port}/echo")
