"""The garbage collector, which does not run while functions are recorded."""
from __future__ import annotations

import gc
import threading
from contextlib import contextmanager


class _State:
    """The number of recordings that are running, in any thread, and whether the collector was on before the first."""

    lock, recordings, enabled = threading.Lock(), 0, True


_state = _State()


@contextmanager
def without_collector():
    """Within it no collection begins, which would call other people's callbacks of the collector."""
    with _state.lock:
        if _state.recordings == 0:
            _state.enabled = gc.isenabled()
            gc.disable()
        _state.recordings += 1
    try:
        yield
    finally:
        with _state.lock:
            _state.recordings -= 1
            if _state.recordings == 0 and _state.enabled:
                gc.enable()
