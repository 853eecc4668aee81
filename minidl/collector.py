"""The garbage collector, kept from running where functions are recorded."""
from __future__ import annotations

import gc
import threading
from contextlib import contextmanager


class _State:
    """How many recordings go on now, in any thread, and whether the collector ran before the first of them."""

    lock, recordings, enabled = threading.Lock(), 0, True


_state = _State()


@contextmanager
def without_collector():
    """No collection begins in it, which would call functions of others that watch it."""
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
