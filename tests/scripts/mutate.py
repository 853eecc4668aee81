"""Makes small mistakes in copies of minidl, one at a time, and says which of them the tests let pass.

    python tests/scripts/mutate.py --count 100 --seed 1 --without-torch
    python tests/scripts/mutate.py --modules functional optim/sgd.py --jobs 2

Each change of a random sample (see changes.py; the same seed makes the same sample of the same source) is
made in a copy in the temporary folder, never here. First all tests run without a change; those that fail are
left out from there on, and printed. Then, for each change, the tests run, those first whose text names most of
what the changed file defines, until one fails. A change is noticed when a test fails twice, when the process
dies, or when it takes far longer than without the change. The others are printed, with file, line, and the
text before and after; then the share that was noticed. The exit status is 1 if that is below ``--least``.

    --count      how many changes (100)
    --seed       of the sample (0)
    --modules    files and folders below minidl/, without a name all that MODULES lists
    --jobs       copies at work at the same time (1)
    --least      the percentage that must be noticed (98)
    --leave-out  tests or test files that are not to run, as pytest names them (tests/test_x.py::test_y[z])
    --list       print the sample and stop
    --without-torch   the copies find no PyTorch, as after the README's own command

The tests run with the packages of this interpreter, linked into an environment of each copy. The kernels must
have been built in place. It takes minutes to hours, and so is run by hand, or in CI behind a switch.
"""
from __future__ import annotations

import argparse
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from changes import Change, changes

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("nn", "optim", "functional", "autograd", "training", "capture*.py", "data",
           "sweep*.py")
FIRST = 5  # test files that run first, in a process of their own: it starts sooner than that of all
MEMORY = 16 << 30  # bytes of address space for a test process: a wrong size shall not bring the machine down
FAILED = re.compile(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", re.MULTILINE)
OPTIONS = ("-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:benchmark")


class Copy:
    """A copy of the source, and an environment that has it installed, in a folder that is deleted at the end."""

    def __init__(self, folder: Path, without_torch: bool):
        self.source, self.environment = folder / "source", folder / "environment"
        for name in ("minidl", "kernels", "tests", "bench", "docs", "examples"):
            if (ROOT / name).exists():
                shutil.copytree(ROOT / name, self.source / name, symlinks=True,
                                ignore=shutil.ignore_patterns("__pycache__", "build", "*.c", "*.html"))
        for path in ROOT.glob("*.*"):
            if path.is_file():
                shutil.copy2(path, self.source)
        if not (self.source / "minidl" / "kernels").exists():
            (self.source / "minidl" / "kernels").symlink_to("../kernels")
        if not list((self.source / "kernels").glob("*.so")) + list((self.source / "kernels").glob("*.pyd")):
            sys.exit("mutate: expected compiled kernels, got none; run: python setup.py build_ext --inplace")
        venv.create(self.environment, symlinks=True)
        self.python = next(self.environment.glob("bin/python")).absolute()
        self._link(next(self.environment.glob("lib/python*/site-packages")), without_torch)
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        for name in ("HOME", "TMPDIR"):
            self.variables[name] = str(folder / name.lower())
            Path(self.variables[name]).mkdir()

    def _link(self, site: Path, without_torch: bool) -> None:
        """The packages of this interpreter, and minidl as if it were installed."""
        hidden = re.compile("minidl|__editable__|_virtualenv|" + ("torch|functorch" if without_torch else "minidl"))
        for folder in (Path(part) for part in sys.path if part.endswith(("site-packages", "dist-packages"))):
            for entry in folder.iterdir():
                if not hidden.match(entry.name) and entry.suffix != ".pth" and not (site / entry.name).exists():
                    (site / entry.name).symlink_to(entry)
        version = re.search(r'__version__ = "(.*)"', (self.source / "minidl" / "__init__.py").read_text())
        information = site / f"minidl-{version[1]}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: minidl\nVersion: {version[1]}\n")
        (site / "minidl.pth").write_text(f"{self.source}\n")

    def write(self, path: str, text: str) -> None:
        """Change a file; Python is not to take it for the old one, which may have the same size and second."""
        file = self.source / path
        file.write_text(text)
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
            compiled.unlink()

    def test(self, arguments: Sequence[str], seconds: float) -> tuple[int | None, str]:
        """The exit status of pytest, None if it ran out of time, and what it printed."""
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [self.python, "-m", "pytest", *OPTIONS, *arguments], cwd=self.source, env=self.variables,
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=_prepare)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = None
            output.seek(0)
            return status, output.read()

    def failing(self, known: Sequence[str]) -> list[str]:
        """The tests that fail without a change, next to those that are known and do not run."""
        status, output = self.test(["--continue-on-collection-errors", *_without(known)], 3600)
        failed = list(dict.fromkeys(FAILED.findall(output)))
        if status not in (0, 1) or (status == 1 and not failed):
            sys.exit(f"mutate: expected pytest to run, got exit status {status}\n{output[-3000:]}")
        return failed

    def noticed(self, change: Change, files: Sequence[str], left_out: Sequence[str], seconds: float) -> str:
        """What noticed the change, or ""."""
        original = (self.source / change.path).read_text()
        self.write(change.path, change.text)
        flaky = list(left_out)
        try:
            for some in (files[:FIRST], files[FIRST:]):
                while some:
                    status, output = self.test(["-x", *some, *_without(flaky)], seconds)
                    if status in (0, 5):  # 5: all tests of these files were skipped
                        break
                    failed = FAILED.findall(output)
                    if status != 1 or not failed:
                        return "time" if status is None else f"exit status {status}"
                    again, _ = self.test([failed[0]], seconds)
                    if again != 0:
                        return failed[0]
                    flaky.append(failed[0])  # passes now and then: it notices nothing
        finally:
            self.write(change.path, original)
        return ""


