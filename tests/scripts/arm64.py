"""minidl on 64-bit ARM, on a machine that is none: compiled by Debian's cross compiler, run by qemu.

    python tests/scripts/arm64.py ROOT             makes a folder with Python and NumPy for ARM; ROOT/py runs it
    python tests/scripts/arm64.py ROOT --build     compiles minidl's kernels into ROOT/lib, too
    python tests/scripts/arm64.py ROOT --wheel W   takes minidl from this wheel instead
    python tests/scripts/arm64.py ROOT --check     and runs kernels beside their twins, and trainings of bits.py
    ROOT/py -m pytest tests/test_modules.py        any other part of the tests

Python comes from Debian's packages, NumPy and pytest from PyPI's wheels; nothing is installed on this machine but qemu
and the cross compiler, by apt-get, where they are missing. Needs Linux, Debian's keys (debian-archive-keyring) and, to
build, Cython and setuptools. --check compares bits.py's hashes with those of the minidl that this Python imports.
Ends with status 77 where qemu, the compiler or the packages cannot be had, 1 where something fails.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
SOURCE = TESTS.parent
RELEASE, MAJOR, MINOR = "bookworm", 3, 11  # Debian 12 and its Python
PYTHON = f"python{MAJOR}.{MINOR}"
PACKAGES = [f"lib{PYTHON}-dev", f"{PYTHON}-minimal", "libstdc++6"]
# The compiler only recommends its C library's headers, without which it compiles nothing.
TOOLS = {"qemu-aarch64-static": "qemu-user-static", "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
         "/usr/aarch64-linux-gnu/include/stdlib.h": "libc6-dev-arm64-cross"}
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
APT = """
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
APT::Architecture "arm64";
APT::Architectures "arm64";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
"""
# A few: every instruction is interpreted.
KERNELS = ["test_kernels.py", "-k", "test_kernel_computes_what_its_twin_says and float32"]
NETWORKS = ["lenet", "recurrent"]
NOT_TO_BE_HAD = 77


def run(command: list, **options) -> str:
    """What it prints; where it fails, that and the end of all. environment= is added to this process's."""
    environment = os.environ | options.pop("environment", {})
    done = subprocess.run([str(word) for word in command], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{done.stdout}arm64: {Path(str(command[0])).name} ended with {done.returncode}")
    return done.stdout


def fetch(command: list, **environment: str) -> None:
    """Run what needs the network: without it, nothing can be said."""
    try:
        run(command, environment=environment)
    except SystemExit as error:
        print(error, file=sys.stderr)
        raise SystemExit(NOT_TO_BE_HAD) from error


def install_tools() -> None:
    """qemu and the cross compiler, by apt-get where they are missing."""
    missing = [package for tool, package in TOOLS.items() if not (shutil.which(tool) or Path(tool).is_file())]
    if not missing:
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        print(f"arm64: needs {' and '.join(missing)}, which root can install by apt-get", file=sys.stderr)
        raise SystemExit(NOT_TO_BE_HAD)
    fetch(["apt-get", "update", "-q"])
    fetch(["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing], DEBIAN_FRONTEND="noninteractive")


def unpack_debian(root: Path) -> None:
    """Python and all libraries that it needs, out of Debian's packages, into ROOT/system."""
    apt = root / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()  # as if nothing were installed, so that all is fetched
    (apt / "apt.conf").write_text(APT.format(folder=apt))
    (apt / "sources.list").write_text(
        f"deb [signed-by={KEYS}] http://deb.debian.org/debian {RELEASE} main\n")
    configuration = str(apt / "apt.conf")
    fetch(["apt-get", "update", "-q"], APT_CONFIG=configuration)
    fetch(["apt-get", "install", "-q", "-y", "--download-only", *PACKAGES], APT_CONFIG=configuration)
    for package in sorted(apt.glob("cache/archives/*.deb")):
        run(["dpkg-deb", "-x", package, root / "system"])
    shutil.rmtree(apt)


def make(root: Path) -> None:
    """The folder, unless it is there."""
    if (root / "py").exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    unpack_debian(root)
    fetch([sys.executable, "-m", "pip", "install", "-q", "--target", root / "site", "--only-binary", ":all:",
           "--python-version", f"{MAJOR}.{MINOR}", "--implementation", "cp",
           *(f"--platform=manylinux_2_{glibc}_aarch64" for glibc in (17, 27, 28)), "--platform=manylinux2014_aarch64",
           "numpy>=2.0", "pytest>=8", "hypothesis>=6"])
    script = root / "py"
    script.write_text(
        "#!/bin/sh\n"
        f'export QEMU_LD_PREFIX="{root}/system" PYTHONPATH="{root}/lib:{root}/site" PYTHONSAFEPATH=1\n'
        f'exec qemu-aarch64-static "{root}/system/usr/bin/{PYTHON}" "$@"\n')
    script.chmod(0o755)


def build(root: Path) -> None:
    """minidl for ARM in ROOT/lib: what has been translated from Cython before is taken from build/."""
    include = root / "system/usr/include"
    run([sys.executable, "setup.py", "-q", "build", "--build-base", root / "build", "--build-lib", root / "lib"],
        cwd=SOURCE, environment={
            "CC": "aarch64-linux-gnu-gcc", "LDSHARED": "aarch64-linux-gnu-gcc -shared",
            "CFLAGS": f"-I{include / PYTHON} -I{include}",  # before this machine's
            "_PYTHON_HOST_PLATFORM": "linux-aarch64",
            "SETUPTOOLS_EXT_SUFFIX": f".cpython-{MAJOR}{MINOR}-aarch64-linux-gnu.so", "MINIDL_TARGETS": ""})


def check(root: Path) -> None:
    """Kernels beside their twins; the weights of networks, trained in every way, beside those of this processor."""
    py = root / "py"
    print(run([py, "-m", "pytest", "-q", "-p", "no:cacheprovider", TESTS / KERNELS[0], *KERNELS[1:]], cwd=root)
          .splitlines()[-1])
    script = TESTS / "scripts/bits.py"
    here = json.loads(run([sys.executable, script, *NETWORKS], cwd=root))
    there = json.loads(run([py, script, *NETWORKS], cwd=root))
    print(f"bits of {', '.join(NETWORKS)}: {here.pop('isa')} here, {there.pop('isa')} there")
    if here != there:
        raise SystemExit(f"arm64: the bits differ\n{json.dumps(here, indent=1)}\n{json.dumps(there, indent=1)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--build", action="store_true", help="compile minidl for it")
    parser.add_argument("--wheel", type=Path, help="unpack this wheel instead")
    parser.add_argument("--check", action="store_true", help="run tests there")
    args = parser.parse_args()
    root = args.root.resolve()
    steps = [(install_tools, ()), (make, (root,))]
    if args.wheel:
        steps.append((zipfile.ZipFile(args.wheel).extractall, (root / "lib",)))
    elif args.build or args.check:
        steps.append((build, (root,)))
    if args.check:
        steps.append((check, (root,)))
    for step, arguments in steps:
        began = time.monotonic()
        step(*arguments)
        print(f"{step.__name__}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
