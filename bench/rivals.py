"""The table of rivals: ``python -m bench.rivals`` prints it, ``--out docs`` writes it there, with a plot.

Every rival runs in a process of its own for each number of threads, pinned to as many cores; all are
checked against float64 before they are timed; they take turns, and each keeps its best time.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from time import sleep

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import floor  # noqa: E402
import footprint  # noqa: E402
import machine  # noqa: E402
import rivals_report  # noqa: E402
import simplechains  # noqa: E402
from contestants import RIVALS, able, installed  # noqa: E402
from networks import WIDTHS  # noqa: E402

from minidl import kernels  # noqa: E402

STEPS = [*(("S", size) for size in (4, 16, 100, 128)),
         *((network, size) for network in ("M", "M3", "L") for size in (16, 128))]
PREDICTIONS = [(network, size) for network in WIDTHS for size in (1, 64)]
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

    def __init__(self, threads: int):
        self.threads = threads
        self.worker = cache(lambda name: self.started(name, threads))
        self.all: list[Worker] = []

    def started(self, name: str, threads: int) -> Worker:
        self.all.append(Worker(name, threads))
        return self.all[-1]

    def best(self, names: list[str], *case) -> dict[str, float]:
        """Microseconds of each rival."""
        print(f"{self.threads} threads:", *case, file=sys.stderr, flush=True)
        times = [{name: self.after_a_rest(name, case) for name in names} for _ in range(TURNS)]
        return {name: 1e6 * min(turn[name] for turn in times) for name in names}

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


def trained_by(network: str, threads: int) -> list[str]:
    """Who has a step of this network; the arithmetic alone knows one thread only."""
    return [name for name in able("step", network) if threads == 1 or name != "compute alone"]


def measured(threads: int) -> dict:
    """Steps, and on one thread predictions and the chains too: rows by name, of microseconds by rival."""
    with Workers(threads) as workers:
        rows = {"step": {f"{network}, batch {size}": workers.best(trained_by(network, threads), "step", network, size)
                         for network, size in STEPS}}
        if threads == 1:
            rows["predict"] = {
                f"{network}, batch {size}": workers.best(able("predict", network), "predict", network, size)
                for network, size in PREDICTIONS}
            names = installed(*simplechains.CLASSES)
            rows["chains"] = workers.best(names, "chains", "4-32-16-4", 10_000)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rivals", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder of rivals.md and rivals.png")
    out = parser.parse_args().out
    results = {threads: measured(threads) for threads in (1, 2) if threads <= machine.cores()}
    missing = [f"{name} (needs {rival.package})" for name, rival in RIVALS.items() if name not in installed(name)]
    if machine.cores() < 2:
        missing.append("2 threads (one core here)")
    peak = floor.fma_peak(kernels.isa()) if installed("compute alone") else None
    text = rivals_report.markdown(machine, results, peak, footprint.measured(), missing)
    print(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "rivals.md").write_text(text, encoding="utf-8")
        rivals_report.plot(results, out / "rivals.png")


if __name__ == "__main__":
    main()
