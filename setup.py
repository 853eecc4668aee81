"""Build the kernels: the arithmetic once for each target and element type, what Python calls once for each type.

In the environment:
MINIDL_DEBUG=1                       builds with bounds checks and without optimisation.
MINIDL_TARGETS=avx2,generic          builds these targets alone; the others are not chosen then.
MINIDL_SANITIZE=address,undefined    builds with these sanitizers of gcc; see tests/scripts/sanitize.py.
Each has a build folder of its own to be built in: what is up to date is not compiled again.
"""
import os
import subprocess
import sys
import sysconfig
from glob import glob
from pathlib import Path

from Cython.Compiler import Options

if "Cython.Compiler.MemoryView" not in sys.modules:  # which reads it once
    # A view of an array is copied at each call: with room for three axes it has 88 bytes, with that for eight 208.
    Options.buffer_max_dims = 3

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# What only introspection of functions uses is a tenth of a module. python_dtype.pyx asks for it, to name its own.
Options.get_directive_defaults()["binding"] = False

DEBUG = os.environ.get("MINIDL_DEBUG", "0") not in ("", "0")
SANITIZE = os.environ.get("MINIDL_SANITIZE", "")
PLATFORM = sysconfig.get_platform()  # built for: _PYTHON_HOST_PLATFORM tells it to who compiles for another
X86 = PLATFORM.endswith(("x86_64", "amd64")) and sys.maxsize > 2**32
ARM = PLATFORM.endswith(("aarch64", "arm64"))
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
    "auto_pickle": False,  # nothing here can be pickled
}
SLOW = DEBUG or SANITIZE
# Signed sums wrap, and assertions are left out: Python's own flags say so, but not where CFLAGS are set.
FLAGS = ["-g" if SLOW else "-g0", "-DNDEBUG", "-fwrapv", "-ffp-contract=off", "-fno-math-errno", "-pthread",
         "-Wno-unused-function", "-Wno-unknown-pragmas"] if GNU else ["/O2", "/fp:precise"]
# Functions are inlined where the source says so, else no more than with -O2: more only adds code. Large loops, too,
# are written twice if a branch in them is always taken or never.
TARGET_FLAGS = ["-O1"] if SLOW else [
    "-O3", "--param", "max-inline-insns-auto=15", "--param", "inline-min-speedup=30",
    "--param", "early-inlining-insns=6", "--param", "max-unswitch-insns=100"] if GNU else []
# The target that hardly a processor takes: loops are unrolled that must be, nothing is written twice.
GENERIC_FLAGS = [] if SLOW else ["-O2", "-fpeel-loops"] if GNU else []
# What Python calls does no arithmetic: as fast with -O1, which takes half the time of -O2, if small functions
# are inlined all the same, and larger helpers of Cython are not. What follows an error is made small, not fast.
# No loop of it needs aligning, or anything else.
PYTHON_FLAGS = ["-O1"] if SLOW else [
    "-O1", "-finline-small-functions", "--param", "max-inline-insns-single=10",
    "--param", "builtin-expect-probability=100", "-fcrossjumping", "-fno-tree-loop-optimize", "-fno-align-functions",
    "-fno-align-jumps", "-fno-align-loops"] if GNU else []
GCC_ALONE = {"-finline-small-functions", "-fcrossjumping", "-fno-tree-loop-optimize", "-fpeel-loops",
             "-fno-align-functions", "-fno-align-jumps", "-fno-align-loops"}
# What only a debugger reads, and the padding between segments, are a sixth of the size.
SMALLER = ["-fno-asynchronous-unwind-tables"] if GNU and not SLOW else []
LINK = ["-Wl,-s", "-Wl,-z,noseparate-code"] if sys.platform == "linux" and not SLOW else []
if "zig" in os.environ.get("LDSHARED", ""):
    LINK = LINK[:1]  # its linker has no segments to join
