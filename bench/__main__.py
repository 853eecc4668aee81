"""A quick look: ``python -m bench`` prints the training step of S, M and M3 as a Markdown table.

The rivals take turns, and each keeps its best time, so that a machine that slows down slows them all.
"""
from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import machine  # noqa: E402
from networks import RIVALS, checked  # noqa: E402

ROWS = [("S", 4), ("S", 16), ("S", 100), ("S", 128), ("M", 16), ("M", 128), ("M3", 16), ("M3", 128)]
TURNS = 25
TURN_SECONDS = 0.01


def seconds(step, count: int) -> float:
    """Of one step, on the average of ``count``."""
    begin = perf_counter()
    for _ in range(count):
        step()
    return (perf_counter() - begin) / count


def best_times(network: str, size: int) -> list[float]:
    """Microseconds of each rival's step, the best of its turns."""
    steps = [checked(rival, network, size).step for rival in RIVALS]
    counts = [1 + int(TURN_SECONDS / seconds(step, 20)) for step in steps]
    turns = [[seconds(step, count) for step, count in zip(steps, counts, strict=True)] for _ in range(TURNS)]
    return [1e6 * min(times) for times in zip(*turns, strict=True)]


def main() -> None:
    """Print the table: microseconds a step, and how many times those of plain minidl they are."""
    print(machine.line(), end="\n\n")
    others = list(RIVALS)[1:]
    head = ["step", *(f"{rival}, µs" for rival in RIVALS), *(f"{rival} / minidl" for rival in others)]
    print("| " + " | ".join(head) + " |")
    print("|---" + "|---:" * (len(head) - 1) + "|")
    for network, size in ROWS:
        times = best_times(network, size)
        cells = [f"{network}, batch {size}", *(f"{time:.1f}" for time in times),
                 *(f"{time / times[0]:.2f}" for time in times[1:])]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
