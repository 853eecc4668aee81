"""LivePlot: curves in a notebook that grow while the model is trained."""
from __future__ import annotations

import io
import time
from typing import Any

from .callbacks import Callback
from .history import EPOCH_COLUMNS, History


class Picture:
    """A PNG, as a notebook shows it."""

    def __init__(self, png: bytes, text: str):
        self.png, self.text = png, text

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return self.text


class LivePlot(Callback):
    """Loss, and accuracy where the targets are classes, in one picture of a notebook, which is redrawn on the way.

    interval : seconds between two drawings, each of which takes some 0.1 s; the last epoch is always drawn.
    accuracy : False leaves the accuracy out. Needs matplotlib (``minidl[plot]``) and IPython, which every notebook
    brings: ImportError without them.
    """

    def __init__(self, interval: float = 0.5, accuracy: bool = True):
        if not interval >= 0:
            raise ValueError(f"LivePlot: expected interval >= 0, got {interval}")
        try:
            import matplotlib  # noqa: F401
            from IPython.display import display
        except ImportError as error:
            raise ImportError(f"LivePlot: {error}; it needs matplotlib, and IPython as in a notebook") from error
        self.interval, self.accuracy, self._display = interval, accuracy, display

    def on_train_begin(self, model, optimizer, epochs):
        self.history, self.epochs, self.drawn, self.handle = History(), epochs, 0, None
        self.last = -float("inf")

    def on_epoch_end(self, epoch, logs):
        self.history.append({name: logs[name] for name in EPOCH_COLUMNS})
        if time.monotonic() - self.last >= self.interval:
            self._draw()

    def on_train_end(self):
        if len(self.history) > self.drawn:
            self._draw()

    def _draw(self) -> None:
        picture = self._picture()
        if self.handle is None:
            self.handle = self._display(picture, display_id=True)
        else:
            self.handle.update(picture)
        self.drawn, self.last = len(self.history), time.monotonic()

    def _picture(self) -> Picture:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        from .. import plot

        classes = self.accuracy and any(value is not None for value in self.history.error)
        figure = Figure(figsize=(9.6 if classes else 6.4, 3.6), dpi=90, layout="constrained")
        axes: Any = figure.subplots(1, 1 + classes, squeeze=False)[0]
        plot.loss(self.history, ax=axes[0])
        if classes:
            plot.accuracy(self.history, ax=axes[1])
        figure.suptitle(f"epoch {len(self.history)} of {self.epochs}")
        file = io.BytesIO()
        FigureCanvasAgg(figure).print_png(file)
        return Picture(file.getvalue(), repr(self.history))
