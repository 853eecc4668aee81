"""The tests that tests/scripts/mutate.py runs for a change: those that reach its statement, the quickest first."""
from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import copies
import mutate
import pytest
from changes import Change
from forks import Forks
from reached import Reached, lines_of

PACKAGE = """def double(x):
    if x > 3:
        return (
            x * 2)
    return x + x


def shared():
    return 1


def never():
    return 2


SIZE = 4
"""
TESTS = """import pytest
from minidl.part import double, shared

@pytest.fixture(scope="module")
def one():
    return shared()

@pytest.mark.parametrize("x", [1, 5])
def test_double(x):
    assert double(x) == 2 * x

def test_one(one):
    assert one == 1

def test_wrong():
    assert double(1) == 3
"""
NODES = [f"tests/test_part.py::test_{name}" for name in ("double[1]", "double[5]", "one", "wrong")]


class Folder:
    """What a Copy does, in a small source."""

    def __init__(self, folder: Path):
        self.source = self.folder = folder
        for name, text in {"minidl/__init__.py": "", "minidl/part.py": PACKAGE, "tests/test_part.py": TESTS}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        self.forks = Forks(Path(sys.executable), folder, os.environ | {"PYTHONPATH": str(folder)})

    def run(self, arguments, seconds):
        done = subprocess.run([sys.executable, *arguments], cwd=self.folder, capture_output=True, text=True,
                              timeout=seconds, env=os.environ | {"PYTHONPATH": str(self.folder)}, check=False)
        return done.returncode, done.stdout + done.stderr

    test = copies.Copy.test


def test_the_statement_of_a_line():
    whole = {line: lines_of(PACKAGE, line) for line in range(1, PACKAGE.count("\n") + 1)}
    assert {line: (found.start, found.stop - 1) for line, found in whole.items() if found is not None} == {
        2: (2, 2), 3: (3, 4), 4: (3, 4), 5: (5, 5), 9: (9, 9), 13: (13, 13)}
    text = "def f():\n    try:\n        a()\n    except (A,\n            B):\n        b()\n    finally:\n        c()\n"
    assert [lines_of(text, line) for line in (3, 6, 8)] == [range(3, 4), range(6, 7), range(8, 9)]
    assert lines_of("class A:\n    a = 1\n\n    @d\n    def f(self, b=2):\n        return b\n", 5) is None


@pytest.mark.parametrize("path", mutate.sources([]), ids=lambda path: path.stem)
def test_every_statement_of_a_function_is_found_by_its_lines(path):
    text = path.read_text()
    for function in ast.walk(ast.parse(text)):
        for statement in function.body if isinstance(function, ast.FunctionDef) else []:
            first = lines_of(text, statement.lineno)
            assert first is not None
            if not hasattr(statement, "body"):
                assert first == range(statement.lineno, statement.end_lineno + 1)


def test_what_a_test_reaches_is_found_and_kept(tmp_path):
    pytest.importorskip("coverage")
    copy = Folder(tmp_path / "source")
    found = Reached(tmp_path / "reached", copy.source)
    assert found.missing() == ["tests/test_part.py"] and found.tests("minidl/part.py", 5) == []
    found.record(copy, "tests/test_part.py")
    for reached in (found, Reached(tmp_path / "reached", copy.source)):  # another process takes what is kept
        assert reached.missing() == [] and sorted(reached.seconds) == NODES and reached.failed == NODES[3:]
        assert set(reached.tests("minidl/part.py", 4)) == {NODES[1]}
        assert set(reached.tests("minidl/part.py", 5)) == {NODES[0], NODES[3]}
        assert set(reached.tests("minidl/part.py", 9)) == set(NODES)  # through a fixture of several
        assert reached.tests("minidl/part.py", 13) == reached.tests("minidl/part.py", 16) == []
    (copy.source / "minidl" / "part.py").write_text(PACKAGE + "\n")
    assert Reached(tmp_path / "reached", copy.source).tests("minidl/part.py", 5) == ["tests/test_part.py"]
    (copy.source / "tests" / "test_part.py").write_text(TESTS + "\n")
    assert Reached(tmp_path / "reached", copy.source).missing() == ["tests/test_part.py"]


@pytest.fixture
def copy(tmp_path):
    folder = Folder(tmp_path)
    yield folder
    folder.forks.close()


def test_the_chosen_tests_run_in_their_order(copy):
    for only, said in ((NODES[2::-2], "2 passed"), ([NODES[3], NODES[0]], "1 failed"),
                       (["tests/test_part.py"], "1 failed, 3 passed")):
        status, output = copy.test(["-x", "tests/test_part.py"], 60, only)
        assert re.search(rf"^{said}[^,]*(, \d+ warnings?)? in", output, re.MULTILINE), output
        assert status == ("failed" in said)


def test_what_pytest_runs_may_change_end_or_take_for_ever(copy):
    part = copy.source / "minidl" / "part.py"
    for text, expected in ((PACKAGE, 1), (PACKAGE.replace("x + x", "__import__('os').kill(0, 11)"), -11),
                           (PACKAGE.replace("x + x", "__import__('time').sleep(60)"), None), (PACKAGE, 1)):
        part.unlink()
        part.write_text(text)
        assert copy.test(["tests/test_part.py", "-p", "no:faulthandler"], 3 if expected is None else 60)[0] == expected
        for compiled in part.parent.glob("__pycache__/part.*"):  # sizes and seconds may be the same
            compiled.unlink()


class Known:
    def __init__(self):
        times = {"near": (3, 1), "far": (30, 60, 400), "other": (1,)}
        self.seconds = {f"tests/test_{name}.py::test_{i}": time for name in times for i, time in enumerate(times[name])}

    def tests(self, path, line):
        return list(self.seconds) if line == 1 else []


def test_tests_that_reach_a_change_run_before_others():
    files = [f"tests/test_{name}.py" for name in ("near", "a", "b", "far", "c", "d")]
    change = Change("minidl/x.py", 1, "", "", "", "")
    batches = mutate.by_reach(Known(), change, files, 100)
    name = "tests/test_{}.py::test_{}".format
    assert batches == [(files[:1], [name("near", 1), name("near", 0)]), (files[3:4], [name("far", 0)]),
                       (files[3:4], [name("far", 1)]), (files[:4], [])]
    assert mutate.by_reach(Known(), change, files, 1000)[2] == (
        [files[3], "tests/test_other.py"], [name("far", 1), name("far", 2), name("other", 0)])
    assert mutate.by_reach(Known(), Change("minidl/x.py", 2, "", "", "", ""), files, 100) == [
        (files[:4], []), (files[4:], [])]
