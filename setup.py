"""Build the kernels: the arithmetic once for each target and element type, what Python calls once for each type.

In the environment:
MINIDL_DEBUG=1                       builds with bounds checks and without optimisation.
MINIDL_TARGETS=avx2,generic          builds these targets alone; the others are not chosen then.
MINIDL_SANITIZE=address,undefined    builds with these sanitizers of gcc; see tests/scripts/sanitize.py.
Each has a build folder of its own to be built in: what is up to date is not compiled again.
"""
import os
import platform
import sys
from glob import glob

from Cython.Compiler import Options

if "Cython.Compiler.MemoryView" not in sys.modules:  # which reads it once
    # A view of an array is copied at each call: with room for three axes it has 88 bytes, with that for eight 208.
    Options.buffer_max_dims = 3

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("MINIDL_DEBUG", "0") not in ("", "0")
SANITIZE = os.environ.get("MINIDL_SANITIZE", "")
X86 = platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32
GNU = sys.platform != "win32"  # gcc or clang; MSVC has no vector types and builds the generic target

# The one place of compiler directives and flags. No contraction: a fused multiply-add stands where the
# source says so, and nowhere else, or the bits would depend on the compiler.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "embedsignature": True,
}
SLOW = DEBUG or SANITIZE
FLAGS = ["-O1" if SLOW else "-O3", "-g" if SLOW else "-g0", "-ffp-contract=off", "-fno-math-errno",
         "-pthread", "-Wno-unused-function", "-Wno-unknown-pragmas"] if GNU else ["/O2", "/fp:precise"]
# What Python calls does no arithmetic: as fast with -O2, built in half the time, and no loop of it needs aligning.
PYTHON_FLAGS = ["-O2", "-fno-align-functions", "-fno-align-jumps", "-fno-align-loops"] if GNU and not SLOW else []
# What only a debugger reads, and the padding between segments, are a sixth of the size.
SMALLER = ["-fno-asynchronous-unwind-tables"] if GNU and not SLOW else []
LINK = ["-Wl,-s", "-Wl,-z,noseparate-code"] if sys.platform == "linux" and not SLOW else []
SANITIZERS = [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"] if SANITIZE else []
TARGETS = {"generic": []}
if X86 and GNU:
    TARGETS["avx2"] = ["-mavx2", "-mfma"]
    TARGETS["avx512"] = [*TARGETS["avx2"], "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"]
if os.environ.get("MINIDL_TARGETS"):
    chosen = os.environ["MINIDL_TARGETS"].split(",")
    if not set(chosen) <= set(TARGETS):
        raise SystemExit(f"MINIDL_TARGETS: expected some of {', '.join(TARGETS)}, got {', '.join(chosen)}")
    TARGETS = {target: TARGETS[target] for target in chosen}


def extension(name, flags=PYTHON_FLAGS, macros=()):
    return Extension(
        f"minidl.kernels.{name}", [f"kernels/{name}.pyx"], extra_compile_args=[*FLAGS, *SMALLER, *SANITIZERS, *flags],
        extra_link_args=[*SANITIZERS, *LINK],
        define_macros=[*macros, ("MINIDL_DEBUG", str(int(DEBUG)))],
        depends=sorted(glob("kernels/*.pxi") + glob("kernels/*.h")))


class ParallelBuild(build_ext):
    """Compile the extensions side by side."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()


THREADS = os.cpu_count() or 1 if sys.platform == "linux" else 0  # to translate: elsewhere a child begins anew
BUILT = [(f"MINIDL_BUILT_{target.upper()}", "1") for target in TARGETS]
DTYPES = {dtype: [(f"MINIDL_{dtype.upper()}", "1")] for dtype in ("f32", "f64")}
# The loops are written to be inlined with constant sizes.
INLINED = [("CYTHON_INLINE", "inline __attribute__((always_inline))")] if GNU else []
EXTENSIONS = [  # the longest first, so that the last does not keep one core alone
    *(extension(dtype, macros=macros) for dtype, macros in DTYPES.items()),
    *(extension(f"{target}_{dtype}", flags, [*macros, *INLINED])
      for target, flags in reversed(TARGETS.items()) for dtype, macros in DTYPES.items()),
    extension("replay"), extension("memory"), extension("ledger"), extension("shortcut"),
    extension("cpu", macros=BUILT)]

if __name__ == "__main__":
    setup(
        ext_modules=cythonize(
            EXTENSIONS, include_path=["kernels"], compiler_directives=DIRECTIVES, force=DEBUG,
            build_dir="build/cython", nthreads=THREADS),
        cmdclass={"build_ext": ParallelBuild})
