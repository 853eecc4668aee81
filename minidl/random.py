"""Random numbers: from a seed or a Generator that the caller gives, or from minidl's own stream.

NumPy's global generator is never read or set.
"""
from __future__ import annotations

import numpy as np

_stream = np.random.default_rng()


class Generator(np.random.Generator):
    """A numpy.random.Generator as PyTorch's scripts make one: ``Generator().manual_seed(0)``.

    It gives what ``numpy.random.default_rng(0)`` gives. The device may be "cpu" alone (ValueError).
    """

    def __init__(self, device="cpu"):
        if str(device) != "cpu":
            raise ValueError(f"Generator: expected the device 'cpu', got {device!r}")
        super().__init__(np.random.PCG64())

    def manual_seed(self, seed: int) -> Generator:
        """Begin anew with this seed; returns the Generator."""
        self.bit_generator.state = np.random.PCG64(seed).state
        return self

    def __reduce__(self):
        return _restored, (self.bit_generator.state,)


def _restored(state) -> Generator:
    made = Generator()
    made.bit_generator.state = state
    return made


def manual_seed(seed: int) -> np.random.Generator:
    """Restart minidl's own stream, which is used where no seed or generator is given; returns it."""
    global _stream
    _stream = np.random.default_rng(seed)
    return _stream


def generator(source: int | np.random.Generator | None = None) -> np.random.Generator:
    """A Generator from ``source``: itself, a new one from a seed, or (None) minidl's own stream.

    Raises TypeError for anything else, ValueError for a negative seed.
    """
    if source is None:
        return _stream
    if isinstance(source, np.random.Generator):
        return source
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        if source < 0:
            raise ValueError(f"expected a seed >= 0, got {source}")
        return np.random.default_rng(source)
    raise TypeError(f"expected a seed (int) or a numpy.random.Generator, got {type(source).__name__}")
