"""A check of tests/interop/run itself."""

import os
import signal
import sys

from harness import Process, check, expect, expect_in
from peers_proxies import eventually

# A run whose only check starts a program with a child, and prints both process ids.
RUN = """
import harness

@harness.check("a program", "with a child")
def wait():
    program = harness.Process("sh", ["sh", "-c", "sleep 60 & echo $!; wait"])
    print(program.popen.pid, program.wait_line(""), flush=True)
    program.wait(60)

harness.run_all("")
"""


def runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@check("run", "a signal ends it, and all programs that it has started")
def signalled():
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        run = Process("run", [sys.executable, "-c", RUN],
                      env={"PYTHONPATH": os.path.dirname(os.path.abspath(__file__)),
                           "PYTHONDONTWRITEBYTECODE": "1"})
        try:
            pids = run.wait_line(r"^\d+ \d+$").split()
            expect([runs(pid) for pid in pids], [True, True], "the programs run")
            run.signal(signo)
            run.expect_exit(0)
            expect_in(signo.name + " ends the run", run.text())
            eventually(lambda: not any(runs(pid) for pid in pids), "the end of the programs")
        finally:
            run.stop()
