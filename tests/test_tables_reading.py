"""Reading tables: each format gives the same columns, and what is wrong is told with its place."""
import datetime
import struct
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from minidl.tables import TableError, read
from minidl.tables import values as of

TEXT = """area,heating,garden,sold,price
120,gas,yes,2021-03-04,310.5
,wood,no,2021-04-05,205
77.5,NA,yes,,199
"""


def table(tmp_path, text, name="t.csv", **options):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read(tmp_path / name, **options)


def test_text_has_columns_rows_and_lines(tmp_path):
    found = table(tmp_path, TEXT)
    assert list(found.columns) == ["area", "heating", "garden", "sold", "price"] and len(found) == 3
    np.testing.assert_array_equal(of.numbers(found.column("area"))[0], [120, np.nan, 77.5])
    assert found.column("heating").tolist() == ["gas", "wood", None]
    assert found.rows.tolist() == [1, 2, 3] and found.lines.tolist() == [2, 3, 4]


@pytest.mark.parametrize("text", [
    TEXT.replace(",", ";"), TEXT.replace(",", "\t"), TEXT.replace(",", "|"), "\ufeff" + TEXT,
    TEXT.replace("\n", "\r\n"), TEXT.replace("\n", "\n\n"), TEXT.replace(",", ", "), '"area"' + TEXT[4:],
    TEXT.replace(",", ";").replace("77.5", "77,5").replace("310.5", "310,5")],
    ids=["semicolon", "tab", "bar", "byte order mark", "CRLF", "empty lines", "spaces", "quotes", "decimal comma"])
def test_ways_of_writing_text_are_one_table(tmp_path, text):
    found, expected = table(tmp_path, text, "other.txt"), table(tmp_path, TEXT)
    assert {name: values.tolist() for name, values in found.columns.items()} == {
        name: values.tolist() for name, values in expected.columns.items()}


def test_a_line_break_in_quotes_and_the_line_after_it(tmp_path):
    found = table(tmp_path, 'note,x\n"two\nlines",1\nplain,2\n')
    assert found.column("note").tolist() == ["two\nlines", "plain"] and found.lines.tolist() == [3, 4]


@pytest.mark.parametrize(("text", "message"), [
    ("", "t.csv: expected a line with the names of the columns, got an empty file"),
    ("a,b\n", "t.csv: expected at least one row, got none"),
    ("a,b,a\n1,2,3\n", "t.csv: expected a name for each column, got 'a' twice"),
    ("1,2\n3,4\n", "t.csv, line 1: expected the names of the columns, got the numbers 1, 2"),
    ("a,b\n1,2\n3\n4\n", "t.csv, row 2 (line 3): expected 2 fields, got 1 (and 1 more such row)"),
    ("a,b\n1,2\n\n3,4,5\n", "t.csv, row 2 (line 4): expected 2 fields, got 3"),
    ('a,b\n1,2\n"3,4\n5,6\n', "t.csv: the row that begins in line 3: unexpected end of data"),
    ('a,b\n1,"2"x\n', "t.csv: the row that begins in line 2:"),
])
def test_text_that_is_no_table(tmp_path, text, message):
    with pytest.raises(TableError) as raised:
        table(tmp_path, text)
    assert message in str(raised.value)


def test_rows_with_another_number_of_fields_can_be_skipped_and_are_listed(tmp_path):
    found = table(tmp_path, "a,b\n1,2\n3\n4,5\n6,7,8\n", skip_wrong=True)
    assert found.column("a").tolist() == ["1", "4"] and found.rows.tolist() == [1, 3]
    assert [str(one) for one in found.wrong] == [
        "row 2 (line 3): expected 2 fields, got 1", "row 4 (line 5): expected 2 fields, got 3"]


def test_another_encoding_is_told_with_the_line(tmp_path):
    (tmp_path / "t.csv").write_bytes("name\nA\nZoë\n".encode("latin-1"))
    with pytest.raises(TableError, match=r"t.csv, line 3: expected text in UTF-8, got the byte 0xeb"):
        read(tmp_path / "t.csv")


