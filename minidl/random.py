"""Random numbers: from a seed or a Generator that the caller gives, or from minidl's own stream.

NumPy's global generator is never read or set.
"""
from __future__ import annotations

import numpy as np

_stream = np.random.default_rng()


def manual_seed(seed: int) -> np.random.Generator:
    """Restart minidl's own stream, which is used where no seed or generator is given; returns it."""
    global _stream
    _stream = np.random.default_rng(seed)
    return _stream


def generator(source: int | np.random.Generator | None = None) -> np.random.Generator:
    """A Generator from ``source``: itself, a new one from a seed, or (None) minidl's own stream.

    Raises TypeError for anything else.
    """
    if source is None:
        return _stream
    if isinstance(source, np.random.Generator):
        return source
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        return np.random.default_rng(source)
    raise TypeError(f"expected a seed (int) or a numpy.random.Generator, got {type(source).__name__}")
