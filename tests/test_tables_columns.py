"""Columns of a table: of which kind they are, how they become inputs, and that both survive as JSON."""
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from minidl.tables import Preprocessing, Table, TableError
from minidl.tables import values as of
from minidl.tables.columns import CATEGORIES, CLASSES, RARE, Categorical, Date, Numeric, moments
from minidl.tables.kinds import KINDS, kind_of
from minidl.tables.preprocessing import as_kinds, kinds_of, wrong_values
from minidl.tables.target import Amount, Classes, target_of


def texts(*words):
    """A column of text, None for a missing value."""
    column = np.empty(len(words), object)
    column[:] = words
    return column


def table(**columns):
    arrays = {name: values if isinstance(values, np.ndarray) else texts(*values) for name, values in columns.items()}
    count = len(next(iter(arrays.values())))
    return Table("t.csv", arrays, np.arange(1, count + 1), np.arange(2, count + 2))


# Of each kind, columns that tell it: as text, and as other files have them.
TOLD = {
    "numeric": [texts("1", "2.5", None, "-3e2"), texts(" 1", "+2", "0", "9"), np.array([1.5, np.nan, 3]),
                texts(*["1", "7"] * 9, "7", "x")],
    "boolean": [texts("yes", "no", "Yes", None), texts("true", "FALSE"), texts("t", "f"), texts("Y", "n"),
                np.array([True, False])],
    "date": [texts("2021-03-04", None, "2022-01-01"), texts("2021-03-04T10:00", "2021-03-04 11:30:15"),
             texts("31.12.2020", "01.01.2021"), texts("12/31/2020", "01/01/2021"), texts("31/12/2020", "01/01/2021"),
             texts("2020/12/31", "2021/01/01"), np.array(["2020-01-01", "2021-01-01"], "M8[us]")],
    "categorical": [texts("red", "green", None, "red"), texts("1a", "2b", "3"), texts(*"abcdefghij"),
                    texts(*[f"town {i}" for i in range(40)] * 5)],
    "": [texts(None, None), texts("7", "7"), texts(*map(str, range(5, 30))), texts(*[f"name {i}" for i in range(40)])],
}


@pytest.mark.parametrize(("kind", "values"), [(kind, values) for kind, columns in TOLD.items() for values in columns])
def test_the_values_tell_the_kind(kind, values):
    found = kind_of(values)
    assert found.name == kind and bool(found.reason) == (not kind)


def test_every_kind_has_a_class_and_examples():
    assert set(KINDS) == set(CLASSES) == set(TOLD) - {""}
    assert all(CLASSES[kind].kind == kind for kind in KINDS)


@pytest.mark.parametrize(("values", "form"), [(TOLD["date"][i], form) for i, form in (
    (0, of.ISO), (2, "%d.%m.%Y"), (3, "%m/%d/%Y"), (4, "%d/%m/%Y"), (5, "%Y/%m/%d"))])
def test_the_format_of_dates(values, form):
    assert kind_of(values).form == form


@pytest.mark.parametrize(("kind", "values"), [(kind, values) for kind in KINDS for values in TOLD[kind]])
def test_columns_become_finite_inputs_with_names_and_survive_as_json(kind, values, tmp_path):
    found = kind_of(values)
    column = CLASSES[kind].fit("c", values, found.form)
    good = values[~column.wrong(values)]
    inputs = column.encode(good)
    assert inputs.dtype == np.float32 and inputs.shape == (len(good), len(column.inputs)) and np.isfinite(inputs).all()
    assert len(set(column.inputs)) == len(column.inputs)
    kept = Preprocessing(Amount("y", 0.5, 2.0, "told"), [column], {"z": "dull"})
    kept.save(tmp_path / "p.json")
    again = Preprocessing.load(tmp_path / "p.json")
    assert again == kept
    np.testing.assert_array_equal(again.columns[0].encode(good), inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_values_that_are_missing_have_an_input_where_training_missed_one(kind):
    values = next(values for values in TOLD[kind] if of.missing(values).any())
    column = CLASSES[kind].fit("c", values, kind_of(values).form)
    np.testing.assert_array_equal(column.encode(values)[:, -1], of.missing(values))
    there = CLASSES[kind].fit("c", values[~of.missing(values)], kind_of(values).form)
    assert len(there.inputs) == len(column.inputs) - 1
    assert np.isfinite(there.encode(texts(None, None))).all()


def test_numbers_are_scaled_and_a_missing_one_counts_as_the_median():
    column = Numeric.fit("c", texts("1", None, "3", "8"))
    assert column.median == 3 and column.mean == 3.75
    expected = (np.array([1, 3, 3, 8]) - 3.75) / np.std([1, 3, 3, 8])
    np.testing.assert_allclose(column.encode(texts("1", None, "3", "8"))[:, 0], expected, rtol=1e-6)


def test_numbers_far_outside_are_cut_and_absurd_ones_are_wrong():
    column = Numeric.fit("c", texts("1", "2"))
    assert column.encode(texts("1e90")).tolist() == [[10]]
    assert column.wrong(texts("1e200", "inf", "nan", "1_000", "-1e99", None)).tolist() == [1, 1, 1, 1, 0, 0]
    assert column.wrong(np.array([np.inf, 1e200, np.nan, 5])).tolist() == [1, 1, 0, 0]


def test_categories_rare_unknown_and_missing():
    column = Categorical.fit("c", texts(*["b"] * 7, *["a"] * RARE, "x", "y"))
    assert column.inputs == ["c = a", "c = b", "c = (other)"] and column.rare == ("x", "y")
    np.testing.assert_array_equal(column.encode(texts("a", "b", "x", "new", None)),
                                  [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]])
    assert column.unknown(texts("a", "x", "new", "new", None)) == {"new": 2}
    common = Categorical.fit("c", texts(*["a", "b"] * RARE))
    np.testing.assert_array_equal(common.encode(texts("a", "new")), [[1, 0], [0, 0]])


