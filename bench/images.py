"""The step of LeNet-5 as a table: ``python -m bench.images`` prints it; BENCH_THREADS=2 on two threads."""
from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import images_networks  # noqa: E402
import machine  # noqa: E402
from images_contestants import able  # noqa: E402
from sequences import with_ratios  # noqa: E402
from workers import Workers  # noqa: E402

from minidl import kernels  # noqa: E402

TURNS, BATCHES, PREDICTED = 5, (4, 16, 128), (1, 64)
UNIT = "minidl compiled"


def steps_measured(workers: Workers) -> dict[str, dict[str, float]]:
    """Microseconds of a training step by batch and contestant."""
    return workers.best_together({f"batch {size}": (able(), ("images", "lenet", size)) for size in BATCHES})


def predictions_measured(workers: Workers) -> dict[str, dict[str, float]]:
    return workers.best_together({f"batch {size}": (able("predict"), ("images predict", "lenet", size))
                                  for size in PREDICTED})


def shares(rows: dict[str, dict[str, float]], peak: float) -> list[str]:
    """Of minidl's steps: what they compute in a second, and its share of the peak, both in GFLOP/s."""
    lines = []
    for size, times in zip(BATCHES, rows.values(), strict=True):
        rate = 2 * images_networks.STEP * size / times[UNIT] / 1e3
        lines.append(f"Batch {size}: {rate:.1f} GFLOP/s, {100 * rate / peak:.0f} % of one core's peak.")
    return [*lines, ""]


def main() -> None:
    print(f"{machine.processor.name()}: {machine.line()}", end="\n\n")
    with Workers(machine.COUNT, TURNS) as workers:
        rows, predictions = steps_measured(workers), predictions_measured(workers)
    print(*with_ratios("LeNet-5 step, µs", rows), sep="\n")
    print(*shares(rows, kernels.replay.peak(kernels.of("f4").TABLE, "f4") / 1e9), sep="\n")
    print(*with_ratios("LeNet-5 outputs, µs", predictions), sep="\n")


if __name__ == "__main__":
    main()
