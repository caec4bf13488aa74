"""node's ws in both roles. node_client.js and node_server.js contain the cases."""

import os
import signal

from harness import (
    ECHOERS, Process, check, echo_server, expect, expect_fatal, expect_in, persistent, program,
)
from peers_websockets import expect_one_error

HERE = os.path.dirname(os.path.abspath(__file__))
# Debian's modules, even for a node that comes from elsewhere.
ENVIRONMENT = {"NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs", "NODE_NO_WARNINGS": "1"}


def node(script, *arguments, env=None):
    return Process("node " + script, ["node", os.path.join(HERE, script), *arguments],
                   env={**ENVIRONMENT, **(env or {})})


# ---- their client, our server


def client_case(name, about, *flags):
    @check("node ws, client", about)
    def run():
        with echo_server(*flags) as server:
            client = node("node_client.js", name, server.ws)
            try:
                if name == "stopped":
                    client.wait_line("^open$")
                    server.signal(signal.SIGTERM)
                client.expect_exit(0)
            finally:
                client.stop()


client_case("sizes", "text and binary of every size")
client_case("fragments", "fragmented messages, RFC 6455 5.4")
client_case("pings", "pings are answered with their payload, RFC 6455 5.5.2")
client_case("declined", "offered compression and subprotocols are declined")
client_case("codes", "close codes and reasons come back, RFC 6455 5.5.1")
client_case("too_big", "too big is 1009", "--max-message", "1000")
client_case("bad_utf8", "text that is not UTF-8 is 1007, RFC 6455 8.1")
client_case("unmasked", "an unmasked frame is 1002, RFC 6455 5.1")
client_case("pushes", "pushes arrive numbered")
client_case("pinged", "the server pings a silent peer and keeps it", "--idle-timeout", "0.1")
client_case("not_found", "an unknown path is 404")
client_case("stopped", "SIGTERM is 1001")


# ---- their server, our clients


def serve(case, command, *arguments, during=None):
    """Runs one of our clients against a case of node_server.js, which must succeed, too."""
    server = node("node_server.js", case)
    try:
        port = server.wait_line(r"^\d+$")
        words = [word.format(port=port) for word in arguments]
        with program(*command, *words) as client:
            if during is not None:
                during(client)
            code = client.wait()
            printed = client.text()
        server.expect_exit(0)
        return code, printed
    finally:
        server.stop()


@check("node ws, server", "{} echoes every size and type, exit 0 after 1000", each=ECHOERS)
def back_sizes(echoer):
    code, printed = serve("sizes", echoer, "ws://127.0.0.1:{port}/")
    expect(code, 0, f"exit code, printed {printed!r}")


@check("node ws, server", "{} exits 1 when TCP is dropped", each=ECHOERS)
def back_dropped(echoer):
    code, printed = serve("drop", echoer, "ws://127.0.0.1:{port}/")
    expect(code, 1, "exit code")
    expect_one_error(printed)


@check("node ws, server", "{} exits 1 on a masked frame, RFC 6455 5.1", each=ECHOERS)
def back_masked(echoer):
    code, printed = serve("masked", echoer, "ws://127.0.0.1:{port}/")
    expect(code, 1, f"exit code, printed {printed!r}")


@check("node ws, server", "clients exit 1 and print the status of a refusal")
def refused():
    for command, arguments in (
        (("echo_back",), ["ws://127.0.0.1:{port}/"]),
        (("echo_client",), ["--addr", "127.0.0.1:{port}"]),
        (persistent(("loop_client",)), ["ws://127.0.0.1:{port}/"]),
    ):
        code, printed = serve("refuse", command, *arguments)
        expect(code, 1, f"exit code of {command[0]}, which printed {printed!r}")
        expect_in("403", printed, f"what {command[0]} printed")
        expect_fatal(printed)


@check("node ws, server", "echo_client sends the time, prints echoes, closes with 1000 on SIGINT")
def client_talks():
    def during(client):
        client.wait_line("^connecting to ws://")
        client.wait_line("^recv: .")
        client.wait_line("^recv: .")
        client.signal(signal.SIGINT)

    code, printed = serve("talk", ("echo_client",), "--addr", "127.0.0.1:{port}", during=during)
    expect(code, 0, f"exit code, printed {printed!r}")
    expect_in("interrupt", printed)
