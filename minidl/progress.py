"""How far a row of equal pieces of work has come, on standard error: a bar on a terminal, elsewhere lines."""
from __future__ import annotations

import sys
import time
from typing import TextIO


class Bar:
    """``with Bar(24) as bar: ...; bar.show(1, "1 failed"); ...``

    On a terminal one line, drawn again at each call, with the seconds left if every piece takes the mean
    time of those before; elsewhere about ten lines in all.
    """

    WIDTH = 24

    def __init__(self, total: int, stream: TextIO | None = None):
        self.total, self.stream = total, sys.stderr if stream is None else stream
        self.begin, self.on_terminal, self.drawn = time.perf_counter(), self.stream.isatty(), False

    def show(self, done: int, text: str = "") -> None:
        """``done`` of ``total`` pieces are done, 1 <= done <= total."""
        elapsed = time.perf_counter() - self.begin
        left = elapsed / done * (self.total - done)
        line = f"{done}/{self.total}  {text + '  ' if text else ''}{elapsed:.1f} s, {left:.0f} s left"
        if self.on_terminal:
            filled = self.WIDTH * done // self.total
            bar = "#" * filled + "." * (self.WIDTH - filled)
            print(f"\r\x1b[K[{bar}] {line}", end="", file=self.stream, flush=True)
            self.drawn = True
        elif done * 10 // self.total > (done - 1) * 10 // self.total:
            print(line, file=self.stream, flush=True)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception) -> None:
        """End the line that the bar stands on."""
        if self.drawn:
            print(file=self.stream)
