"""The machine that everything here is timed on: as many threads of it for each rival, and its best code.

Whoever uses NumPy imports this first: its BLAS reads the environment once, when it is loaded.
"""
from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

COUNT = int(os.environ.get("BENCH_THREADS", "1"))  # of threads, for every rival
THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# Settings that hold a rival to the code for another processor: a handicap that would flatter minidl.
PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "NPY_DISABLE_CPU_FEATURES", "MKL_ENABLE_INSTRUCTIONS",
        "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
wanted = {name: value for name, value in os.environ.items() if name not in PINS} | dict.fromkeys(THREADS, str(COUNT))
if "numpy" in sys.modules and wanted != os.environ:
    raise RuntimeError("bench: expected to be loaded before NumPy, whose BLAS reads its settings once")
for name in PINS:
    os.environ.pop(name, None)
os.environ.update(wanted)

import numpy as np  # noqa: E402

import minidl  # noqa: E402
from minidl import processor  # noqa: E402

minidl.set_num_threads(COUNT)

PACKAGES = {"PyTorch": "torch", "JAX": "jax", "scikit-learn": "scikit-learn", "onnxruntime": "onnxruntime"}


def versions() -> dict[str, str]:
    """What is compared, by name: versions, and the target of minidl's kernels."""
    found = {"minidl": f"{minidl.__version__} ({minidl.kernels.isa()})", "NumPy": np.__version__}
    for name, package in PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue  # the rival is left out
    return found


def line() -> str:
    """One line for the head of a report."""
    rivals = ", ".join(f"{name} {number}" for name, number in versions().items())
    threads = "one thread" if COUNT == 1 else f"{COUNT} threads"
    return f"{platform.machine()}, {processor.cores()} cores, {threads} each: {rivals}"