SANITIZERS = [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"] if SANITIZE else []
TARGETS = {"neon": []} if ARM and GNU else {"generic": GENERIC_FLAGS}
if X86 and GNU:
    TARGETS["avx2"] = ["-mavx2", "-mfma"]
    TARGETS["avx512"] = [*TARGETS["avx2"], "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"]
if os.environ.get("MINIDL_TARGETS"):
    chosen = os.environ["MINIDL_TARGETS"].split(",")
    if not set(chosen) <= set(TARGETS):
        raise SystemExit(f"MINIDL_TARGETS: expected some of {', '.join(TARGETS)}, got {', '.join(chosen)}")
    TARGETS = {target: TARGETS[target] for target in chosen}


def extension(name, source=None, flags=PYTHON_FLAGS, macros=()):
    """The module of this name, from a .pyx of the same name, or from a C file."""
    return Extension(
        f"minidl.kernels.{name}", [source or f"kernels/{name}.pyx"],
        extra_compile_args=[*FLAGS, *SMALLER, *SANITIZERS, *flags], extra_link_args=[*SANITIZERS, *LINK],
        define_macros=[*macros, ("MINIDL_DEBUG", str(int(DEBUG)))], include_dirs=["kernels"],
        depends=sorted(glob("kernels/*.pxi") + glob("kernels/*.h")))


def translated(extensions):
    """The same extensions, made from C: what Cython writes for their .pyx, and for SHARED."""
    return cythonize(extensions, include_path=["kernels"], compiler_directives=DIRECTIVES, force=DEBUG,
                     build_dir=GENERATED, nthreads=THREADS, shared_utility_qualified_name=f"minidl.kernels.{SHARED}")


def named(of, name):
    """The C of an extension, as that of the module of this name: several are made from one text."""
    source = Path(of.sources[0])
    copy, content = source.with_stem(name), source.read_text().replace(source.stem, name)
    if not copy.exists() or copy.read_text() != content:
        copy.write_text(content)
    return str(copy)


class ParallelBuild(build_ext):
    """Compile the extensions side by side."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        if GNU and not is_gcc(self.compiler.compiler_so):
            for extension in self.extensions:
                extension.extra_compile_args = without_gccs(extension.extra_compile_args)
        super().build_extensions()


def is_gcc(command):
    """Whether this compiler is gcc, not clang by whatever name."""
    told = subprocess.run([*command[:1], "--version"], capture_output=True, text=True, check=True).stdout
    return "clang" not in told


def without_gccs(flags):
    """The flags without those that gcc alone has."""
    pairs = zip([None, *flags], flags, strict=False)
    return [flag for before, flag in pairs if "--param" not in (before, flag) and flag not in GCC_ALONE]


GENERATED = "build/cython"
SHARED = "cython_parts"  # what Cython would else write into each module, typed views of arrays above all
THREADS = os.cpu_count() or 1 if sys.platform == "linux" else 0  # to translate: elsewhere a child begins anew
BUILT = [(f"MINIDL_BUILT_{target.upper()}", "1") for target in TARGETS]
DTYPES = {dtype: [(f"MINIDL_{dtype.upper()}", "1")] for dtype in ("f32", "f64")}
# The loops are written to be inlined with constant sizes.
INLINED = [("CYTHON_INLINE", "inline __attribute__((always_inline))")] if GNU else []


def extensions():
    """All modules, the longest first, so that the last does not keep one core alone."""
    python, arithmetic, replay, *small = translated([
        extension("python_dtype"), extension("target_dtype"), extension("replay"),
        extension(SHARED, f"kernels/{SHARED}.c"), extension("ledger"), extension("memory"), extension("shortcut"),
        extension("cpu", macros=BUILT)])
    return [
        *(extension(dtype, named(python, dtype), macros=macros) for dtype, macros in DTYPES.items()),
        replay,
        *(extension(name, named(arithmetic, name), [*TARGET_FLAGS, *flags], [*macros, *INLINED])
          for target, flags in reversed(TARGETS.items()) for dtype, macros in DTYPES.items()
          for name in [f"{target}_{dtype}"]),
        *small]


if __name__ == "__main__":
    setup(ext_modules=extensions(), cmdclass={"build_ext": ParallelBuild})
