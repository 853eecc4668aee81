"""The steps that one writes oneself, as a table: ``python -m bench.own_steps`` prints it alone, in two minutes."""
from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import machine  # noqa: E402
import own_networks  # noqa: E402
from own_contestants import PLACES, UNITS, able  # noqa: E402
from workers import Workers  # noqa: E402

TURNS = 31
RATIOS = (("PyTorch eager", "minidl compiled"), ("JAX jit", "minidl compiled"), ("JAX jit ahead", "minidl compiled"),
          ("minidl plain", "minidl compiled"), ("PyTorch eager", "minidl plain"))
ADDITIONS = (("minidl compiled", "minidl compiled"), ("minidl compiled", "minidl captured"),
             ("minidl plain", "minidl plain"), ("PyTorch eager", "PyTorch eager"), ("JAX jit", "JAX jit"))
HEAD = f"""Batch {own_networks.BATCH}; the networks stand in `bench/own_networks.py`, the steps in `bench/own_eager.py`.
Least times of one run, in turns, each contestant checked against float64 first.
"""


def case(network: str, units: int) -> str:
    return f"{network}, {units} units"


def measured(workers: Workers) -> dict[str, dict[str, float]]:
    """Microseconds of a step: rows by case, of each contestant."""
    return workers.best_together({case(network, units): (able(network), ("own", network, units))
                                  for network in own_networks.NAMES for units in UNITS})


def cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def table(head: list[str], lines: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|",
            *("| " + " | ".join(line) + " |" for line in lines), ""]


def over(row: dict[str, float], first: str, other: dict[str, float], second: str) -> str:
    return cell(row[first] / other[second]) if first in row and second in other else ""


def tables(rows: dict[str, dict[str, float]]) -> list[str]:
    """The times; their ratios; and what the additions of the residual network cost."""
    names = [name for name in PLACES if any(name in row for row in rows.values())]
    lines = [HEAD, *table(["step, µs", *names],
                          [[name, *(cell(row.get(rival)) for rival in names)] for name, row in rows.items()])]
    ratios = [pair for pair in RATIOS if set(pair) <= set(names)]
    lines += table(["ratio", *(" / ".join(pair) for pair in ratios)],
                   [[name, *(over(row, first, row, second) for first, second in ratios)]
                    for name, row in rows.items()])
    pairs = [pair for pair in ADDITIONS if set(pair) <= set(names)]
    return lines + table(
        ["residual / sequential", *(first if first == second else " / ".join((first, second))
                                    for first, second in pairs)],
        [[f"{units} units", *(over(rows[case("residual", units)], first, rows[case("sequential", units)], second)
                              for first, second in pairs)] for units in UNITS])


def main() -> None:
    print(f"{machine.processor.name()}: {machine.line()}", end="\n\n")
    with Workers(machine.COUNT, TURNS) as workers:
        print("\n".join(tables(measured(workers))))


if __name__ == "__main__":
    main()
