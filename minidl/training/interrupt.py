"""Interrupt: Ctrl-C as a request that is handled between two steps, not within one."""
from __future__ import annotations

import signal


class Interrupt:
    """Within ``with Interrupt() as interrupt:`` Ctrl-C sets ``interrupt.requested``; a second one raises.

    After the block the earlier handler is back, and no request is lost: an Interrupt within another passes it on;
    where an error ends the block before ``requested`` was read, KeyboardInterrupt is raised from that error.
    Without an error, read ``requested`` after the block.

    It does nothing where signals cannot be handled, outside the main thread, and where the handler was not
    installed from Python (but by a program that embeds it), since such a one could not be put back.
    """

    requested = False

    def __enter__(self) -> Interrupt:
        self._before = signal.getsignal(signal.SIGINT)
        self._installed = self._before is not None and self._install(self._ask)
        return self

    @staticmethod
    def _install(handler) -> bool:
        try:
            signal.signal(signal.SIGINT, handler)
        except ValueError:  # outside the main thread of the main interpreter
            return False
        return True

    def _ask(self, number, frame) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, kind, error, traceback) -> None:
        if not self._installed:
            return
        self._install(self._before)
        if not self.requested:
            return
        outer = getattr(self._before, "__self__", None)
        if isinstance(outer, Interrupt):
            outer.requested = True
        elif isinstance(error, Exception):
            raise KeyboardInterrupt from error
