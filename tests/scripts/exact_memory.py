"""Arrays of exactly their bytes, for a sanitizer: no slack behind them, and no block handed out twice.

A plugin for pytest (-p exact_memory). It needs the module that exact.c becomes, see sanitize.py.
"""
from __future__ import annotations

import threading

import exact
import numpy as np

from minidl.autograd import storage


def _aligned(size: int, dtype) -> np.ndarray:
    """storage.aligned(), whose arrays end before their memory does."""
    return np.zeros(size, dtype)  # exact.c aligns all arrays


def install() -> None:
    """From now on, in threads to come, too."""
    exact.install()
    storage.aligned = _aligned
    begin = threading.Thread.run

    def run(thread):
        exact.install()
        begin(thread)

    threading.Thread.run = run


install()