def test_the_most_frequent_categories_have_inputs():
    words = [f"town {i:02}" for i in range(40) for _ in range(RARE + i)]
    column = Categorical.fit("c", texts(*words))
    assert list(column.categories) == [f"town {i:02}" for i in range(10, 40)] and len(column.rare) == 10
    assert len(column.categories) == CATEGORIES


def test_dates_have_phases():
    column = Date.fit("c", texts("2021-01-01", "2021-01-08T06:00"), of.ISO)
    assert column.hours and len(column.inputs) == 7
    first, second = column.encode(texts("2021-01-01", "2021-01-08T06:00"))
    np.testing.assert_allclose([first[0], second[0]], [-1, 1])
    np.testing.assert_allclose(second[5:], [1, 0], atol=1e-6)  # a quarter of the day
    assert not Date.fit("c", texts("2021-01-01", "2021-01-08"), of.ISO).hours
    assert column.wrong(texts("2021-02-30", "soon", "20210101", "2021-01-01")).tolist() == [1, 1, 1, 0]


def test_dates_with_a_time_zone_are_in_utc():
    found, wrong = of.dates(texts("2021-01-01T12:00+02:00", "2021-01-01T10:00Z"), of.ISO)
    assert found[0] == found[1] == np.datetime64("2021-01-01T10:00") and not wrong.any()


def test_numbers_are_the_same_text_from_every_file():
    assert of.texts(np.array([1.0, 2.5, np.nan, 1e20])).tolist() == ["1", "2.5", None, "1e+20"]
    assert of.texts(np.array([True, False])).tolist() == ["true", "false"]


@settings(max_examples=50, deadline=None)
@given(some.lists(some.floats(-1e9, 1e9), min_size=1, max_size=50))
def test_moments_are_those_of_numpy_to_a_rounding(x):
    mean, deviation = moments(np.array(x))
    assert math.isclose(mean, np.mean(x), rel_tol=1e-12, abs_tol=1e-6) and deviation > 0


@settings(max_examples=200, deadline=None)
@given(some.lists(some.none() | some.text(max_size=6) | some.sampled_from(["1", "2.5", "yes", "no", "2021-01-01"]),
                  min_size=1, max_size=30))
def test_any_text_is_of_some_kind_and_encodes(words):
    found = kind_of(texts(*words))
    if found.name:
        column = CLASSES[found.name].fit("c", texts(*words), found.form)
        good = texts(*words)[~column.wrong(texts(*words))]
        assert np.isfinite(column.encode(good)).all()


# The target

@pytest.mark.parametrize(("values", "expected"), [
    (["yes", "no"] * 5, ("no", "yes")), (["b", "a", "c"] * 4, ("a", "b", "c")), (["1", "0"] * 5, ("0", "1")),
    (["10", "9", "2"] * 5, ("2", "9", "10")), (np.array([1.0, 0.0] * 5), ("0", "1")),
    (np.array([True, False] * 5), ("false", "true"))])
def test_classes_are_told_from_the_target(values, expected):
    found = target_of(table(y=values), "y")
    assert isinstance(found, Classes) and found.labels == expected
    columns = table(y=values).column("y")
    assert [found.labels[i] for i in found.encode(columns)] == of.texts(columns).tolist()


def test_numbers_are_told_from_the_target():
    found = target_of(table(y=[str(i / 3) for i in range(20)]), "y")
    assert isinstance(found, Amount) and found.reason == "20 different numbers"
    assert isinstance(target_of(table(y=[str(i) for i in range(11)] * 2), "y"), Amount)
    assert isinstance(target_of(table(y=["1", "2"] * 5), "y", "regression"), Amount)
    few = target_of(table(y=[str(i % 12) for i in range(50)]), "y", "classification")
    assert isinstance(few, Classes) and few.labels == tuple(map(str, range(12)))