def test_npz_has_a_column_for_each_array_or_its_columns(tmp_path):
    moments = np.array(["2021-03-04", "NaT"], "M8[D]")
    np.savez(tmp_path / "t.npz", X=np.arange(4, dtype=np.float32).reshape(2, 2), y=np.array(["a", ""]),
             on=np.array([True, False]), n=np.array([1, 2], np.uint8), when=moments)
    found = read(tmp_path / "t.npz")
    assert list(found.columns) == ["X[0]", "X[1]", "y", "on", "n", "when"] and found.lines is None
    assert found.column("X[1]").tolist() == [1, 3] and found.column("y").tolist() == ["a", None]
    assert found.column("on").dtype == bool and found.column("n").dtype == np.float64
    assert found.column("when").tolist() == [datetime.datetime(2021, 3, 4), None]


def test_npy_has_numbered_or_named_columns(tmp_path):
    np.save(tmp_path / "t.npy", np.arange(6).reshape(3, 2))
    assert {name: values.tolist() for name, values in read(tmp_path / "t.npy").columns.items()} == {
        "0": [0, 2, 4], "1": [1, 3, 5]}
    np.save(tmp_path / "s.npy", np.array([(1, "a"), (2, "b")], [("x", int), ("y", "U3")]))
    assert read(tmp_path / "s.npy").column("y").tolist() == ["a", "b"]


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00nonsense")


