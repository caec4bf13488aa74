"""The common part of the interop checks: a list of checks, processes, and the echo server."""

import contextlib
import functools
import os
import queue
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback

SECONDS = 30  # the limit of every wait; a step that takes longer has failed

CHECKS = []
BIN = ""
WORDS = ()  # only the checks whose name contains all of them run
RUNNING = set()  # each Process that was not stopped
ENDING = []  # the signal that ends the run


class Stopped(BaseException):
    """A signal ends the run."""


def on_signal(signo, _):
    """Kills all programs, so that no wait for one of them delays the end."""
    signal.signal(signo, signal.SIG_DFL)
    ENDING.append(signal.Signals(signo).name)
    for process in list(RUNNING):
        process.kill()
    if all(process.popen for process in list(RUNNING)):  # otherwise Process() raises it after the start
        raise Stopped


# tern's clients as commands: the blocking one and the one on a loop. Each talker sends a message and
# prints "recv: " and the echo, until SIGINT. Each echoer echoes until the server closes.
TALKERS = (("echo_client",), ("loop_client",))
ECHOERS = (("echo_back",), ("loop_client", "--echo"))


def persistent(command):
    """The command of a client. The client on a loop tries once more if the failure is transient."""
    return (*command, "--retry", "--attempts", "2") if command[0] == "loop_client" else command


def expect_fatal(printed):
    """The client has made one attempt; only the client on a loop prints its attempts."""
    attempts = [line for line in printed.split("\n") if line.startswith("ended ")]
    expect(len(attempts) < 2, True, f"one attempt in {printed!r}")


def check(peer, name, each=None):
    """Registers a function as a check; with `each` as a check for each of these commands, whose first
    word replaces {} in the name."""

    def register(function):
        if each is None:
            CHECKS.append((peer + ": " + name, function))
        for command in each or ():
            CHECKS.append((f"{peer}: {name.format(command[0])}", functools.partial(function, command)))
        return function

    return register


def run_all(bin_directory, words=()):
    """Runs the checks whose name contains all the words. Returns whether all passed. SIGINT, SIGTERM
    and SIGHUP end it, with all programs that it has started."""
    global BIN, WORDS
    BIN, WORDS = bin_directory, words
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, on_signal)
    passed = failed = 0
    for name, function in CHECKS:
        if not all(word in name for word in words):
            continue
        began = time.monotonic()
        try:
            function()
            passed += 1
            print(f"ok    {name} ({time.monotonic() - began:.2f} s)", flush=True)
        except (Exception, Stopped) as error:  # a failed check does not end the others
            failed += 1
            print(f"FAIL  {name}: {error or type(error).__name__}", flush=True)
            if not ENDING:
                traceback.print_exc(limit=-3, file=sys.stderr)
        if ENDING:
            print(f"{ENDING[0]} ends the run")
            return False
    print(f"{passed} passed, {failed} failed")
    return failed == 0 and passed > 0


def expect(actual, wanted, what="value"):
    if actual != wanted:
        raise AssertionError(f"{what}: {shorten(actual)}, expected {shorten(wanted)}")


def expect_in(part, whole, what="text"):
    if part not in whole:
        raise AssertionError(f"{what}: {shorten(whole)} does not contain {shorten(part)}")


def shorten(value):
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "…"


class Process:
    """A program and the lines of its output. The output is kept for later checks."""

    def __init__(self, name, command, env=None, descriptors=None):
        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.name = name
        self.lines = []
        self.arrived = queue.Queue()
        self.popen = None
        RUNNING.add(self)
        try:
            self.popen = self._start(command, env, limit)
        except BaseException:
            RUNNING.discard(self)
            raise
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if ENDING:
            self.stop()
            raise Stopped

    @staticmethod
    def _start(command, env, limit):
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            preexec_fn=limit,
            start_new_session=True,
        )

    def _read(self):
        for line in self.popen.stdout:
            self.lines.append(line.rstrip("\n"))
            self.arrived.put(self.lines[-1])
        self.arrived.put(None)

    def wait_line(self, pattern, timeout=SECONDS):
        """Waits for the next line that matches, and returns it."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self.arrived.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.name} printed no /{pattern}/: {self.text()}") from None
            if line is None:
                raise AssertionError(f"{self.name} ended without /{pattern}/: {self.text()}")
            if re.search(pattern, line):
                return line

    def text(self):
        return "\n".join(self.lines)

    def signal(self, signo):
        self.popen.send_signal(signo)

    def wait(self, timeout=SECONDS):
        """The exit code, after all of its output was read."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end: {self.text()}") from None
        self.reader.join(timeout)
        return code

    def expect_exit(self, code):
        expect(self.wait(), code, f"exit code of {self.name}, which printed {self.text()!r}")

    def kill(self):
        """Ends the program and its children at once."""
        if self.popen:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)

    def stop(self):
        """Ends the program and its children in any case, and waits for it."""
        self.kill()
        RUNNING.discard(self)
        self.popen.wait()
        self.reader.join()
        self.popen.stdout.close()


@contextlib.contextmanager
def program(name, *arguments, **options):
    """One of our programs."""
    process = Process(name, [os.path.join(BIN, name), *arguments], **options)
    try:
        yield process
    finally:
        process.stop()
    found = re.search(r"(ERROR|WARNING): \w+Sanitizer|runtime error:", process.text())
    if found:
        raise AssertionError(f"{name}: {process.text()}")


@contextlib.contextmanager
def echo_server(*flags, **options):
    """Our server on a port that the system chooses. It must end properly at SIGTERM."""
    with program("echo_server", "--port", "0", *flags, **options) as server:
        line = server.wait_line(r"^listening on ")
        found = re.fullmatch(r"listening on ws(s?)://127\.0\.0\.1:(\d+)/echo", line)
        server.port = int(found.group(2))
        server.ws = f"ws{found.group(1)}://127.0.0.1:{server.port}"
        server.http = f"http{found.group(1)}://127.0.0.1:{server.port}"
        yield server
        server.signal(signal.SIGTERM)
        server.expect_exit(0)
