"""The page of the MNIST records: their table, recipes, curves and wrong digits, from the runs."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import __version__, kernels, processor
from ..sweep.log import Run
from .mnist_networks import NETWORKS
from .mnist_recipe import ImageRecipe
from .mnist_records import RECORDS, result_of

CURVES, TIMES = "mnist_curves.png", "mnist_times.png"

HEAD = """# MNIST beyond the reports

Written by `minidl reproduce mnist-records --page docs`. Every recipe was chosen by its accuracy on 5,000 training
images, held out. Here it is trained on all 60,000 to the end of its last epoch, from several seeds; then, and for
nothing else, the test images are looked at. Seconds are those of training alone, from the first batch, with which
the step is recorded and compiled, to the last; for several networks, all of them, one after the other.
"""


def page(runs: Mapping[str, Sequence[Run]], rows: Sequence[Mapping[str, Any]], pictures: Sequence[str],
         rivals: Mapping[str, Any] | None = None) -> str:
    """The page as Markdown; ``pictures`` are the names of the files that lie beside it.

    rivals : what ``python -m bench.mnist_records --out`` has written, if it was run.
    """
    threads = sorted({run.settings["threads"] for of in runs.values() for run in of})
    cores = processor.cores()
    lines = [HEAD, f"minidl {__version__} ({kernels.isa()}), threads: {', '.join(map(str, threads))}, on "
                   f"{cores} core{'s' if cores > 1 else ''} of {processor.name()}.", "",
             "| record | accuracy, % | single network, % | seconds | parameters | networks | seeds | reached |",
             "|---|---:|---:|---:|---:|---:|---:|---|"]
    for row in rows:
        singles = [member for run in runs[row["record"]] for member in result_of(run)["members"]]
        alone = f"{np.mean(singles):.2f}" if row["networks"] > 1 else ""
        lines.append(f"| `{row['record']}`: {row['title']} | {spread(row['accuracy'], row['accuracy_sd'])} | {alone} "
                     f"| {spread(row['seconds'], row['seconds_sd'])} | {row['parameters']:,} | {row['networks']} "
                     f"| {row['seeds']} | {reached(row)} |")
    lines += ["", "Means over the seeds ± their standard deviation.", *_beside(rivals), "", "## Recipes", ""]
    for name in runs:
        lines += [f"- `{name}`: {told(RECORDS[name].recipe)}"]
    lines += ["", "The networks stand in `minidl/papers/mnist_networks.py`, the numbers in "
                  "`minidl/papers/mnist_records.py`:", ""]
    for network in dict.fromkeys(RECORDS[name].recipe.network for name in runs):
        told_first, *_ = (NETWORKS[network].__doc__ or "").splitlines()
        lines.append(f"- `{network}`: {told_first}")
    if CURVES in pictures:
        lines += ["", "## Curves and times", "", f"![Training loss over seconds]({CURVES})", "",
                  f"![Accuracy and seconds of each seed]({TIMES})"]
    wrong = [name for name in runs if wrong_file(name) in pictures]
    if wrong:
        lines += ["", "## Wrong digits", "", "Those of the first seed, each under \"label > answer\"."]
        for name in wrong:
            lines += ["", f"`{name}`:", "", f"![Wrong digits of {name}]({wrong_file(name)})"]
    return "\n".join(lines) + "\n"


def _beside(rivals: Mapping[str, Any] | None) -> list[str]:
    """The table of bench.mnist_records."""
    if rivals is None:
        return []
    versions = ", ".join(f"{name} {number}" for name, number in rivals["versions"].items())
    mine = rivals["rows"][0]["seconds"]
    return ["", "## Beside PyTorch", "",
            f"The recipe of `{rivals['record']}` in both, in turns, as `python -m bench.mnist_records` trains them: "
            f"{versions}.", "",
            "| | accuracy, % | seconds | times minidl's | threads | seeds |", "|---|---:|---:|---:|---:|---:|",
            *(f"| {row['name']} | {row['accuracy']:.2f} | {row['seconds']:.2f} | {row['seconds'] / mine:.1f} "
              f"| {row['threads']} | {row['seeds']} |" for row in rivals["rows"])]


def told(recipe: ImageRecipe) -> str:
    """The recipe in words."""
    rate = f"one cycle to {recipe.lr:g}" if recipe.one_cycle else f"rate {recipe.lr:g}"
    parts = [f"network `{recipe.network}`", f"{recipe.epochs} epochs of batches of {recipe.batch_size}",
             f"{recipe.optimizer.replace('adam', 'Adam').replace('w', 'W')}, {rate}"]
    if recipe.weight_decay:
        parts.append(f"weight decay {recipe.weight_decay:g}")
    if recipe.label_smoothing:
        parts.append(f"labels smoothed by {recipe.label_smoothing:g}")
    if recipe.cut:
        parts.append(f"the middle {28 - 2 * recipe.cut} x {28 - 2 * recipe.cut} pixels")
    if recipe.shift:
        parts.append(f"each batch shifted by up to {recipe.shift} pixel{'s' if recipe.shift > 1 else ''}")
    if recipe.augmented:
        parts.append(f"turned by up to {recipe.degrees:g}°, sheared by {recipe.shear:g}°, shifted by "
                     f"{100 * recipe.translate:g} %, zoomed by {100 * recipe.zoom:g} %")
    if recipe.members > 1:
        parts.append(f"{recipe.members} networks whose mean probability counts")
    if recipe.votes:
        parts.append(f"each answering for {(2 * recipe.votes + 1) ** 2} shifts of the image")
    return ", ".join(parts) + "."


def reached(row: Mapping[str, Any]) -> str:
    """ "yes", or "no" and what was missed."""
    return "yes" if row["reached"] else f"no: {row['missed']}"


def spread(mean: float, sd: float | None) -> str:
    """ "99.02 ± 0.06" """
    return f"{mean:.2f}" if sd is None else f"{mean:.2f} ± {sd:.2f}"


def wrong_file(name: str) -> str:
    return f"mnist_wrong_{name}.png"


def figures(runs: Mapping[str, Sequence[Run]], images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """{file name: figure}: training losses over time, accuracy and seconds of each seed, wrong digits."""
    from .. import plot
    curves = {name: result_of(of[0])["curve"] for name, of in runs.items()}
    points = {name: ([result_of(run)["seconds"] for run in of], [result_of(run)["accuracy"] for run in of])
              for name, of in runs.items()}
    found: dict[str, Any] = {
        CURVES: plot.by_seconds({name: (of["seconds"], of["loss"]) for name, of in curves.items()}, curves=True,
                                title="Training, first network of the first seed", ylabel="training loss"),
        TIMES: plot.by_seconds(points, title="Test accuracy and training time, a mark a seed",
                               ylabel="accuracy (%)"),
    }
    for name, of in runs.items():
        digits = labels.astype(int)
        wrong = result_of(of[0])["wrong"]
        for place, digit in wrong.items():
            digits[int(place)] = digit
        found[wrong_file(name)] = plot.misclassified(
            images, labels, digits, title=f"{name}: {len(wrong)} of {len(labels)} wrong (label > answer)",
            rows=min(6, max(1, -(-len(wrong) // 12))))
    return found
