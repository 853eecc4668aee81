"""predict beside onnxruntime: ``python -m bench.inference`` prints S, M, M3 and L with batches of 1, 16 and 64.

Each has a process of its own for each number of threads, pinned to as many cores; both are checked against
float64 before they are timed; they take turns, and each keeps its best time.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import machine  # noqa: E402
from contestants import installed  # noqa: E402
from workers import Workers  # noqa: E402

NAMES = ("minidl", "onnxruntime")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.inference", description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["S", "M", "M3", "L"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--turns", type=int, default=11)
    given = parser.parse_args()
    names = installed(*NAMES)
    print(machine.processor.name(), machine.line(), sep="; ")
    for threads in given.threads:
        with Workers(threads, given.turns) as workers:
            rows = workers.best_together({
                f"{network}, batch {size}": (names, ("predict", network, size))
                for network in given.networks for size in given.batches})
        for row, times in rows.items():
            ours = times[names[0]]
            rivals = ", ".join(f"{name} {times[name]:.4g} µs ({times[name] / ours:.2f} times)" for name in names[1:])
            print(f"{threads} threads, {row}: {names[0]} {ours:.4g} µs, {rivals}", flush=True)


if __name__ == "__main__":
    main()
