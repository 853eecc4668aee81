"""Where a step's time goes: its listing with microseconds, GFLOP/s and the share of the core's measured peak."""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import arrays, kernels
from ..kernels.replay import UNFIT, peak
from .listing import Names, argument_names, rows, shown
from .nesting import arrays_of
from .snapshot import Snapshot


class Profile:
    """A step's instructions with their times; printed, it is a table. The time to copy the batch in is left out.

    rows : (text, seconds, whether a kernel does it) of each line of the listing. seconds : of them all.
    peak : operations per second of one core that does multiply-adds in registers alone, measured here and now.
    """

    def __init__(self, rows: list[tuple[str, float, bool]], peak: float, text: str):
        self.rows, self.peak, self._text = rows, peak, text

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds, _ in self.rows)

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__


def profile(step, args: tuple, named: dict, repeats: int, things: tuple, names: list[str]) -> Profile:
    """The profile of a RecordedStep for these arguments: the median of so many runs, one instruction after the other.

    things : what the step changes, which is put back. names : of the arguments.
    """
    if not isinstance(repeats, int) or isinstance(repeats, bool) or repeats < 1:
        raise ValueError(f"profile: expected repeats >= 1, got {repeats!r}")
    before = Snapshot(*things)
    try:
        step.slow(args, named)  # records it, if necessary
        if step.reason:
            raise RuntimeError(f"profile: this step has no program: it runs plain, since {step.reason}")
        recording = next(reversed(step._kept.values()))
        given: list[np.ndarray] = []
        arrays_of((args, named), given)
        taken = args if recording.flat else tuple(given)
        taken = tuple([x._data if hasattr(x, "_data") else x for x in taken])
        seconds = []
        for _ in range(repeats + 1):
            clocked = recording.replay.clocked(taken)
            if clocked is UNFIT:
                raise RuntimeError("profile: expected arguments that the step's last program takes")
            seconds.append(clocked)
    finally:
        before.put_back()
    median = np.median(seconds[1:], axis=0)
    dtype = _dtype(recording)
    best = peak(kernels.of(dtype).TABLE, dtype)
    found = Names(recording.recorder, argument_names(recording.nesting, names))
    lines = [(text, float(median[begin:end].sum()), compiled)
             for text, begin, end, compiled in rows(recording.listing, found)]
    return Profile(lines, best, shown(recording.listing, found, median, best))


def _dtype(recording: Any) -> np.dtype:
    """The element type that the step computes in."""
    for line, *_ in recording.listing:
        for x in (*line.outputs, *line.operands):
            if isinstance(x, np.ndarray) and x.dtype in arrays.FLOATS and x.ndim > 1:
                return x.dtype
    return np.dtype(np.float32)
