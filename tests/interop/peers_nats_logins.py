"""Bridges over real nats-servers that want a login or TLS."""

import base64
import json
import os
import subprocess
import tempfile
import time

from brokers import Nats, Proxy, Subscriber, bridged, row
from harness import expect, expect_in
from peers_nats import PEER, subscribers, wait_subscribed
from peers_proxies import eventually
from peers_tls import certificate


def refused(words, *flags):
    """The bridge does not come up and says why; the server serves on."""
    with bridged(*flags, up=False) as server, Subscriber(server) as client:
        expect_in(words, server.wait_line(r"^bridge connecting \S"), "reason")
        expect(client.ask("ping"), "pong", "answer")
        for secret in ("s3cret", "wrong-one"):
            expect(secret in server.text(), False, f"{secret} in what the server prints")


def accepted(broker, *flags):
    with bridged(*flags) as server, subscribers(broker, [server], ["t"]) as (client,):
        client.ask("all t hello")
        client.expect_next("hello")


@row(PEER, "user and password, a token: the right ones log in; wrong ones are told, without them, and tried again")
def logins():
    with Nats("--user", "me", "--pass", 's3cret"\\ @/:%é') as broker:
        host = f"127.0.0.1:{broker.port}"
        accepted(broker, "--nats", f"nats://me:s3cret%22%5C%20%40%2F%3A%25%C3%A9@{host}")
        refused("refuses the credentials", "--nats", f"nats://me:wrong-one@{host}")
        refused("refuses the credentials", "--nats", f"nats://{host}")
    with Nats("--auth", "s3cret") as broker:
        host = f"127.0.0.1:{broker.port}"
        accepted(broker, "--nats", f"nats://s3cret@{host}")
        refused("refuses the credentials", "--nats", f"nats://wrong-one@{host}")
    with Nats() as broker:
        broker.kill()
        refused("no server answers there", "--nats", broker.url)
        with bridged("--nats", broker.url, up=False) as server:
            server.wait_line(r"^bridge connecting \S")
            broker.start()
            server.wait_line("^bridge up ")


# Keys and JWTs of NATS (nkeys, decentralised logins), which the package nats-server has no tool for.

OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3  # the kinds of keys


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def nkey(data):
    return base64.b32encode(data + crc16(data).to_bytes(2, "little")).rstrip(b"=").decode()


def openssl(*words, data=b""):
    return subprocess.run(["openssl", *words], input=data, stdout=subprocess.PIPE, check=True).stdout


class Key:
    """An Ed25519 key: its public name, its seed, and JWTs that it signs."""

    def __init__(self, directory, kind):
        self.path = os.path.join(directory, f"key{kind}")
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.path)
        seed = openssl("pkey", "-in", self.path, "-outform", "DER")[-32:]
        self.public = nkey(bytes([kind]) + openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-32:])
        self.seed = nkey(bytes([18 << 3 | kind >> 5, (kind & 31) << 3]) + seed)

    def sign(self, subject, claims):
        def encoded(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")

        body = {"jti": subject.public, "iat": int(time.time()), "iss": self.public, "name": "x",
                "sub": subject.public, "nats": {"version": 2, **claims}}
        text = b".".join(encoded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body))
        path = self.path + ".text"
        with open(path, "wb") as file:
            file.write(text)
        signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", path)
        return (text + b"." + encoded(signature)).decode()


@row(PEER, "a .creds file with a JWT and a seed logs in; that of a stranger does not")
def creds():
    with tempfile.TemporaryDirectory() as directory:
        operator, account, user = (Key(directory, kind) for kind in (OPERATOR, ACCOUNT, USER))
        unlimited = {"subs": -1, "data": -1, "payload": -1}
        limits = {**unlimited, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
        of_operator = operator.sign(operator, {"type": "operator"})
        of_account = operator.sign(account, {"type": "account", "limits": limits})
        of_user = account.sign(user, {"type": "user", **unlimited})
        conf = (f"operator: {of_operator}\nresolver: MEMORY\n"
                f"resolver_preload: {{ {account.public}: {of_account} }}\n")
        path, wrong = os.path.join(directory, "user.creds"), os.path.join(directory, "wrong.creds")
        for name, seed in ((path, user.seed), (wrong, nkey(bytes([18 << 3 | USER >> 5, (USER & 31) << 3]) + bytes(32)))):
            with open(name, "w") as file:
                file.write(f"-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n"
                           f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n")
        with Nats(conf=conf) as broker:
            accepted(broker, "--nats", broker.url, "--credentials", path)
            refused("refuses the credentials", "--nats", broker.url, "--credentials", wrong)
            refused("refuses the credentials", "--nats", broker.url)


@row(PEER, "a subject that the broker forbids is told in the log, and the others work")
def forbidden():
    conf = """authorization { users: [{ user: me, password: pw, permissions: {
      publish: { deny: "tern.secret" }, subscribe: { deny: "tern.secret" } } }] }\n"""
    with Nats(conf=conf) as broker, bridged("--nats", f"nats://me:pw@127.0.0.1:{broker.port}") as server:
        with Subscriber(server) as client:
            client.subscribe("secret")
            server.wait_line("(?i)^log: .*permissions violation.*tern.secret")
            client.subscribe("t")
            eventually(lambda: "tern.t" in broker.subscriptions(), "the subscription")
            client.ask("all t hello")
            client.expect_next("hello")
            client.ask("all secret x")
            server.wait_line("(?i)^log: .*refuses publications .*permissions violation.*tern.secret")


@row(PEER, "TLS: certificates are checked, and neither side does without it")
def tls():
    ca, key = certificate().cert, certificate().key
    with Nats("--tls", "--tlscert", ca, "--tlskey", key) as broker, Nats() as plain:
        for host in ("127.0.0.1", "localhost"):
            accepted(broker, "--nats", f"tls://{host}:{broker.port}", "--ca", ca)
        refused("self-signed", "--nats", f"tls://127.0.0.1:{broker.port}")
        refused("requires TLS", "--nats", f"nats://127.0.0.1:{broker.port}")
        refused("TLS is required", "--nats", f"tls://127.0.0.1:{plain.port}", "--ca", ca)
        with Proxy(broker.port, "127.0.0.2") as proxy:  # an address that the certificate does not have
            refused("mismatch", "--nats", f"tls://127.0.0.2:{proxy.port}", "--ca", ca)


@row(PEER, "TLS: killed and started again, half-open, and many publications")
def tls_fails():
    ca, key = certificate().cert, certificate().key
    with Nats("--tls", "--tlscert", ca, "--tlskey", key) as broker, Proxy(broker.port) as proxy:
        with bridged("--nats", f"tls://127.0.0.1:{proxy.port}", "--ca", ca, "--tally", "10",
                     "--tally-clients", "1") as server:
            with subscribers(broker, [server], ["u"], count=11) as (client,):
                flood = server.get("/flood/10/20000/100?window=5000")
                expect(flood.get("queued"), 20000, f"publications: {flood}")
                eventually(lambda: server.get("/tally")[0]["received"] >= 20000, "all publications arrive")
                expect(server.get("/tally")[0]["missing"], 0, "missing")
                broker.kill()
                server.wait_line("^bridge down ")
                broker.start()
                server.wait_line("^bridge up ")
                wait_subscribed(broker, 11)
                proxy.stall()
                server.wait_line("^bridge down ")
                proxy.cut()
                server.wait_line("^bridge up ")
                wait_subscribed(broker, 11)
                client.ask("all u after")
                client.expect_next("after")
