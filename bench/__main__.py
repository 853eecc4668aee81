"""A quick look: ``python -m bench`` prints the training step of S, M and M3 as a Markdown table."""
from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import machine  # noqa: E402
from contestants import checked, installed  # noqa: E402
from turns import best_of_turns  # noqa: E402

ROWS = [("S", 4), ("S", 16), ("S", 100), ("S", 128), ("M", 16), ("M", 128), ("M3", 16), ("M3", 128)]
NAMES = installed("minidl captured", "minidl", "minidl tape", "NumPy by hand", "PyTorch eager")
TURNS = 25


def main() -> None:
    """Print the table: microseconds a step, and how many times those of the captured step they are."""
    print(machine.line(), end="\n\n")
    head = ["step", *(f"{name}, µs" for name in NAMES), *(f"{name} / captured" for name in NAMES[1:])]
    print("| " + " | ".join(head) + " |")
    print("|---" + "|---:" * (len(head) - 1) + "|")
    for network, size in ROWS:
        times = [1e6 * t for t in best_of_turns([checked(name, network, size).step for name in NAMES], TURNS)]
        cells = [f"{network}, batch {size}", *(f"{time:.1f}" for time in times),
                 *(f"{time / times[0]:.2f}" for time in times[1:])]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
