"""The compiled kernels of the target that this processor runs best.

MINIDL_ISA=generic|avx2|avx512|neon in the environment forces a target.
"""
from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

from . import replay
from .cpu import targets
from .shortcut import Refusal, Shortcut

_SUFFIXES: dict[np.dtype, str] = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}
_PYTHON: dict[np.dtype, Any] = {  # what Python calls, whichever target's
    dtype: import_module(f".{suffix}", __name__) for dtype, suffix in _SUFFIXES.items()}


@cache
def _loaded(target: str, dtype: np.dtype) -> SimpleNamespace:
    arithmetic = import_module(f".{target}_{_SUFFIXES[dtype]}", __name__)
    return SimpleNamespace(**_PYTHON[dtype].bound(arithmetic.table))


def load(target: str, dtype) -> SimpleNamespace:
    """The kernels of one target and element type, whichever target is active."""
    return _loaded(target, np.dtype(dtype))


def _choose() -> str:
    forced = os.environ.get("MINIDL_ISA")
    available = targets()
    if not available:
        raise ImportError("minidl was built without a target that this processor runs: build it without MINIDL_TARGETS")
    if forced and forced not in available:
        raise ImportError(f"MINIDL_ISA={forced!r}: this processor runs {', '.join(available)}")
    return forced or available[0]


_target = _choose()
_active = {dtype: load(_target, dtype) for dtype in _PYTHON}
_threads = 1


def set_num_threads(n: int) -> None:
    """Let captured steps and predictions run on up to n threads, 1 by default, where the work is worth it.

    The results are the same bits for any number; there are never more threads at work than the process has
    cores. Threads of others that spin take those cores away: OpenBLAS's, which NumPy's large products use,
    do so for a tenth of a second after each. Raises ValueError for less than 1 or more than 64, TypeError
    for what is not an integer. MINIDL_NUM_THREADS in the environment sets the number at import.
    """
    global _threads
    for python in (*_PYTHON.values(), replay):
        python.set_num_threads(n)
    _threads = n


def get_num_threads() -> int:
    """How many threads captured steps and predictions may use."""
    return _threads


def isa() -> str:
    """The active target: "avx512", "avx2", "neon" (on 64-bit ARM) or "generic"."""
    return _target


def debug() -> bool:
    """Whether the kernels were built with MINIDL_DEBUG=1, their bounds checked."""
    return _PYTHON[np.dtype(np.float32)].DEBUG


def of(dtype) -> SimpleNamespace:
    """The kernels of the active target for float32 or float64. KeyError for another dtype."""
    return _active[np.dtype(dtype)]


if "MINIDL_NUM_THREADS" in os.environ:
    set_num_threads(int(os.environ["MINIDL_NUM_THREADS"]))
