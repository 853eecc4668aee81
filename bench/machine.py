"""The machine that everything here is timed on: one thread of it for each rival, and its best code.

Whoever uses NumPy imports this first: its BLAS reads the environment once, when it is loaded.
"""
from __future__ import annotations

import os
import platform
import sys

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# Settings that hold a rival to the code for another processor: a handicap that would flatter minidl.
PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "NPY_DISABLE_CPU_FEATURES", "MKL_ENABLE_INSTRUCTIONS",
        "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
wanted = {name: value for name, value in os.environ.items() if name not in PINS} | dict.fromkeys(THREADS, "1")
if "numpy" in sys.modules and wanted != os.environ:
    raise RuntimeError("bench: expected to be loaded before NumPy, whose BLAS reads its settings once")
for name in PINS:
    os.environ.pop(name, None)
os.environ.update(wanted)

import numpy as np  # noqa: E402

import minidl  # noqa: E402

try:
    import torch
    torch.set_num_threads(1)
except ImportError:
    torch = None  # the rival is left out


def versions() -> dict[str, str]:
    """What is compared, by name: versions, and the target of minidl's kernels."""
    found = {"minidl": f"{minidl.__version__} ({minidl.kernels.isa()})", "NumPy": np.__version__}
    return found if torch is None else found | {"PyTorch": torch.__version__}


def line() -> str:
    """One line for the head of a report."""
    rivals = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{platform.machine()}, {os.cpu_count()} cores, one thread each: {rivals}"