@pytest.mark.parametrize(("name", "write", "message"), [
    ("t.npz", lambda path: np.savez(path, a=np.zeros(2), b=np.zeros(3)),
     r"arrays of one length, got a \(2,\), b \(3,\)"),
    ("t.npz", lambda path: np.savez(path, a=np.zeros(())), "arrays of one length"),
    ("t.npz", lambda path: np.savez(path), "at least one array"),
    ("t.npz", lambda path: np.savez(path, a=np.zeros(2, complex)), "column 'a': expected numbers, truth values, dates"),
    ("t.npz", lambda path: np.savez(path, a=np.array([1, None])), "without objects"),
    ("t.npz", lambda path: path.write_bytes(b"no archive"), "no archive"),
    ("t.npz", write_zip, "without objects"),
    ("t.npy", lambda path: np.save(path, np.zeros(3)), r"an array \(rows, columns\) or a structured one, got \(3,\)"),
    ("t.npy", lambda path: path.write_bytes(b"\x93NUMPY"), "a .npy file"),
    ("t.npy", lambda path: path.write_bytes(b""), "a .npy file"),
    ("t.npy", write_zip, "an archive"),
    ("t.doc", lambda path: path.touch(), r"ends in .csv, .tsv, .*got .doc"),
    ("t", lambda path: path.touch(), "got no ending"),
    ("t.csv", lambda path: path.mkdir(), "got a folder"),
])
def test_other_files_that_are_no_table(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(TableError, match=message):
        read(tmp_path / name)


def header(shape, descr="'<f8'"):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text + b"\n"


@pytest.mark.parametrize("content", [
    header("(1000000000000000,)"), header("(-1, 2)") + bytes(16), header("(2, 2)") + bytes(31),
    header("(2, 2)") + bytes(33), header("(2, 2)", "'<U99999999'"), header("(2,)", "'|O'") + bytes(16),
    header("(2**99, 2)"), header("(" * 5000), header("-" * 5000 + "1"), header("(9, ) * 9**9"),
    b"\x93NUMPY\x07\x00" + bytes(40), b"\x93NUMPY\x02\x00" + b"\xff" * 4 + bytes(60),
], ids=lambda content: str(content[8:60]))
def test_arrays_that_announce_what_they_do_not_hold(tmp_path, content):
    (tmp_path / "t.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("x.npy", content)
    for name in ("t.npy", "t.npz"):
        tracemalloc.start()
        with pytest.raises(TableError, match=name):
            read(tmp_path / name)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 32 << 20


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("code", [0xD7FF, 0xD800, 0xDFFF, 0xE000, 0x10FFFF, 0x110000, 0xFFFFFFFF])
def test_text_is_of_characters(tmp_path, code, order):
    codes = np.array([97, code, 98, 99], order + "u4")
    np.save(tmp_path / "t.npy", codes.view([("y", order + "U2")]))
    if 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        with pytest.raises(TableError, match=r"t.npy, column 'y': expected text"):
            read(tmp_path / "t.npy")
    else:
        assert read(tmp_path / "t.npy").column("y").tolist() == [f"a{chr(code)}", "bc"]


def test_truth_values_are_of_0_and_1(tmp_path):
    np.savez(tmp_path / "t.npz", a=np.array([0, 1, 2], np.uint8).view(bool))
    with pytest.raises(TableError, match=r"t.npz, column 'a': expected truth values"):
        read(tmp_path / "t.npz")


def test_an_archive_that_unpacks_to_far_more_than_it_holds(tmp_path):
    np.savez_compressed(tmp_path / "t.npz", a=np.zeros(8 << 20))
    with pytest.raises(TableError, match=r"t.npz: .*bytes unpacked, got 67108992"):
        read(tmp_path / "t.npz")


@pytest.mark.parametrize("name", ["t.npz", "t.npy"])
def test_changed_bytes_are_a_table_or_an_error(tmp_path, name):
    rng = np.random.default_rng(0)
    path = tmp_path / name
    if name == "t.npz":
        np.savez(path, a=np.arange(6.0), b=np.array(list("abcdef")), c=np.arange(6) > 2)
    else:
        np.save(path, np.array([(1, "a"), (2, "b")], [("x", int), ("y", "U3")]))
    whole = path.read_bytes()
    for _ in range(3000):
        content = bytearray(whole)
        for place in rng.integers(len(content), size=rng.integers(1, 4)):
            content[place] = rng.integers(256)
        path.write_bytes(content[:rng.integers(len(content))] if rng.random() < 0.2 else content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, of headers that old versions wrote
            try:
                table = read(path)
            except TableError as error:
                assert name in str(error)
            else:
                assert len({len(values) for values in table.columns.values()}) == 1


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize(("name", "writer", "library"), [
    ("t.parquet", "to_parquet", "pyarrow"), ("t.xlsx", "to_excel", "openpyxl")])
def test_through_pandas_the_same_columns_as_from_text(tmp_path, name, writer, library):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip(library)
    frame = pandas.DataFrame({
        "area": [120, None, 77.5], "heating": ["gas", "wood", None], "garden": [True, False, True],
        "sold": pandas.to_datetime(["2021-03-04", "2021-04-05", None]), "price": [310.5, 205, 199]})
    getattr(frame, writer)(tmp_path / name, index=False)
    found, expected = read(tmp_path / name), table(tmp_path, TEXT)
    np.testing.assert_array_equal(of.numbers(found.column("area"))[0], of.numbers(expected.column("area"))[0])
    np.testing.assert_array_equal(of.booleans(found.column("garden"))[0], of.booleans(expected.column("garden"))[0])
    ours, theirs = (of.dates(one.column("sold"), of.ISO)[0] for one in (found, expected))
    np.testing.assert_array_equal(ours, theirs)
    assert of.texts(found.column("heating")).tolist() == expected.column("heating").tolist()


def test_columns_of_mixed_cells_are_text(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("openpyxl")
    pandas.DataFrame({"x": [1, "two", 3.5, True, None, datetime.date(2024, 5, 6)]}).to_excel(
        tmp_path / "t.xlsx", index=False)
    found = read(tmp_path / "t.xlsx").column("x").tolist()
    assert found[:5] == ["1", "two", "3.5", "true", None] and found[5].startswith("2024-05-06")


def test_pandas_kinds(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.DataFrame({
        "n": pandas.array([1, None], "Int64"), "c": pandas.Categorical(["a", "b"]),
        "b": pandas.array([True, None], "boolean"),
        "z": pandas.to_datetime(["2021-03-04T12:00+02:00", None], utc=True)}).to_parquet(tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet")
    np.testing.assert_array_equal(found.column("n"), [1, np.nan])
    assert found.column("c").tolist() == ["a", "b"] and found.column("b").tolist() == ["true", None]
    assert found.column("z").tolist() == [datetime.datetime(2021, 3, 4, 10), None]


def test_without_pandas_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    (tmp_path / "t.parquet").touch()
    with pytest.raises(ImportError, match=r"t.parquet: .* pip install 'minidl\[table\]'"):
        read(tmp_path / "t.parquet")


def test_a_file_that_pandas_cannot_read(tmp_path):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"nonsense")
    with pytest.raises(TableError, match=r"t.parquet: cannot be read: "):
        read(tmp_path / "t.parquet")


def test_a_column_that_is_not_there(tmp_path):
    with pytest.raises(TableError, match=r"t\.csv: expected a column 'rent', got the columns area, heating"):
        table(tmp_path, TEXT).column("rent")
