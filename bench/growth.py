"""Does cost grow evenly? ``python -m bench.growth`` prints it, ``--out docs`` writes growth.md and growth.png there.

Microseconds a row of the captured step over the batch, 1 to 4096, and the share of the core's peak over the width of
three square layers, 16 to 2048, at batch 128. The sizes take turns, and each keeps its best time: who shares the
machine disturbs some of them. A size whose rate lies more than a tenth below that of both its neighbours is a dip, and
is named.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import floor  # noqa: E402
import machine  # noqa: E402
import numpy as np  # noqa: E402
from networks import WIDTHS, MinidlCaptured  # noqa: E402
from turns import best_of_turns  # noqa: E402

import minidl  # noqa: E402
from minidl import kernels, nn, optim  # noqa: E402

BATCHES = [2**k for k in range(13)]
SIZES = [16, 24, 32, 48, 64, 96, 100, 128, 192, 250, 256, 384, 512, 768, 1000, 1024, 1536, 2048]
BATCH = 128
TURNS = 20


def over_batches(network: str) -> dict[int, float]:
    """{batch: microseconds a row}"""
    times = best_of_turns([MinidlCaptured(network, size).step for size in BATCHES], TURNS)
    return {size: 1e6 * time / size for size, time in zip(BATCHES, times, strict=True)}


def square(width: int):
    """The captured step of three layers of this width, squared error and SGD, and its products' operations."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(width, width, generator=rng), nn.ReLU(), nn.Linear(width, width, generator=rng),
                          nn.ReLU(), nn.Linear(width, width, generator=rng))
    step = minidl.capture(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e-3))
    x, t = (rng.standard_normal((BATCH, width), np.float32) for _ in range(2))
    return (lambda: step(x, t)), 8 * 2 * BATCH * width * width  # y and dW of three layers, dx of two


def over_widths(peak: float) -> dict[int, float]:
    """{width: share of the peak in percent}"""
    steps, operations = zip(*map(square, SIZES), strict=True)
    times = best_of_turns(steps, TURNS)
    return {width: 100 * count / time / 1e9 / peak for width, count, time in zip(SIZES, operations, times, strict=True)}


def dips(rates: dict[int, float]) -> list[int]:
    """The sizes whose rate is below 0.9 of both neighbours'."""
    sizes = list(rates)
    return [sizes[i] for i in range(1, len(sizes) - 1)
            if rates[sizes[i]] < 0.9 * min(rates[sizes[i - 1]], rates[sizes[i + 1]])]


def markdown(rows: dict[str, dict[int, float]], shares: dict[int, float], peak: float) -> str:
    named = [f"{network} at batch {size}" for network, times in rows.items()
             for size in dips({size: 1 / value for size, value in times.items()})]
    named += [f"width {size}" for size in dips(shares)]
    lines = ["# Growth", "", "Written by `python -m bench.growth --out docs`; see `bench/README.md`.", "",
             f"Machine: one core of {machine.processor.name()}, {kernels.isa()}, peak {peak:.0f} GFLOP/s.", "",
             "Microseconds a row of a captured step:", "",
             "| batch | " + " | ".join(rows) + " |", "|---:" + "|---:" * len(rows) + "|"]
    lines += [f"| {size} | " + " | ".join(f"{times[size]:.3g}" for times in rows.values()) + " |" for size in BATCHES]
    lines += ["", f"Three square layers at batch {BATCH}, share of the peak:", "", "| width | share |", "|---:|---:|"]
    lines += [f"| {width} | {share:.0f} % |" for width, share in shares.items()]
    lines += ["", f"More than a tenth below both neighbours: {', '.join(named) or 'none'}.", "",
              "![Microseconds a row over the batch, share of the peak over the width](growth.png)", ""]
    return "\n".join(lines)


def plot(rows: dict[str, dict[int, float]], shares: dict[int, float], path: Path) -> None:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5))
    for network, times in rows.items():
        left.plot(list(times), list(times.values()), marker="o", label=network)
    left.set(xscale="log", yscale="log", xlabel="batch", ylabel="µs a row", title="captured step, one thread")
    left.xaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
    left.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    left.set_xticks([1, 4, 16, 64, 256, 1024, 4096])
    left.set_ylim(top=8 * max(max(times.values()) for times in rows.values()))  # room for the legend
    left.legend(title="network", ncols=3, loc="upper right")
    right.plot(list(shares), list(shares.values()), marker="o")
    right.set(xscale="log", ylim=(0, 100), xlabel="width of three layers", ylabel="% of the core's peak",
              title=f"batch {BATCH}, one thread")
    right.set_xticks([16, 64, 256, 1024, 2048])
    right.xaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
    right.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    for panel in (left, right):
        panel.grid(alpha=0.4)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder of growth.md and growth.png")
    out = parser.parse_args().out
    peak = floor.fma_peak(kernels.isa())
    rows, shares = {network: over_batches(network) for network in WIDTHS}, over_widths(peak)
    text = markdown(rows, shares, peak)
    print(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "growth.md").write_text(text, encoding="utf-8")
        plot(rows, shares, out / "growth.png")


if __name__ == "__main__":
    main()
