"""A process that has loaded what the tests need besides minidl, and forks for each run of pytest.

A run so starts in a third of the time of a new interpreter, and still imports minidl, which may have changed, itself.
"""
from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

MEMORY = 16 << 30  # bytes of address space for a test process: a wrong size shall not bring the machine down
# A line asks for a run: pytest's arguments, the file that takes what it prints, and of the tests (or test files) those
# alone that are to run, in this order. Answered are the process, then its exit status.
FORKS = """
import json, os, sys
import numpy.testing, pytest

class Select:
    def __init__(self, only):
        self.order = {name: i for i, name in enumerate(only)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        places = {item: self.order.get(item.nodeid, self.order.get(item.nodeid.split("::")[0])) for item in items}
        items[:] = sorted((item for item in items if places[item] is not None), key=places.get)

for line in iter(sys.stdin.readline, ""):
    arguments, output, only = json.loads(line)
    child = os.fork()
    if not child:
        os.setsid()
        taken, nothing = os.open(output, os.O_WRONLY), os.open(os.devnull, os.O_RDONLY)
        for descriptor, new in ((0, nothing), (1, taken), (2, taken)):
            os.dup2(new, descriptor)
        sys.exit(pytest.main(arguments, plugins=[Select(only)] if only else []))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forks:
    """Runs pytest with this interpreter, in this folder, with these environment variables."""

    def __init__(self, python: Path, folder: Path, variables: Mapping[str, str]):
        self.command, self.folder, self.variables = [python, "-c", FORKS], folder, variables
        self.process: subprocess.Popen[str] | None = None

    def test(self, arguments: Sequence[str], seconds: float, only: Sequence[str] = ()) -> tuple[int | None, str]:
        """The exit status of pytest with these arguments, None if it ran out of time, and what it printed."""
        if self.process is None:
            self.process = subprocess.Popen(self.command, cwd=self.folder, env=self.variables, text=True,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=prepare)
        with tempfile.NamedTemporaryFile("r", errors="replace") as output:
            print(json.dumps([list(arguments), output.name, list(only)]), file=self.process.stdin, flush=True)
            child, late = self._answer(), threading.Event()

            def stop() -> None:
                late.set()
                os.killpg(child, signal.SIGKILL)

            timer = threading.Timer(seconds, stop)
            timer.start()
            status = self._answer()
            timer.cancel()
            return None if late.is_set() else status, output.read()

    def _answer(self) -> int:
        line = self.process.stdout.readline()
        if not line:
            sys.exit("mutate: expected an answer of the process that starts pytest, got none")
        return int(line)

    def close(self) -> None:
        if self.process is not None:
            self.process.communicate()
            self.process = None


def prepare() -> None:
    """In a process of tests, before they begin."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background may ignore Ctrl-C
