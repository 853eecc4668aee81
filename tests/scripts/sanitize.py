"""Build minidl with sanitizers in a folder of its own, and run tests under them.

    python tests/scripts/sanitize.py              the tests that reach into memory, the fuzzer, the threads
    python tests/scripts/sanitize.py --long       the same on every target, the fuzzer a million calls
    python tests/scripts/sanitize.py --only tests -- -k linear      a part of it, with options for pytest or fuzz.py
    python tests/scripts/sanitize.py --keep DIR   builds in DIR, and again only what has changed

A finding ends it with the sanitizer's report and a status other than 0. Needs gcc and Linux.
"""
from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TESTS = ["test_kernels.py", "test_kernels_more.py", "test_elementary.py", "test_capture.py", "test_capture_any.py",
         "test_capture_batches.py", "test_capture_changes.py", "test_capture_fit.py", "test_capture_users.py",
         "test_linear_arrays.py", "test_storage.py", "test_altered_steps.py", "test_nothing_in_it.py",
         "test_chain_kernels.py", "test_optimizer_chains.py", "test_many_in_a_call.py"]
# Left out: test_capture_memory.py measures what is allocated, which a sanitizer changes. test_bits.py starts
# processes of 200 steps for the bits of threads and targets: only in the long form.
LONG_TESTS = ["test_bits.py", "test_many_altered.py"]
# In the short form, these go through all shapes and axes, element by element, and take a minute each; and the chains
# of optimizers run in float32 alone, whose source is that of float64.
SLOW = ("not does_not_depend_on_the_size and not sample_by_sample and not exact_over and not every_float"
        " and not (test_optimizer_chains and float64)")


def run(command: list, **environment: str) -> None:
    began = time.monotonic()
    print("+", *command, flush=True)
    done = subprocess.run([str(word) for word in command], env=os.environ | environment, cwd=ROOT)
    print(f"  status {done.returncode} after {time.monotonic() - began:.0f} s", flush=True)
    if done.returncode:
        raise SystemExit(f"sanitize: {Path(str(command[0])).name} ended with {done.returncode}")


def runtime(*names: str) -> str:
    """The sanitizers' libraries, which must be loaded before all others."""
    found = [subprocess.run(["gcc", f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=True)
             .stdout.strip() for name in names]
    return " ".join(found)


def build(folder: Path, targets: str) -> None:
    run([sys.executable, "setup.py", "-q", "build", "--build-base", folder / "build", "--build-lib", folder / "lib"],
        MINIDL_SANITIZE="address,undefined", MINIDL_TARGETS=targets)
    run(["gcc", "-shared", "-fPIC", "-O1", "-g", f"-I{sysconfig.get_path('include')}", f"-I{np.get_include()}",
         HERE / "exact.c", "-o", folder / "lib" / "exact.so"])


def under_sanitizers(folder: Path) -> dict[str, str]:
    """The environment in which Python can load that build."""
    return {
        "LD_PRELOAD": runtime("asan", "ubsan"),
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:handle_segv=1:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc", "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(folder / "lib"), str(HERE), str(HERE.parent)]),
    }


def tests(folder: Path, long: bool, more: list[str]) -> None:
    names = [f"tests/{name}" for name in (*TESTS, *(LONG_TESTS if long else []))]
    chosen = more or ([] if long else ["-k", SLOW])
    cores = ["-n", "2"] if importlib.util.find_spec("xdist") else []
    run([sys.executable, "-m", "pytest", "-q", *cores, "-p", "exact_memory", "-p", "no:cacheprovider", "--durations=5",
         *names, *chosen], **under_sanitizers(folder))


def fuzz(folder: Path, long: bool, more: list[str]) -> None:
    bound = ["--calls", "1000000"] if long else ["--seconds", "60"]
    run([sys.executable, HERE / "fuzz.py", *(more or bound)], **under_sanitizers(folder))


def threads(folder: Path, long: bool, more: list[str]) -> None:
    program = folder / "threads"
    for option in ("-fsanitize=thread", "-fsanitize=address,undefined", "-O3"):  # the last: at full speed
        run(["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wno-unused-function", option, "-fno-omit-frame-pointer",
             "-pthread", f"-I{ROOT / 'kernels'}", HERE / "threads.c", "-o", program])
        # The thread sanitizer can't place its memory where addresses are drawn from too wide a range.
        run(["setarch", "--addr-no-randomize", program, "20000" if long else "2000"],
            TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:die_after_fork=0", ASAN_OPTIONS="detect_leaks=0")


PARTS = {"threads": threads, "tests": tests, "fuzz": fuzz}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--long", action="store_true", help="every target and test, a million calls")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--targets", help="what to build, such as avx2,generic")
    parser.add_argument("--keep", type=Path, help="the folder to build in, kept")
    parser.add_argument("more", nargs="*", help="options for what --only names, after --")
    options = parser.parse_args()
    from minidl.kernels.cpu import targets

    chosen = options.targets or ",".join(targets() if options.long else [t for t in targets() if t != "avx512"][:1])
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if options.only != "threads":
            build(folder.resolve(), chosen)
        for name, part in PARTS.items():
            if options.only in (None, name):
                part(folder.resolve(), options.long, options.more)


if __name__ == "__main__":
    main()
