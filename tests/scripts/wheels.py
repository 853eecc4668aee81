"""Wheels for Linux from this machine: x86-64 and aarch64, for every distribution since 2014 (manylinux2014).

    python tests/scripts/wheels.py --out dist [--aarch64] [--twice]

gcc compiles; zig links, since it can name a C library as old as glibc 2.17. ``--aarch64`` makes the second wheel with
Debian's cross compiler (package gcc-aarch64-linux-gnu). ``--twice`` builds each again and compares the bytes. Needs
the packages build, ziglang and auditwheel. cibuildwheel builds the others: [tool.cibuildwheel] of pyproject.toml.
"""
from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPILERS = {"x86_64": "gcc", "aarch64": "aarch64-linux-gnu-gcc"}
LARGEST = 2_000_000  # bytes


def built(machine: str, folder: Path) -> Path:
    """The wheel for this machine, in the folder."""
    major, minor = sys.version_info[:2]
    environment = os.environ | {
        "CC": COMPILERS[machine],
        "LDSHARED": f"{sys.executable} -m ziglang cc -target {machine}-linux-gnu.2.17 -shared",
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{major}{minor}-{machine}-linux-gnu.so",
        "SOURCE_DATE_EPOCH": source_date(),
        "CFLAGS": f"-I{sysconfig.get_path('include')}",
    }
    plain, repaired = folder / "plain", folder / "repaired"
    subprocess.run([sys.executable, "-m", "build", "--wheel", "-o", plain, ROOT], env=environment, check=True,
                   stdout=subprocess.DEVNULL)
    wheel, = plain.glob("*.whl")
    subprocess.run([sys.executable, "-m", "auditwheel", "repair", "--plat", f"manylinux2014_{machine}", "-w", repaired,
                    wheel], env=environment, check=True)
    wheel, = repaired.glob("*.whl")
    return wheel


def source_date() -> str:
    """The time of the last commit, which all files of a wheel get; 1980 where there is no repository."""
    asked = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return asked.stdout.strip() or "315619200"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("dist"), help="the folder for the wheels")
    parser.add_argument("--aarch64", action="store_true", help="make the wheel for 64-bit ARM, too")
    parser.add_argument("--twice", action="store_true", help="build twice, and compare the bytes")
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
        print(f"{name}: {len(content) / 1e6:.2f} MB{', twice the same bytes' if args.twice else ''}")


if __name__ == "__main__":
    main()
