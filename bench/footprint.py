"""What a package costs before it does anything: the time of its import, and its size on the disk."""
from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

# The import that training needs: the folders it comes in, beside those of its dependencies
IMPORTS = {
    "numpy": ("numpy", "numpy.libs"),
    "minidl": ("minidl", "minidl.kernels"),
    "torch": ("torch",),
    "jax": ("jax", "jaxlib"),
    "sklearn.neural_network": ("sklearn", "scipy", "scipy.libs"),
    "onnxruntime": ("onnxruntime",),
}
CODE = "from time import perf_counter as now; begin = now(); import {}; print(now() - begin)"


def import_seconds(name: str, turns: int = 3) -> float:
    """The best of ``turns`` processes, away from the checkout's folder."""
    command = [sys.executable, "-c", CODE.format(name)]
    folder = Path(sys.executable).parent
    return min(float(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)
               for _ in range(turns))


def folders(package: str) -> list[Path]:
    """Of a package, or of the shared libraries (``numpy.libs``) that lie beside it."""
    if package.endswith(".libs"):
        beside = folders(package.removesuffix(".libs"))[0].parent / package
        return [beside] if beside.is_dir() else []
    return [Path(path) for path in find_spec(package).submodule_search_locations]


def megabytes(packages: tuple[str, ...]) -> float:
    """Of their files, without Python's caches."""
    files = {file for package in packages for folder in folders(package) for file in folder.rglob("*")
             if file.is_file() and "__pycache__" not in file.parts}
    return sum(file.stat().st_size for file in files) / 1e6


def measured() -> dict[str, tuple[float, float]]:
    """Seconds and megabytes of each package that is installed, beside NumPy, which each of them needs."""
    present = [name for name in IMPORTS if find_spec(name.split(".")[0]) is not None]
    return {name: (import_seconds(name), megabytes(IMPORTS[name])) for name in present}
