"""What the examples share: their options, and the picture that they leave."""
from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import minidl

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")  # Okabe and Ito's


def options(text: str, steps: int, seed: int = 0) -> argparse.Namespace:
    """The command line's ``steps``, ``seed`` and ``out``; ``text`` is the script's docstring. Seeds minidl."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=steps, help=f"how long it trains (default: {steps})")
    parser.add_argument("--seed", type=int, default=seed, help=f"of all that is random (default: {seed})")
    parser.add_argument("--out", type=Path, default=Path("runs") / Path(sys.argv[0]).stem, metavar="DIR",
                        help="the folder for the picture (default: %(default)s)")
    args = parser.parse_args()
    minidl.manual_seed(args.seed)
    return args


def picture(out: Path, draw: Callable, columns: int = 1, width: float = 4.0) -> None:
    """Save what ``draw`` draws into so many axes as ``out``/picture.png; nothing without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        print("no picture: matplotlib is not installed")
        return
    figure = Figure(figsize=(width * columns, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    draw(*axes)
    out.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(out / "picture.png")
    print(f"picture: {out / 'picture.png'}")


def show(ax, text: str) -> None:
    """Text in an axes, its long lines wrapped."""
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, 48) or [""]]
    ax.set_axis_off()
    ax.text(0, 1, "\n".join(lines[:20]), va="top", fontsize=7, family="monospace", in_layout=False)
