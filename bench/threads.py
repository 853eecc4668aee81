"""What do two threads bring, and are they ever slower than one? ``python -m bench.threads`` prints the captured step.

Batches of 1 to 1024 of each network; the two take turns in one process, and each keeps its best time. A case in which
two threads take more than 3 % longer, or are less than 1.8 times as fast where they should be (M3 and L from 128 rows),
is measured again, in up to four rounds: a loaded machine hurts them first.
"""
from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import machine  # noqa: E402
from networks import WIDTHS, MinidlCaptured  # noqa: E402
from turns import count_for, seconds  # noqa: E402

import minidl  # noqa: E402

SIZES = [2**k for k in range(11)]
TURNS, TURN_SECONDS = 9, 0.01
ROUNDS, ALLOWED = 4, 1.03
LARGE, TIMES_AS_FAST = 128, 1.8  # rows of a batch


def both(network: str, size: int) -> tuple[float, float]:
    """Microseconds of a step on one thread, and on two."""
    step = MinidlCaptured(network, size).step
    count, times = count_for(step, TURN_SECONDS), [float("inf")] * 2
    for _ in range(TURNS):
        for threads in (1, 2):
            minidl.set_num_threads(threads)
            step()  # the threads are awake
            times[threads - 1] = min(times[threads - 1], seconds(step, count))
    minidl.set_num_threads(machine.COUNT)
    return 1e6 * times[0], 1e6 * times[1]


def wanted(network: str, size: int) -> float:
    """How many times as fast two threads should be."""
    return TIMES_AS_FAST if network in ("M3", "L") and size >= LARGE else 1 / ALLOWED


def main() -> int:
    """1 if two threads are slower somewhere, or not so fast as they should be."""
    if machine.processor.cores() < 2:
        print("one core here: nothing to measure")
        return 0
    print(machine.processor.name(), end="\n\n")
    print("| network | batch | one thread, µs | two, µs | times as fast |")
    print("|---|---:|---:|---:|---:|")
    slower, begin = [], perf_counter()
    for network in WIDTHS:
        for size in SIZES:
            for _ in range(ROUNDS):
                one, two = both(network, size)
                if one / two >= wanted(network, size):
                    break
            else:
                slower.append(f"{network}, batch {size}: {one / two:.2f}")
            print(f"| {network} | {size} | {one:.2f} | {two:.2f} | {one / two:.2f} |", flush=True)
    print(f"\nTwo threads are more than {ALLOWED - 1:.0%} slower, or less than {TIMES_AS_FAST} times as fast at M3 and "
          f"L from {LARGE} rows: {'; '.join(slower) or 'nowhere'} ({perf_counter() - begin:.0f} s)")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
