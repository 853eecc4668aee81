"""minidl.table."""
import csv
import io

import pytest

from minidl import table

ROWS = [{"name": "b", "n": 3}, {"name": "a", "n": None}, {"name": "c", "n": 1.0, "more": "x, \"y\""}]


def test_ordered_puts_missing_values_last_either_way():
    assert [row["name"] for row in table.ordered(ROWS, "n")] == ["c", "b", "a"]
    assert [row["name"] for row in table.ordered(ROWS, "n", descending=True)] == ["b", "c", "a"]
    assert [row["name"] for row in table.ordered(ROWS, "more")] == ["c", "b", "a"]


def test_ordered_is_stable_and_takes_mixed_values():
    rows = [{"x": value, "i": i} for i, value in enumerate(["b", 2, "a", 1, 2, True])]
    assert [row["i"] for row in table.ordered(rows, "x")] == [3, 5, 1, 4, 2, 0]


def test_ordered_by_an_unknown_column():
    with pytest.raises(ValueError, match="expected a column of name, n, more, got 'm'"):
        table.ordered(ROWS, "m")


def test_text():
    assert table.as_text(ROWS).splitlines() == [
        "name  n  more",
        "b     3  -",
        "a     -  -",
        'c     1  x, "y"']
    assert table.as_text([{"x": 0.123456}, {"x": 1234567}]).splitlines() == ["      x", " 0.1235", "1234567"]
    assert table.as_text([]) == ""


def test_csv_keeps_every_digit():
    rows = [{"x": 0.1 + 0.2, "y": None, "z": 'a "b",\nc'}]
    assert list(csv.reader(io.StringIO(table.as_csv(rows), newline=""))) == [
        ["x", "y", "z"], [repr(0.1 + 0.2), "", 'a "b",\nc']]
