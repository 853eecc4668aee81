"""Ctrl-C as a question that is answered between two steps, not in the middle of one."""
from __future__ import annotations

import signal
import threading


class Interrupt:
    """Within ``with Interrupt() as interrupt:`` Ctrl-C sets ``interrupt.asked``; a second one raises.

    Signals reach the main thread alone: elsewhere it does nothing.
    """

    asked = False

    def __enter__(self) -> Interrupt:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number, frame) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *exception) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)
