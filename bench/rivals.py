"""The table of rivals: ``python -m bench.rivals`` prints it, ``--out docs`` writes it there, with a plot.

Every rival runs in a process of its own for each number of threads, pinned to as many cores; all are
checked against float64 before they are timed; they take turns, and each keeps its best time.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import floor  # noqa: E402
import footprint  # noqa: E402
import images  # noqa: E402
import machine  # noqa: E402
import own_steps  # noqa: E402
import rivals_report  # noqa: E402
import sequences  # noqa: E402
import simplechains  # noqa: E402
from contestants import RIVALS, able, installed  # noqa: E402
from networks import WIDTHS  # noqa: E402
from workers import Workers  # noqa: E402

from minidl import kernels  # noqa: E402

STEPS = [*(("S", size) for size in (4, 16, 100, 128)),
         *((network, size) for network in ("M", "M3", "L") for size in (16, 128)), ("RL", 64), ("P", 128)]
PREDICTIONS = [(network, size) for network in WIDTHS for size in (1, 64)]


def trained_by(network: str, threads: int) -> list[str]:
    """Who has a step of this network; the arithmetic alone knows one thread only."""
    return [name for name in able("step", network) if threads == 1 or name != "compute alone"]


def measured(threads: int) -> dict:
    """Steps, and on one thread all else: rows by name, of microseconds by rival."""
    with Workers(threads) as workers:
        rows = {"step": {f"{network}, batch {size}": workers.best(trained_by(network, threads), "step", network, size)
                         for network, size in STEPS}}
        if threads == 1:
            rows["predict"] = {
                f"{network}, batch {size}": workers.best(able("predict", network), "predict", network, size)
                for network, size in PREDICTIONS}
            names = installed(*simplechains.CLASSES)
            rows["chains"] = workers.best(names, "chains", "4-32-16-4", 10_000)
            rows["own"] = own_steps.measured(workers)
            rows["outputs of images"] = images.predictions_measured(workers)
            rows["sequences"], rows["norms"] = sequences.measured(workers), sequences.norms_measured(workers)
        rows["images"] = images.steps_measured(workers)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rivals", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder of rivals.md and rivals.png")
    out = parser.parse_args().out
    results = {threads: measured(threads) for threads in (1, 2) if threads <= machine.processor.cores()}
    missing = [f"{name} (needs {rival.package})" for name, rival in RIVALS.items() if name not in installed(name)]
    if machine.processor.cores() < 2:
        missing.append("2 threads (one core here)")
    peak = floor.fma_peak(kernels.isa()) if installed("compute alone") else None
    text = rivals_report.markdown(machine, results, peak, footprint.measured(), missing)
    print(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "rivals.md").write_text(text, encoding="utf-8")
        rivals_report.plot(results, out / "rivals.png")


if __name__ == "__main__":
    main()
