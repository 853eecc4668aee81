"""Recurrent layers and a character GPT against PyTorch eager and JAX jit: ``python -m bench.sequences``, one thread."""
from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import machine  # noqa: E402
import norm_networks  # noqa: E402
import sequence_networks  # noqa: E402
import twins  # noqa: E402
from own_steps import cell, table  # noqa: E402
from workers import Workers  # noqa: E402

UNIT = "minidl compiled"


def measured(workers: Workers) -> dict[str, dict[str, float]]:
    """Microseconds by case and contestant, training and forward."""
    return workers.best_together({
        f"{name}, batch {size}, {what}": (twins.able(name), (kind, name, size))
        for name, size in sequence_networks.CASES
        for what, kind in (("training", "twins"), ("forward", "twins predict"))})


def norms_measured(workers: Workers) -> dict[str, dict[str, float]]:
    """Microseconds of a training step of M3 with and without normalisation."""
    return workers.best_together({f"{name}, batch {size}": (twins.able(name), ("twins", name, size))
                                  for name, size in norm_networks.CASES})


def with_ratios(first: str, rows: dict[str, dict[str, float]], unit: str = UNIT) -> list[str]:
    """The times as a table, and in its last columns the others' over minidl's."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    others = [name for name in names if name != unit]
    return table([first, *names, *(f"{name} / minidl" for name in others)], [
        [case, *(cell(row.get(name)) for name in names),
         *(cell(row[name] / row[unit]) if name in row else "" for name in others)] for case, row in rows.items()])


def norm_tables(rows: dict[str, dict[str, float]]) -> list[str]:
    """The same, and what a normalisation adds to the step without."""
    (_, plain), *others = rows.items()
    adds = [f"{case}: {100 * (row[UNIT] / plain[UNIT] - 1):.0f} %" for case, row in others]
    return [*with_ratios("step, µs", rows), f"What it adds to minidl's step: {'; '.join(adds)}.", ""]


def main() -> None:
    print(f"{machine.processor.name()}: {machine.line()}", end="\n\n")
    with Workers(machine.COUNT) as workers:
        print("\n".join(with_ratios("µs", measured(workers))))
        print("\n".join(norm_tables(norms_measured(workers))))


if __name__ == "__main__":
    main()
