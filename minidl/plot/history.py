"""Loss and accuracy of one training, or of several side by side."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from ..training.history import History
from .style import axes_of, curve, finish_curves

BY = {"epoch": "epoch", "seconds": "seconds of training"}
Histories = History | Mapping[str, History]


def loss(history: Histories, *, by: str = "epoch", log: bool = True, title: str = "", ax: Axes | None = None) -> Axes:
    """The loss of training (solid) and of validation (dashed), after each epoch.

    history : that of ``fit``, or several by their names. by : "epoch" or "seconds", along x. log : the scale of y.
    Raises ValueError where there is nothing to draw.
    """
    columns = ("loss", "validation_loss")
    return _drawn("loss", history, columns, lambda value: value, by, log, title, "loss", ax)


def accuracy(history: Histories, *, by: str = "epoch", title: str = "", ax: Axes | None = None) -> Axes:
    """The accuracy in percent, of training (solid) and of validation (dashed); arguments and errors as in ``loss``."""
    columns = ("error", "validation_error")
    return _drawn("accuracy", history, columns, lambda value: 100 - value, by, False, title, "accuracy (%)", ax)


def _drawn(who: str, history: Histories, columns: Sequence[str], value_of, by: str, log: bool, title: str,
           ylabel: str, ax: Axes | None) -> Axes:
    if by not in BY:
        raise ValueError(f"{who}: expected by to be one of {', '.join(BY)}, got {by!r}")
    several = isinstance(history, Mapping)
    named = dict(history) if isinstance(history, Mapping) else {"": history}
    if any(not isinstance(one, History) for one in named.values()):
        raise TypeError(f"{who}: expected a History, or several by their names")
    ax = axes_of(ax, title=title, xlabel=BY[by], ylabel=ylabel)
    for i, (name, one) in enumerate(named.items()):
        x = one.seconds if by == "seconds" else range(1, len(one) + 1)
        for style, (column, kind) in enumerate(zip(columns, ("training", "validation"), strict=True)):
            values = getattr(one, column)
            if any(value is not None for value in values):
                shown = [None if value is None else value_of(value) for value in values]
                label = f"{name}, {kind}" if several else kind
                curve(ax, shown, label=label, colour=i if several else style, style=style, x=x)
    if not ax.lines:
        raise ValueError(f"{who}: expected a history with {' or '.join(columns)}, got none")
    return finish_curves(ax, log=log, whole=by == "epoch")
