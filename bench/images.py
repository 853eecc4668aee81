"""The step of LeNet-5 as a table: ``python -m bench.images`` prints it; BENCH_THREADS=2 on two threads."""
from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import images_networks  # noqa: E402
import machine  # noqa: E402
from images_contestants import able  # noqa: E402
from own_steps import cell, table  # noqa: E402
from workers import Workers  # noqa: E402

from minidl import kernels  # noqa: E402

TURNS, BATCHES = 5, (4, 16, 128)


def main() -> None:
    names = able()
    print(f"{machine.processor()}: {machine.line()}", end="\n\n")
    with Workers(machine.COUNT, TURNS) as workers:
        rows = workers.best_together({f"batch {size}": (names, ("images", "lenet", size)) for size in BATCHES})
    print(*table(["LeNet-5 step, µs", *names], [[row, *(cell(times[name]) for name in names)]
                                              for row, times in rows.items()]), sep="\n")
    mine, *rivals = names
    print(*table(["ratio", *(f"{rival} / {mine}" for rival in rivals)],
                 [[row, *(cell(times[rival] / times[mine]) for rival in rivals)] for row, times in rows.items()]),
          sep="\n")
    peak = kernels.replay.peak(kernels.of("f4").TABLE, "f4")
    for size, times in zip(BATCHES, rows.values(), strict=True):
        rate = 2 * images_networks.STEP * size / times[mine] * 1e6
        print(f"batch {size}: {rate / 1e9:.1f} GFLOP/s, {100 * rate / peak:.0f} % of one core's peak")


if __name__ == "__main__":
    main()
