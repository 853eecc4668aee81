"""The rivals' processes, and their turns: each rival has one for each number of threads, pinned to as many cores."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from time import sleep

TURNS = 11
REST_SECONDS = 0.2


class Worker:
    """A rival's process: see worker.py."""

    def __init__(self, name: str, threads: int):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "worker.py"), name], text=True,
            env=os.environ | {"BENCH_THREADS": str(threads)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def turn(self, *case) -> float:
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"bench: {self.name} stopped at {case}; its own words stand above")
        return json.loads(answer)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Workers:
    """Those of one number of threads, started when they are first asked for."""

    def __init__(self, threads: int, turns: int = TURNS):
        self.threads, self.turns = threads, turns
        self.worker = cache(lambda name: self.started(name, threads))
        self.all: list[Worker] = []

    def started(self, name: str, threads: int) -> Worker:
        self.all.append(Worker(name, threads))
        return self.all[-1]

    def best(self, names: list[str], *case) -> dict[str, float]:
        """Microseconds of each rival."""
        return self.best_together({"": (names, case)})[""]

    def best_together(self, rows: dict[str, tuple]) -> dict[str, dict[str, float]]:
        """Microseconds by row and rival of {row: (names, case)}; each turn goes through all rows, so that one row may
        be divided by another."""
        times: dict[str, dict[str, float]] = {row: {} for row in rows}
        for turn in range(self.turns):
            for row, (names, case) in rows.items():
                if turn == 0:
                    print(f"{self.threads} threads:", *case, file=sys.stderr, flush=True)
                for name in names:
                    microseconds = 1e6 * self.after_a_rest(name, case)
                    times[row][name] = min(microseconds, times[row].get(name, microseconds))
        return times

    def after_a_rest(self, name: str, case) -> float:
        """A turn, once the threads of the one before have stopped spinning: OpenBLAS's do so for 0.1 s."""
        if self.threads > 1:
            sleep(REST_SECONDS)
        return self.worker(name).turn(*case)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_) -> None:
        for worker in self.all:
            worker.close()
