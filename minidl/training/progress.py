"""Messages on standard error, and the progress of a run: a bar or plain lines.

Nothing here ends the run: a stream that is None, closed, full, without a reader, or no complete file object
is ignored.
"""
from __future__ import annotations

import sys
import time
from typing import Any


def say(text: str, stream: Any = None, *, end: str = "\n") -> None:
    """Print on ``stream``, by default standard error as it is now; nowhere else, and without an error."""
    stream = sys.stderr if stream is None else stream
    if stream is None:  # print(file=None) would go to standard output
        return
    try:
        print(text, end=end, file=stream, flush=True)
    except Exception:  # of any class: the stream may be a user's object, and there is no other place for a message
        return


def on_terminal(stream: Any) -> bool:
    """Whether a line can be overwritten; False where that is not known."""
    try:
        return bool(stream.isatty())
    except Exception:  # it is None, closed, or has no isatty
        return False


class Bar:
    """``with Bar(24) as bar: ...; bar.show(1, "1 failed"); ...``

    On a terminal one line, drawn again at each call but at most ten times a second, with the seconds left
    if every piece takes the mean time of those before; elsewhere about ten lines in all.

    unit : what a piece is called, before the numbers. stream : by default standard error.
    """

    WIDTH = 24
    SECONDS = 0.1  # between two drawings

    def __init__(self, total: int, stream: Any = None, unit: str = ""):
        self.total, self.unit = total, f"{unit} " if unit else ""
        self.stream = sys.stderr if stream is None else stream
        self.begin, self.on_terminal, self.drawn = time.perf_counter(), on_terminal(self.stream), 0.0

    def show(self, done: int, text: str = "") -> None:
        """``done`` of ``total`` pieces are done, 1 <= done <= total."""
        now = time.perf_counter()
        elapsed = now - self.begin
        left = elapsed / done * (self.total - done)
        line = (f"{self.unit}{done}/{self.total}  {text + '  ' if text else ''}"
                f"{elapsed:.1f} s, {left:.0f} s left")
        if self.stream is None:
            return
        if not self.on_terminal:
            if done * 10 // self.total > (done - 1) * 10 // self.total:
                say(line, self.stream)
        elif done == self.total or now - self.drawn >= self.SECONDS:
            self.drawn = now
            filled = self.WIDTH * done // self.total
            say(f"\r\x1b[K[{'#' * filled}{'.' * (self.WIDTH - filled)}] {line}", self.stream, end="")

    def end(self) -> None:
        """End the line that the bar stands on."""
        if self.drawn:
            self.drawn = 0.0
            say("", self.stream)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception) -> None:
        self.end()