def _prepare() -> None:
    """In the process of the tests, before they begin."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background may ignore Ctrl-C


def _without(names: Sequence[str]) -> list[str]:
    """The options of pytest that leave out tests, and files whole: a file that fails to load is not to be loaded."""
    return [f"--deselect={name}" if "::" in name else f"--ignore={name}" for name in names]


def sources(modules: Sequence[str]) -> list[Path]:
    """The Python files of these modules, in order."""
    found = set()
    for name in modules:
        matches = list((ROOT / "minidl").glob(name))
        if not matches:
            sys.exit(f"mutate: expected files or folders below minidl/, got {name!r}")
        for match in matches:
            found |= set(match.rglob("*.py") if match.is_dir() else [match])
    return sorted(found)


def ranked(path: Path) -> list[str]:
    """The test files, those first whose text names most of what the file at ``path`` defines."""
    text = path.read_text()
    words = {path.stem, path.parent.name, *re.findall(r"^ *(?:def|class) ([A-Za-z]\w+)", text, re.MULTILINE),
             *re.findall(r"^([A-Za-z]\w{2,}) = ", text, re.MULTILINE)}

    def score(test: Path) -> float:
        content = re.findall(r"\w+", test.read_text())
        used = sum(min(content.count(word), 20) for word in words)
        return -used / (200 + len(content)) ** 0.5 - 10 * (path.stem in test.stem)

    tests = sorted((ROOT / "tests").glob("test_*.py"))
    return [f"tests/{test.name}" for test in sorted(tests, key=score)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Makes small mistakes in copies; says which pass the tests.")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modules", nargs="+", default=MODULES)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--least", type=float, default=98)
    parser.add_argument("--leave-out", nargs="+", default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--without-torch", action="store_true")
    options = parser.parse_args()
    paths = sources(options.modules)
    everything = [change for path in paths for change in changes(str(path.relative_to(ROOT)), path.read_text())]
    sample = random.Random(options.seed).sample(everything, min(options.count, len(everything)))
    print(f"{len(sample)} of {len(everything)} changes, seed {options.seed}", flush=True)
    if options.list:
        print(*sample, sep="\n")
        return 0
    order = {str(path.relative_to(ROOT)): ranked(path) for path in paths}
    with tempfile.TemporaryDirectory(prefix="minidl-mutate-") as folder:
        idle: SimpleQueue[Copy] = SimpleQueue()
        for job in range(options.jobs):
            idle.put(Copy(Path(folder) / str(job), options.without_torch))
        copy, begin = idle.get(), time.monotonic()
        failing = copy.failing(options.leave_out)
        left_out, took = [*options.leave_out, *failing], time.monotonic() - begin
        print(f"without a change: {took:.0f} s, {len(failing)} tests fail and are left out", *failing, sep="\n    ",
              flush=True)
        seconds = 3 * took + 30
        idle.put(copy)
        done, printing = [0, 0], threading.Lock()

        def judge(change: Change) -> bool:
            copy = idle.get()
            try:
                by = copy.noticed(change, order[change.path], left_out, seconds)
            finally:
                idle.put(copy)
            with printing:
                done[0], done[1] = done[0] + 1, done[1] + bool(by)
                where = f"{change.path}:{change.line}, {change.kind}"
                print(f"[{done[0]}/{len(sample)}]", f"{where}: noticed by {by}" if by else f"NOT NOTICED: {change}",
                      flush=True)
            return bool(by)

        with ThreadPoolExecutor(options.jobs) as pool:
            noticed = sum(pool.map(judge, sample))
    share = 100 * noticed / max(len(sample), 1)
    print(f"noticed: {noticed} of {len(sample)}, {share:.1f} %")
    return share < options.least


if __name__ == "__main__":
    sys.exit(main())
