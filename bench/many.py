"""A thousand networks at once: ``python -m bench.many`` prints what one of them costs, with minidl and its rivals.

Networks S from 1000 initial weights, 960 samples in shuffled batches of 16, one epoch (60 steps) of softmax
cross-entropy and plain SGD, on all cores. minidl trains them by ``fit_many``; JAX by ``vmap`` over the networks of a
``scan`` over the batches; PyTorch, on one thread, which is its fastest here, one after the other. All see the batches
in one order. Making the networks is not timed, nor is JAX's compilation. "Arithmetic alone" is a call of the compiled
program that makes 60 steps without Python, divided by the number of cores.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import perf_counter

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import machine  # noqa: E402
import networks  # noqa: E402
import numpy as np  # noqa: E402
from contestants import present  # noqa: E402
from networks import WIDTHS  # noqa: E402

import minidl  # noqa: E402

COUNT, SAMPLES, SIZE, SEED = 1000, 960, 16, 0
STEPS = SAMPLES // SIZE
TURNS = 5
CHECKED = (0, 1)
TITLE = "## What it costs"
RIVALS = {"JAX vmap and scan": ("jax", "many_jax"), "PyTorch loop": ("torch", "many_pytorch")}


def data() -> tuple[np.ndarray, np.ndarray]:
    """X (960, 2), normal, and the labels of a disk."""
    x = np.random.default_rng(0).standard_normal((SAMPLES, 2), np.float32)
    return x, ((x**2).sum(axis=1) < 1).astype(np.int64)


def order() -> np.ndarray:
    """The rows as ``fit`` shuffles them for the first epoch."""
    return minidl.data.Batches(SAMPLES, SIZE, generator=SEED).order()


def weights(number: int) -> list[np.ndarray]:
    """W (in, out) and b (out,) of each layer of one network."""
    return networks.weights("S", [1, number])


def by_hand(number: int) -> list[np.ndarray]:
    """The weights that a network has to end with, in float64."""
    x, y = data()
    judge = networks.ByHand("S", SIZE, np.float64)
    judge.put(weights(number))
    for rows in order().reshape(STEPS, SIZE):
        judge.x, judge.y = x[rows].astype(np.float64), y[rows]
        judge.step()
    return judge.weights()


class Minidl:
    """``fit_many``; and, of one network, ``fit``."""

    count = COUNT

    def made(self, count: int) -> list[networks.Minidl]:
        made = []
        for number in range(count):
            one = networks.Minidl("S", 1)
            for parameter, value in zip(one.model.parameters(), weights(number), strict=True):
                parameter.data = value.T
            made.append(one)
        return made

    def seconds(self) -> float:
        trained, (x, y) = self.made(self.count), data()
        begin = perf_counter()
        minidl.fit_many([one.model for one in trained], minidl.nn.CrossEntropyLoss(),
                        [one.optimizer for one in trained], (x, y), batch_size=SIZE, seed=SEED, progress=False)
        seconds = perf_counter() - begin
        self.trained = trained
        return seconds / self.count

    def weights(self, number: int) -> list[np.ndarray]:
        return self.trained[number].weights()

    def check_bits(self) -> None:
        """Networks among many have the bits of their own training."""
        for among, alone in zip(self.trained, self.made(3), strict=False):
            minidl.fit(alone.model, alone.criterion, alone.optimizer, data(), batch_size=SIZE, seed=SEED,
                       progress=False)
            for a, b in zip(among.weights(), alone.weights(), strict=True):
                np.testing.assert_array_equal(a, b)


class Alone:
    """The arithmetic of one network over the number of cores."""

    def __init__(self):
        self.x, self.y = data()
        self.parts = networks.MinidlCaptured("S", SIZE)
        self.captured = minidl.capture(self.parts.model, self.parts.criterion, self.parts.optimizer)
        self.captured(self.x[:SIZE], self.y[:SIZE])

    def seconds(self) -> float:
        rows, found = order(), []
        self.captured(self.x[:SIZE], self.y[:SIZE])
        for _ in range(COUNT // 4):
            begin = perf_counter()
            self.captured.program.steps(self.x, self.y, rows, SIZE, 0.0)
            found.append(perf_counter() - begin)
        return float(np.median(found)) / machine.processor.cores()


def check(rival) -> None:
    """The networks' weights are those of float64."""
    for number in CHECKED:
        for mine, right in zip(rival.weights(number), by_hand(number), strict=True):
            np.testing.assert_allclose(mine, right, rtol=1e-3, atol=1e-4)


def measured(module: str) -> None:
    """In a process of its own: print the seconds of a network, turn by turn, when a line comes in."""
    rival = import_module(module).Many()
    rival.seconds()
    check(rival)
    for _ in sys.stdin:
        print(json.dumps(rival.seconds()), flush=True)


def turn_of(module: str) -> tuple[subprocess.Popen, Callable[[], float]]:
    """The process of a rival, and a function that gives the seconds of its next turn."""
    threads = {"BENCH_THREADS": str(machine.processor.cores())}
    process = subprocess.Popen([sys.executable, __file__, module], text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=os.environ | threads)

    def turn() -> float:
        assert process.stdin and process.stdout
        process.stdin.write("\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    return process, turn


def times(turns: int = TURNS) -> dict[str, float]:
    """Microseconds of one network, the best of some turns."""
    ours = Minidl()
    ours.seconds()
    check(ours)
    ours.check_bits()
    ways: dict[str, Callable[[], float]] = {"minidl fit_many": ours.seconds, "arithmetic alone": Alone().seconds}
    processes = []
    for name, (package, module) in RIVALS.items():
        if present(package):
            process, ways[name] = turn_of(module)
            processes.append(process)
    try:
        rounds = [{name: way() for name, way in ways.items()} for _ in range(turns)]
    finally:
        for process in processes:
            process.communicate()
    return {name: 1e6 * min(seconds[name] for seconds in rounds) for name in ways}


def table(found: dict[str, float]) -> str:
    """The last section of docs/many.md."""
    ours, alone = found["minidl fit_many"], found["arithmetic alone"]
    widths = "-".join(map(str, WIDTHS["S"]))
    lines = [TITLE, "", f"Microseconds a network: {COUNT} networks S = {widths}, batch {SIZE}, {STEPS} steps each,",
             f"on {machine.processor.cores()} cores of an {machine.processor.name()}. "
             "Written by `python -m bench.many --out docs`.", "",
             "| | µs a network | times `fit_many` |", "|---|---:|---:|",
             *(f"| {name} | {time:.0f} | {time / ours:.2f} |" for name, time in found.items()), "",
             f"`fit_many` takes {ours / alone:.1f} times the arithmetic alone. The rest is Python: each network is a "
             "module, an optimizer, a", "generator and a history of its own, which are looked at, filled and put back. "
             "It is the same for longer trainings."]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.many", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder of many.md, whose last section is written anew")
    out = parser.parse_args().out
    text = table(times())
    print(text)
    if out is not None:
        page = out / "many.md"
        before, _, _ = page.read_text(encoding="utf-8").partition(TITLE)
        page.write_text(before + text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in [module for _, module in RIVALS.values()]:
        measured(sys.argv[1])
    else:
        main()
