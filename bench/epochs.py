"""Whole trainings: ``python -m bench.epochs`` prints what a step of S costs in ``fit``, everything included.

1000 samples, shuffled anew in each epoch, batches of 4, 16 and 100, softmax cross-entropy and plain SGD, one thread.
Beside it stand the arithmetic alone, which is one call of the compiled program that makes the steps of an epoch without
Python, on rows in their order; a call of the captured step for each batch; and ``fit`` step by step. What is timed is
an epoch, from the end of one to the end of the next: the best of many, in turns.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import machine  # noqa: E402
import numpy as np  # noqa: E402
from networks import MinidlCaptured  # noqa: E402

import minidl  # noqa: E402
from minidl.training import stretches  # noqa: E402

SAMPLES = 1000
SIZES = (4, 16, 100)
EPOCHS = 100  # of a turn
TURNS = 20
WAYS = ("fit", "arithmetic alone", "captured call", "fit, step by step")


class Training:
    """S, and the ways to train it; each gives the seconds of its best epoch among EPOCHS."""

    def __init__(self, size: int):
        self.size, self.steps = size, -(-SAMPLES // size)
        self.parts = MinidlCaptured("S", SAMPLES)
        self.x, self.y = self.parts.x, self.parts.y
        self.order, self.batch = np.arange(SAMPLES), (self.x[:size].copy(), self.y[:size].copy())
        self.captured = minidl.capture(self.parts.model, self.parts.criterion, self.parts.optimizer)
        self.captured(*self.batch)

    def trained(self, epochs: int, captured: bool = True) -> minidl.History:
        return minidl.fit(self.parts.model, self.parts.criterion, self.parts.optimizer, (self.x, self.y), epochs=epochs,
                          batch_size=self.size, seed=0, progress=False, captured=captured)

    def fit(self) -> float:
        return float(np.diff(self.trained(EPOCHS + 1).seconds).min())

    def fit_step_by_step(self) -> float:
        before = stretches.Stretches.run
        stretches.Stretches.run = lambda self, order, size: 0  # type: ignore[method-assign]
        try:
            return self.fit()
        finally:
            stretches.Stretches.run = before  # type: ignore[method-assign]

    def alone(self) -> float:
        self.captured(*self.batch)
        return best(lambda: self.captured.program.steps(self.x, self.y, self.order, self.size, 0.0))

    def calls(self) -> float:
        def epoch() -> None:
            for _ in range(self.steps):
                self.captured(*self.batch)

        return best(epoch)

    def times(self, *ways: Callable[[], float], turns: int = TURNS) -> list[float]:
        """Microseconds a step, of each of these ways."""
        rounds = [[way() for way in ways] for _ in range(turns)]
        return [1e6 * min(seconds) / self.steps for seconds in zip(*rounds, strict=True)]


def best(epoch: Callable[[], object]) -> float:
    """The least seconds of so many calls."""
    found = []
    for _ in range(EPOCHS):
        begin = perf_counter()
        epoch()
        found.append(perf_counter() - begin)
    return min(found)


def check(size: int) -> None:
    """The weights and the losses of the compiled training are those of the plain one."""
    plain, compiled = Training(size), Training(size)
    histories = [compiled.trained(3), plain.trained(3, captured=False)]
    assert histories[0].iteration_loss == histories[1].iteration_loss and histories[0].path == "compiled"
    for a, b in zip(compiled.parts.weights(), plain.parts.weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def arithmetic_in_fit(size: int, turns: int) -> float:
    """Time of the arithmetic alone over that of fit."""
    training = Training(size)
    ours, alone = training.times(training.fit, training.alone, turns=turns)
    return alone / ours


def main() -> None:
    """Print the table: microseconds a step, and how many times the arithmetic alone fit takes."""
    print(machine.line(), end="\n\n")
    print("| S, batch | " + " | ".join(f"{way}, µs" for way in WAYS) + " | fit / arithmetic alone |")
    print("|---" + "|---:" * (len(WAYS) + 1) + "|")
    for size in SIZES:
        check(size)
        training = Training(size)
        times = training.times(training.fit, training.alone, training.calls, training.fit_step_by_step)
        print(f"| {size} | " + " | ".join(f"{time:.2f}" for time in times) + f" | {times[0] / times[1]:.2f} |",
              flush=True)


if __name__ == "__main__":
    main()
