"""Copies of the source in which a change is tried: the files, an environment in which minidl is installed, pytest."""
from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from forks import Forks, prepare

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:benchmark")


class Copy:
    """A copy of the source, and an environment that has it installed, in a folder that is deleted at the end."""

    def __init__(self, folder: Path, without_torch: bool):
        self.folder, self.source, self.environment = folder, folder / "source", folder / "environment"
        for name in ("minidl", "kernels", "tests", "bench", "docs", "examples"):
            if (ROOT / name).exists():
                shutil.copytree(ROOT / name, self.source / name, symlinks=True,
                                ignore=shutil.ignore_patterns(
                                    "__pycache__", "build", "*.html", *(["*.c"] if name == "kernels" else [])))
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
        self.forks = Forks(self.python, self.source, self.variables)
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

    @contextmanager
    def changed(self, files: dict[str, bytes]) -> Iterator[None]:
        """With these contents in place of the files' own."""
        originals = {path: (self.source / path).read_bytes() for path in files}
        try:
            self._write(files)
            yield
        finally:
            self._write(originals)

    def _write(self, files: dict[str, bytes]) -> None:
        """Python is not to take a file for the old one, which may have the same size and second."""
        for path, content in files.items():
            file = self.source / path
            file.unlink()  # it may be loaded somewhere
            file.write_bytes(content)
            for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
                compiled.unlink()

    def run(self, arguments: Sequence[str | Path], seconds: float, **variables: str) -> tuple[int | None, str]:
        """The exit status of Python with these arguments, None if it ran out of time, and what it printed."""
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [self.python, *arguments], cwd=self.source, env=self.variables | variables,
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=prepare)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = None
            output.seek(0)
            return status, output.read()

    def test(self, arguments: Sequence[str], seconds: float, only: Sequence[str] = ()) -> tuple[int | None, str]:
        """The same of pytest, which runs ``only`` these of the tests, in this order, if there are any."""
        return self.forks.test([*OPTIONS, *arguments], seconds, only)
