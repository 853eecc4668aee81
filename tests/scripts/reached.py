"""Which tests reach which lines of minidl's Python files, so that a change runs these tests alone.

Each test file runs once under coverage.py (``pip install coverage``), every test a context of its own; what was found
is kept in a folder, and taken again while the test file and the source stay as they were. A fixture that several tests
share counts for all tests of its file. What other processes do is not seen, nor who depends on what runs at import:
for such lines nothing is known.
"""
from __future__ import annotations

import ast
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from copies import OPTIONS, Copy

# In the copy: pytest under coverage.py. Arguments: its file, the file of the report, those of pytest.
RECORD = """
import json, sys
import coverage, pytest
data, report, *arguments = sys.argv[1:]
measured = coverage.Coverage(data_file=data, source=["minidl"], config_file=False)
measured.set_option("run:relative_files", True)
seconds, failed = {}, []

class Contexts:
    def pytest_runtest_logstart(self, nodeid, location):
        measured.switch_context(nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function":
            return (yield)
        nodeid = request._pyfuncitem.nodeid
        measured.switch_context(nodeid.split("::")[0])
        try:
            return (yield)
        finally:
            measured.switch_context(nodeid)

    def pytest_runtest_logreport(self, report):
        seconds[report.nodeid] = seconds.get(report.nodeid, 0) + report.duration
        if report.failed:
            failed.append(report.nodeid)

measured.start()
status = pytest.main(arguments, plugins=[Contexts()])
measured.stop()
measured.save()
with open(report, "w") as file:
    json.dump({"seconds": seconds, "failed": failed}, file)
sys.exit(status)
"""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


parsed = lru_cache(4)(ast.parse)


def lines_of(text: str, line: int) -> range | None:
    """The lines of the statement at this line, of a compound one its head; None outside of functions' bodies."""
    found, within = None, False
    node: ast.AST = parsed(text)
    while True:
        body = [child for child in _statements(node) if child.lineno <= line <= (child.end_lineno or 0)]
        if not body:
            return found if within else None
        node = body[0]
        inner = [child.lineno for child in _statements(node)]
        found = range(node.lineno, max(min(inner, default=(node.end_lineno or 0) + 1), node.lineno + 1))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and line >= min(inner):
            within = True


def _statements(node: ast.AST) -> list[ast.stmt]:
    """The statements directly below: those of a branch, a handler or a case as well."""
    found: list[ast.stmt] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            found.append(child)
        elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
            found += _statements(child)
    return found


class Reached:
    """What is kept in ``folder``, of the test files and sources as they are in ``source``."""

    def __init__(self, folder: Path, source: Path):
        self.folder, self.source = folder, source
        # As they are now: a copy changes its files, while others ask.
        self.texts = {str(path.relative_to(source)): path.read_text() for path in sorted(
            (source / "minidl").rglob("*.py"))}
        self.digests = {path: digest(text) for path, text in self.texts.items()}
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []      # under coverage.py: it takes time, and room on the stack
        self.known: dict[str, dict] = {}  # of a test file
        folder.mkdir(parents=True, exist_ok=True)
        for file in self.files():
            self._take(file)

    def files(self) -> list[str]:
        return [f"tests/{path.name}" for path in sorted((self.source / "tests").glob("test_*.py"))]

    def missing(self) -> list[str]:
        """The test files of which nothing is known as they are."""
        return [file for file in self.files() if file not in self.known]

    def _report(self, file: str, suffix: str) -> Path:
        return self.folder / f"{Path(file).stem}.{suffix}"

    def _take(self, file: str) -> None:
        path = self._report(file, "json")
        content = json.loads(path.read_text()) if path.exists() else {}
        if content.get("test") == digest((self.source / file).read_text()):
            self.known[file] = content
            self.seconds |= content["seconds"]
            self.failed += content["failed"]

    def record(self, copy: Copy, file: str) -> None:
        """Run a test file under coverage.py, in a copy without a change."""
        data, report = self._report(file, "coverage"), self._report(file, "json")
        for path in (data, report):
            path.unlink(missing_ok=True)
        _, output = copy.run(["-c", RECORD, str(data), str(report), *OPTIONS, file], 3600)
        if not report.exists():
            raise SystemExit(f"mutate: expected pytest to run {file} under coverage.py, got\n{output[-3000:]}")
        content = json.loads(report.read_text())
        content["test"], content["sources"] = digest((self.source / file).read_text()), self.digests
        report.write_text(json.dumps(content))
        self._take(file)

    def tests(self, path: str, line: int) -> list[str]:
        """The tests that reach the line's statement, and test files of which it isn't known; empty if nothing is."""
        lines = lines_of(self.texts[path], line)
        if lines is None:
            return []
        found = [test for file in self.known for test in self._of(file, path, lines)]
        return [*found, *self.missing()] if found else []

    def _of(self, file: str, path: str, lines: range) -> Iterator[str]:
        if self.known[file]["sources"].get(path) != self.digests[path]:
            yield file
            return
        from coverage.numbits import register_sqlite_functions

        connection = sqlite3.connect(f"file:{self._report(file, 'coverage')}?mode=ro", uri=True)
        register_sqlite_functions(connection)
        hit = " or ".join(["num_in_numbits(?, numbits)"] * len(lines))
        rows = connection.execute(
            "select distinct context.context from line_bits join file on file.id = file_id "
            f"join context on context.id = context_id where file.path = ? and ({hit})", (path, *lines)).fetchall()
        connection.close()
        contexts = {context for context, in rows if context}
        if file in contexts:  # by a fixture that several tests share
            yield from (test for test in self.seconds if test.startswith(f"{file}::"))
        else:
            yield from contexts
