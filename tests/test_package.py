"""The package as such: what importing it costs, and what it says where its kernels are missing."""
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import minidl

SLOW_TO_IMPORT = ("urllib.request", "http.client", "ssl", "matplotlib", "concurrent.futures", "multiprocessing",
                  "argparse", "asyncio", "email")


def run(code, **options):
    # -P: not from the current folder, which may be the source
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, **options)


def test_importing_minidl_brings_none_of_the_slow_modules():
    result = run(f"import sys, minidl; print([name for name in {SLOW_TO_IMPORT} if name in sys.modules])")
    assert result.stdout.strip() == "[]", result.stderr


def test_importing_minidl_costs_little_beside_numpy():
    code = ("import time; a = time.perf_counter(); import numpy, numpy.random; b = time.perf_counter(); "
            "import minidl; print(b - a, time.perf_counter() - b)")
    times = [tuple(map(float, run(code).stdout.split())) for _ in range(5)]
    numpy, ours = (min(column) for column in zip(*times, strict=True))
    assert ours < max(0.6 * numpy, 0.02), (numpy, ours)


def test_a_source_folder_without_kernels_says_what_to_run(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__", "kernels")
    shutil.copytree(Path(minidl.__file__).parent, tmp_path / "minidl", ignore=ignored)
    code = (f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
            "sys.meta_path[:] = [finder for finder in sys.meta_path if 'editable' not in repr(finder)]; import minidl")
    result = run(code)
    assert result.returncode == 1
    assert "ImportError: minidl's compiled kernels are not here" in result.stderr
    assert "pip install ." in result.stderr


def test_a_forced_target_that_the_processor_lacks_is_an_import_error():
    result = run("import minidl", env={"MINIDL_ISA": "abacus", "PATH": ""})
    assert "ImportError: MINIDL_ISA='abacus': this processor runs" in result.stderr


def test_the_target_can_be_forced():
    for target in minidl.kernels.targets():
        result = run("import minidl; print(minidl.kernels.isa())", env={"MINIDL_ISA": target, "PATH": ""})
        assert result.stdout.strip() == target, result.stderr


def test_the_version_is_that_of_the_installation():
    from importlib.metadata import version
    assert version("minidl") == minidl.__version__


def test_a_listing_of_the_package_shows_its_public_names_alone():
    shown = [name for name in dir(minidl) if not name.startswith("__")]
    assert shown == list(minidl.__all__)
    assert all(hasattr(minidl, name) for name in shown)
    packages = {name for name in shown if isinstance(getattr(minidl, name), ModuleType)}
    assert packages == {"autograd", "cuda", "data", "distributions", "functional", "kernels", "nn", "optim",
                        "training", "utils"}
    assert issubclass(minidl.CaptureError, RuntimeError)


def test_an_import_of_everything_brings_the_public_names_alone():
    names: dict = {}
    exec("from minidl import *", names)
    assert set(names) - {"__builtins__"} == set(minidl.__all__)
