"""The changes that tests/scripts/mutate.py makes: each one a mistake in the code, none in what is only read."""
from __future__ import annotations

import re
from pathlib import Path

import changes
import kernel_changes
import mutate
import pytest
import rebuilt

ROOT = Path(__file__).resolve().parents[1]
PYTHON = '''"""1 + 1."""
def f(a: int = 2):
    """a + 2."""
    if a < 3:
        raise ValueError(f"{a + 1}")
    return a
'''
CYTHON = '''# a 1 < 2
cdef extern from * nogil:
    """
    #define TWO 2 /* not 3 */
    """
    const int TWO

cdef struct Pair:
    int a[2]


cdef inline int f(int n, int* x) noexcept nogil:
    """1 + 1."""
    cdef int i, s = 0
    cdef int room[8]
    for i in range(n):
        if x[i] >= TWO and not n:
            s += (<int*>x)[1]  # 2 + 2
    prefetch(x + 8)
    if n < 0:
        raise ValueError(f"expected {n + 1}")
    return -s

register(b"f", f, HAS_A | HAS_B, b"1 + 1")
'''
C = '''#ifndef X
#if SIZE == 4
#define HALF(n) (n / 2)
static int f(const int *x, int n) {
  int s = 0; /* 1 + 2 */
  for (int i = 0; i < n; i++)
    s += x[i];
  return n > 1 ? s : f("1 + 1", s);
}
'''


def made(of, path, text):
    """The changes as "what stood there -> what stands there", by line."""
    found = []
    for change in of(path, text):
        lines, changed = text.splitlines(), change.text.splitlines()
        assert len(lines) == len(changed)
        assert [i + 1 for i, (a, b) in enumerate(zip(lines, changed, strict=True)) if a != b] == [change.line]
        found.append(f"{change.before} -> {change.after}")
    return found


def test_of_python():
    assert set(made(changes.changes, "x.py", PYTHON)) == {
        "def f(a: int = 2): -> def f(a: int = 3):", "def f(a: int = 2): -> def f(a: int = 1):",
        "def f(a: int = 2): -> def f(a: int = (-2)):",
        "if a < 3: -> if (a <= 3):", "if a < 3: -> if (a > 3):", "if a < 3: -> if a < 4:", "if a < 3: -> if a < 2:",
        "if a < 3: -> if a < (-3):", "if a < 3: -> if (not (a < 3)):",
        'raise ValueError(f"{a + 1}") -> pass', "return a -> return None"}


def test_any_negative_number_is_the_axis_that_is_left():
    assert set(made(changes.changes, "x.py", "y = x.reshape(-1)\n")) == {
        f"y = x.reshape(-1) -> y = x.reshape({other})" for other in ("-(0)", "-(-1)", "(1)")}


def test_of_cython():
    test = "if x[i] >= TWO and not n:"
    assert set(made(kernel_changes.changes, "x.pxi", CYTHON)) == {
        *(f"#define TWO 2 /* not 3 */ -> #define TWO {other} /* not 3 */" for other in (1, 3)),
        "cdef int i, s = 0 -> cdef int i, s = 1",
        "for i in range(n): -> for i in range(n + 1):", "for i in range(n): -> for i in range(n - 1):",
        *(f"{test} -> {other}" for other in (
            "if x[i] > TWO and not n:", "if x[i] < TWO and not n:", "if x[i] >= TWO or not n:",
            "if x[i] >= TWO and n:", "if x[i + 1] >= TWO and not n:", "if x[i - 1] >= TWO and not n:",
            "if not (x[i] >= TWO and not n):")),
        *(f"s += (<int*>x)[1] # 2 + 2 -> {other} # 2 + 2" for other in (
            "pass", "s -= (<int*>x)[1]", "s += (<int*>x)[2]", "s += (<int*>x)[0]")),
        *(f"if n < 0: -> {other}" for other in ("if n <= 0:", "if n > 0:", "if n < 1:", "if not (n < 0):")),
        'raise ValueError(f"expected {n + 1}") -> pass', "return -s -> return s"}


def test_of_c():
    loop = "for (int i = 0; i < n; i++)"
    assert set(made(kernel_changes.changes, "x.h", C)) == {
        "int s = 0; /* 1 + 2 */ -> int s = 1; /* 1 + 2 */",
        *(f"{loop} -> for (int i = {i}; i {less} n; i++)" for i, less in ((1, "<"), (0, "<="), (0, ">"))),
        *(f"s += x[i]; -> {other}" for other in (";", "s -= x[i];", "s += x[i + 1];", "s += x[i - 1];")),
        *(f'return n > 1 ? s : f("1 + 1", s); -> return n {test} ? s : f("1 + 1", s);'
          for test in (">= 1", "< 1", "> 2", "> 0"))}


WITHOUT_EFFECT = '''cdef inline bint fill_tiles(int rows) noexcept nogil:
    return rows > 1


cdef void f(int n, Call* call):
    run_rows(call, n, 8 * n * g(n))
    while i < n:
        k = min(n - i, LANES)
        i += LANES
'''
METER = "static long work_for_threads(long usual) {\n  return usual * 2;\n}\n"


def test_what_decides_speed_alone_and_a_last_pass_over_nothing_are_left_out():
    assert set(made(kernel_changes.changes, "x.pxi", WITHOUT_EFFECT)) == {
        "run_rows(call, n, 8 * n * g(n)) -> pass", "while i < n: -> while i > n:",
        *(f"k = min(n - i, LANES) -> {other}" for other in ("pass", "k = max(n - i, LANES)", "k = min(n + i, LANES)")),
        "i += LANES -> pass", "i += LANES -> i -= LANES"}
    for other in (WITHOUT_EFFECT.replace("n - i", "n - j"), WITHOUT_EFFECT.replace("i += LANES", "i += k")):  # no end
        assert "while i < n: -> while i <= n:" in made(kernel_changes.changes, "x.pxi", other)
    assert made(kernel_changes.changes, "x.pxi", WITHOUT_EFFECT.replace("fill_tiles", "fill"))[0].startswith("return")
    assert not kernel_changes.changes("x.h", METER)
    assert kernel_changes.changes("x.h", METER.replace("work_for_threads", "f"))


@pytest.mark.parametrize("path", rebuilt.kernel_files([]), ids=lambda path: path.name)
def test_every_kernel_file_is_built_into_a_module_and_can_be_changed(path):
    text = path.read_text()
    found = kernel_changes.changes(path.name, text)
    assert found or not re.search(r"^ +(return|for|if) ", text, re.MULTILINE)
    assert all(change.text != text and change.text.count("\n") == text.count("\n") for change in found)
    assert any(path.name in parts for parts in rebuilt.roots().values())


def test_the_tests_that_look_closest_are_there():
    for names in mutate.CLOSEST.values():
        assert [name for name in names if not (ROOT / "tests" / f"{name}.py").exists()] == []


def test_all_of_minidl_is_changed():
    assert {path.relative_to(ROOT) for path in (ROOT / "minidl").rglob("*.py") if "kernels" not in path.parts} == {
        path.relative_to(ROOT) for path in mutate.sources([])}
