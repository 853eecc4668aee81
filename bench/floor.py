"""The floor: floor.pyx, built for each target when it is first asked for, with the flags of minidl's own kernels.

It is no part of the package: Cython and a compiler must be there, or the floor is left out.
"""
from __future__ import annotations

import importlib.util
import runpy
from functools import cache
from pathlib import Path
from time import perf_counter
from types import ModuleType

CHECKOUT = Path(__file__).parent.parent
CACHE = CHECKOUT / "build" / "floor"
NAME = "floor_code"


def build(target: str) -> Path:
    """Compile floor.pyx for a target, unless the file in the cache is newer; where that file is."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    kernels, settings = CHECKOUT / "kernels", runpy.run_path(str(CHECKOUT / "setup.py"))
    sources = cythonize([Extension(NAME, [str(CHECKOUT / "bench" / "floor.pyx")])], quiet=True, build_dir=str(CACHE),
                        include_path=[str(kernels)], compiler_directives=settings["DIRECTIVES"])[0].sources
    extension = Extension(
        NAME, sources, include_dirs=[str(kernels)], depends=[str(path) for path in kernels.glob("*.h")],
        extra_compile_args=[*settings["FLAGS"], *settings["TARGET_FLAGS"], *settings["TARGETS"][target]],
        define_macros=[("CYTHON_INLINE", "inline __attribute__((always_inline))")])
    command = Distribution({"ext_modules": [extension]}).get_command_obj("build_ext")
    command.build_lib = command.build_temp = str(CACHE / target)
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(NAME))


@cache
def load(target: str) -> ModuleType:
    """The module of a target. ImportError where it cannot be built."""
    try:
        path = build(target)
    except (Exception, SystemExit) as error:  # whatever a build may raise
        raise ImportError(f"bench: floor.pyx could not be built for {target}: {error}") from error
    spec = importlib.util.spec_from_file_location(NAME, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fma_peak(target: str, turns: int = 10) -> float:
    """GFLOP/s of independent multiply-adds on one core, the best of its turns."""
    rates = []
    for _ in range(turns):
        begin = perf_counter()
        flops = load(target).fma_chains(200_000)
        rates.append(flops / (perf_counter() - begin))
    return max(rates) / 1e9