def test_labels_of_numbers_are_one_whichever_way_they_are_written():
    found = target_of(table(y=["1", "1.0", "0", "0.0"] * 4), "y")
    assert found.labels == ("0", "1") and found.encode(texts("1", "1.0", "0")).tolist() == [1, 1, 0]


@pytest.mark.parametrize(("values", "task", "message"), [
    (["a", "b"] * 5, "regression", "numbers for a regression, but it is categorical"),
    (["7"] * 5, None, "but all its values are 7"),
    ([None] * 5, None, "but it has no values"),
    (["2021-01-01", "2021-01-02"], None, "but it has dates"),
    ([f"name {i}" for i in range(30)], None, "but it is text with 30 different values in 30 rows"),
    ([str(i / 7) for i in range(30)], "classification", "got 30 different values in 30 rows"),
])
def test_targets_that_are_none(values, task, message):
    with pytest.raises(TableError, match=f"t.csv, column 'y': expected .*{message}"):
        target_of(table(y=values), "y", task)


def test_wrong_values_are_told_with_row_line_and_column():
    whole = table(x=["1", "2", "many", *["3"] * 20], y=["yes", "no", "yes", *["no"] * 19, "maybe"])
    target = target_of(whole, "y")
    read, wrong = as_kinds(whole, kinds_of(whole, "y", {}, []))
    assert [str(one) for one in wrong] == ["row 3 (line 4), column 'x': expected a number, got 'many'"]
    assert [str(one) for one in wrong_values(whole, [target])] == [
        "row 23 (line 24), column 'y': expected one of no, yes, got 'maybe'"]
    np.testing.assert_array_equal(read.column("x")[:4], [1, 2, np.nan, 3])


def test_what_the_user_says_of_columns():
    whole = table(code=["1", "2", "3"], when=["1.2.2020", "3.4.2021", "5.6.2022"], x=["4", "5", "7"], y=["1", "2", "4"])
    kinds = kinds_of(whole, "y", {"code": "categorical"}, ["x"])
    assert [kind.name for kind in kinds.values()] == ["categorical", "date", ""]
    assert kinds["x"].reason == "you say so"
    for told, drop, message in (({"z": "numeric"}, [], "expected a column 'z'"), ({}, ["z"], "expected a column 'z'"),
                                ({}, ["y"], "it is the target"), ({}, ["x", "code", "when"], "a column beside the")):
        with pytest.raises(TableError, match=message):
            kinds_of(whole, "y", told, drop)


# A damaged or hostile preprocessing.json

GOOD = {"version": 1, "target": {"task": "classification", "name": "y", "labels": ["a", "b"], "numeric": False,
                                 "reason": ""},
        "columns": [{"kind": "numeric", "name": "x", "misses": False, "median": 0.0, "mean": 0.0, "deviation": 1.0},
                    {"kind": "date", "name": "d", "misses": True, "form": "ISO", "mean": 0.0, "deviation": 1,
                     "hours": False},
                    {"kind": "categorical", "name": "c", "misses": True, "categories": ["p"], "rare": []}],
        "left_out": {}}


def changed(path, value):
    """GOOD with another value in one place; "absent" takes the key away."""
    content = json.loads(json.dumps(GOOD))
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    if value == "absent":
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return json.dumps(content)


def places(content, path=()):
    """The path of every value in it."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from places(value, (*path, key))


def test_the_good_one_is_good(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps(GOOD))
    assert [column.name for column in Preprocessing.load(tmp_path / "p.json").columns] == ["x", "d", "c"]


@pytest.mark.parametrize("path", list(places(GOOD)), ids=lambda path: ".".join(map(str, path)))
def test_another_type_in_any_place_is_an_error_or_harmless(tmp_path, path):
    file = tmp_path / "p.json"
    for value in (None, [], {}, [[1]], "", -1, 1e400, True, "absent", {"kind": "os.system"}):
        file.write_text(changed(path, value))
        try:
            found = Preprocessing.load(file)
        except ValueError as error:
            assert str(file) in str(error)
        else:
            assert found.inputs and all(isinstance(column.name, str) for column in found.columns)


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 100_000, '{"version": 1}', "\x00", '"text"'])
def test_no_preprocessing_at_all(tmp_path, content):
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(ValueError, match=r"p\.json: expected the preprocessing of a run"):
        Preprocessing.load(tmp_path / "p.json")


def test_whole_numbers_are_text_without_a_point_while_all_of_them_are_exact():
    values = np.array([0.0, -3.0, 2.5, 2.0**53 - 1, 2.0**53, 2.0**53 + 2, -(2.0**53) + 1, -(2.0**53), np.nan])
    assert of.texts(values).tolist() == [
        "0", "-3", "2.5", "9007199254740991", "9007199254740992.0", "9007199254740994.0", "-9007199254740991",
        "-9007199254740992.0", None]
