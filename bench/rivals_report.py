"""The table of rivals as text, and as a picture."""
from __future__ import annotations

from pathlib import Path

import images
import own_steps
import sequences
import simplechains

UNIT = "minidl captured"


def table(first: str, rows: dict[str, dict[str, float]]) -> list[str]:
    """Microseconds, a row a case and a column a rival; the best of a row is bold, the floor aside."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| {first}, µs | " + " | ".join(names) + " |", "|---" + "|---:" * len(names) + "|"]
    for case, row in rows.items():
        best = min(time for name, time in row.items() if name != "compute alone")
        cells = [number(row[name], row[name] == best) if name in row else "" for name in names]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def number(value: float, bold: bool) -> str:
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return f"**{text}**" if bold else text


def chains(times: dict[str, float], peak: float | None) -> list[str]:
    """A step's time, and its products over that time as share of the peak."""
    lines = ["| SimpleChains.jl's workload | µs a step | GFLOP/s | share of the peak |", "|---|---:|---:|---:|"]
    for name, time in times.items():
        rate = simplechains.FLOPS / time / 1e3
        share = f"{100 * rate / peak:.0f} %" if peak else "not measured"
        lines.append(f"| {name} | {time:.0f} | {rate:.1f} | {share} |")
    return [*lines, ""]


def footprint(sizes: dict[str, tuple[float, float]]) -> list[str]:
    lines = ["| package | import, s | installed, MB |", "|---|---:|---:|"]
    lines += [f"| {name} | {seconds:.2f} | {size:.1f} |" for name, (seconds, size) in sizes.items()]
    return [*lines, ""]


def markdown(machine, results: dict[int, dict], peak: float | None, sizes: dict, missing: list[str]) -> str:
    """The whole report."""
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions().items())
    head = "# minidl and its rivals\n\nWritten by `python -m bench.rivals --out docs`; what is timed, and how, " \
           "stands in `bench/README.md`. Least times of one run; only their ratios count.\n"
    lines = [head, f"Machine: {machine.processor.cores()} cores of {machine.processor.name()}. {versions}."]
    if peak:
        lines.append(f"Peak of one core: {peak:.0f} GFLOP/s of multiply-adds in registers.")
    if missing:
        lines.append(f"Left out: {', '.join(missing)}.")
    for threads, rows in results.items():
        count = "one thread" if threads == 1 else f"{threads} threads"
        lines += ["", f"## Training step, {count}", "", *table("step", rows["step"])]
    one = results[1]
    lines += ["## Inference, one thread", "", *table("outputs", one["predict"])]
    lines += ["## A small regression, one thread", "",
              "4-32-16-4 with tanh, squared error, Adam, the full batch of 10 000 at each step.", "",
              *chains(one["chains"], peak)]
    lines += ["## Steps that one writes oneself, one thread", "", *own_steps.tables(one["own"])]
    lines += ["## LeNet-5", "", "Conv 6@5x5, pool, conv 16@5x5, pool, 400-120-84-10, ReLU; a step is with Adam.", ""]
    for threads, rows in results.items():
        lines += sequences.with_ratios(f"step, µs, {threads} thread{'s'[:threads > 1]}", rows["images"])
        if peak and threads == 1:
            lines += [f"{line}\n" for line in images.shares(rows["images"], peak) if line]
    lines += [*sequences.with_ratios("outputs, µs, 1 thread", one["outputs of images"]),
              "## Normalisation, one thread", "", "M3 with a normalisation after each hidden layer, SGD.", "",
              *sequences.norm_tables(one["norms"]),
              "## Sequences, one thread", "", "The networks stand in `bench/sequence_networks.py`.", "",
              *sequences.with_ratios("µs", one["sequences"])]
    lines += ["## Before the first step", "",
              "Sizes are without NumPy's, which every other package needs; scikit-learn's is with SciPy's.", "",
              *footprint(sizes), "![Times of a training step over those of minidl captured](rivals.png)", ""]
    return "\n".join(lines)


def plot(results: dict[int, dict], path: Path) -> None:
    """Each rival's time over that of the captured step, a panel for each number of threads."""
    try:
        import matplotlib
    except ImportError:
        print(f"{path}: left out, needs matplotlib")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, panels = pyplot.subplots(1, len(results), figsize=(6 * len(results), 5), sharey=True, squeeze=False)
    for panel, (threads, rows) in zip(panels[0], results.items(), strict=True):
        steps = rows["step"]
        for i, name in enumerate(dict.fromkeys(name for row in steps.values() for name in row)):
            ratios = {case: row[name] / row[UNIT] for case, row in steps.items() if name in row}
            panel.plot(ratios.keys(), ratios.values(), marker="osD^v<>PX*"[i % 10], color=f"C{i % 10}", label=name,
                       linewidth=2 if name == UNIT else 1)
        panel.set(title="one thread" if threads == 1 else f"{threads} threads", yscale="log")
        panel.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        panel.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        panel.set_yticks([0.5, 1, 2, 5, 10, 20, 50, 100])
        panel.tick_params(axis="x", rotation=60)
        panel.grid(axis="y", alpha=0.4)
    panels[0][0].set_ylabel("time of a training step / minidl captured")
    panels[0][0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
