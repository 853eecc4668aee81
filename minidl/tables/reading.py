"""Read a table: text with separators, .npz and .npy with NumPy alone, Parquet and Excel through pandas.

Text is read by Python's csv module rather than by pandas: it needs nothing to be installed, and it tells the line of a
row with a field too few, which pandas fills up in silence.
"""
from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..files.npz import damage_told
from ..files.safetensors import check_truth_values
from .announced import check_archive, check_array
from .kinds import MOSTLY
from .table import Table, TableError, Wrong, refuse
from .values import MISSING, numbers

SEPARATORS = ",;\t|"
LAST_CHARACTER = 0x10FFFF
SURROGATES = 0xD800, 0x800  # the first, and how many
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


def read(path: str | os.PathLike, *, skip_wrong: bool = False) -> Table:
    """The table in a file, whose ending tells the format.

    .csv, .tsv, .txt : UTF-8; the first line has the names of the columns, and tells the separator: comma, semicolon,
    tab or bar; where it is no comma, numbers may have decimal commas. .npz : an array (N,) is a column, (N, k) k of
    them. .npy : (N, k), or a structured array.
    .parquet, .pq, .xlsx, .xlsm (the first sheet) : through pandas, the extra ``minidl[table]``.

    skip_wrong : leave out rows with too many or too few fields, which ``table.wrong`` then lists; else they are a
    TableError. Raises TableError for a file that is no such table, ImportError where pandas is missing, OSError for a
    file that cannot be read.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in READERS:
        raise TableError(f"{path}: expected a file that ends in {', '.join(READERS)}, got {ending or 'no ending'}")
    if path.is_dir():
        raise TableError(f"{path}: expected a file, got a folder")
    table = READERS[ending](path)
    if table.wrong and not skip_wrong:
        raise refuse(path.name, table.wrong)
    if not len(table):
        raise TableError(f"{path.name}: expected at least one row, got none")
    return table


def _from_text(path: Path) -> Table:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[:error.start].count(b"\n") + 1
        raise TableError(f"{path.name}, line {line}: expected text in UTF-8, got the byte "
                         f"0x{error.object[error.start]:02x}; save the file as UTF-8") from error
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)  # the first of those that stand there equally often
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True, strict=True)
    records: list[list[str]] = []
    lines: list[int] = []
    ended = 0  # the line in which the record before ended
    try:
        for record in reader:
            if record:
                records.append(record)
                lines.append(reader.line_num)
            ended = reader.line_num
    except csv.Error as error:
        raise TableError(f"{path.name}: the row that begins in line {ended + 1}: {error}") from error
    if not records:
        raise TableError(f"{path.name}: expected a line with the names of the columns, got an empty file")
    names = _names(path, records.pop(0))
    del lines[0]
    return _of_records(path, names, records, lines, separator)


def _of_records(path: Path, names: list[str], records: list[list[str]], lines: list[int],
                separator: str) -> Table:
    wrong = [Wrong(i + 1, lines[i], None, f"expected {len(names)} fields, got {len(record)}")
             for i, record in enumerate(records) if len(record) != len(names)]
    good = [i for i, record in enumerate(records) if len(record) == len(names)]
    columns = {name: _objects(_filled(records[i][j].strip()) for i in good) for j, name in enumerate(names)}
    if separator != ",":
        columns = {name: _with_points(values) for name, values in columns.items()}
    return Table(path.name, columns, np.array(good, np.int64) + 1, np.array(lines, np.int64)[good], wrong)


def _with_points(values: np.ndarray) -> np.ndarray:
    """A column of numbers with decimal commas, with points; any other column as it is."""
    commas = [text is not None and DECIMAL_COMMA.fullmatch(text) is not None for text in values]
    pointed = _objects(text.replace(",", ".") if comma else text for text, comma in zip(values, commas, strict=True))
    there = [text is not None for text in values]
    _, wrong = numbers(pointed)
    return pointed if any(commas) and sum(wrong) <= (1 - MOSTLY) * sum(there) else values


def _names(path: Path, record: list[str]) -> list[str]:
    """The names of the columns: "column 2" for one without."""
    names = [name.strip() or f"column {i + 1}" for i, name in enumerate(record)]
    cells = _objects(_filled(name.strip()) for name in record)
    values, wrong = numbers(cells)
    if not wrong.any() and np.isfinite(values).any():
        raise TableError(f"{path.name}, line 1: expected the names of the columns, got the numbers {', '.join(record)}")
    _unique(path, names)
    return names


def _unique(path: Path, names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise TableError(f"{path.name}: expected a name for each column, got {name!r} twice")
        seen.add(name)


def _filled(text: str) -> str | None:
    return None if text in MISSING else text


def _objects(values: Iterable[Any]) -> np.ndarray:
    """An array (N,) of objects, also where these are sequences."""
    kept = list(values)
    array = np.empty(len(kept), object)
    array[:] = kept
    return array


def _from_npz(path: Path) -> Table:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("no archive")
        with damage_told():
            check_archive(path)
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
    except (MemoryError, ValueError) as error:
        raise TableError(f"{path.name}: expected a .npz file of arrays without objects, got: {error}") from error
    if not arrays:
        raise TableError(f"{path.name}: expected at least one array, got none")
    lengths = {name: len(array) if array.ndim else None for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or None in lengths.values():
        told = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise TableError(f"{path.name}: expected arrays of one length, got {told}")
    return _of_arrays(path, arrays)


def _from_npy(path: Path) -> Table:
    try:
        if zipfile.is_zipfile(path):
            raise ValueError("an archive")
        with open(path, "rb") as stream:
            check_array(path.name, stream, os.path.getsize(path))
        array = np.load(path, allow_pickle=False)
    except (EOFError, MemoryError, OverflowError, RuntimeError, ValueError) as error:
        raise TableError(f"{path.name}: expected a .npy file of numbers or text, got: {error}") from error
    if array.dtype.names and array.ndim == 1:
        return _of_arrays(path, {name: array[name] for name in array.dtype.names})
    if array.ndim != 2:
        raise TableError(f"{path.name}: expected an array (rows, columns) or a structured one, got {array.shape}")
    return _of_arrays(path, {str(j): array[:, j] for j in range(array.shape[1])})


def _of_arrays(path: Path, arrays: dict[str, np.ndarray]) -> Table:
    """A column for each array (N,), and for each column of (N, ...)."""
    columns: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        flat = array.reshape(len(array), -1) if array.size else array.reshape(len(array), 0)
        parts = {name: flat[:, 0]} if array.ndim == 1 and array.size else {
            f"{name}[{j}]": flat[:, j] for j in range(flat.shape[1])}
        _unique(path, [*columns, *parts])
        for part, values in parts.items():
            columns[part] = _column(path, part, values)
    count = len(next(iter(arrays.values())))
    return Table(path.name, columns, np.arange(1, count + 1))


def _column(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    """An array as a Table holds it."""
    values = np.ascontiguousarray(values)
    if values.dtype.kind == "b":
        try:
            check_truth_values(name, values)
        except ValueError as error:
            raise TableError(f"{path.name}, column {error}") from error
        return values
    if values.dtype.kind in "iuf":
        return values.astype(np.float64)
    if values.dtype.kind == "M":
        return values.astype("M8[us]")
    if values.dtype.kind == "U":
        if values.dtype.itemsize:
            codes = values.view(values.dtype.str[0] + "u4")
            if ((codes > LAST_CHARACTER) | (codes - SURROGATES[0] < SURROGATES[1])).any():
                raise TableError(f"{path.name}, column {name!r}: expected text, got what is no character")
        return _objects(_filled(text.strip()) for text in values.tolist())
    raise TableError(f"{path.name}, column {name!r}: expected numbers, truth values, dates or text, got {values.dtype}")


def _through_pandas(reader: str) -> Callable[[Path], Table]:
    def call(path: Path) -> Table:
        try:
            import pandas
        except ImportError as error:
            raise ImportError(f"{path.name}: a file of this format needs pandas; pip install 'minidl[table]' "
                              "brings it, and CSV does without") from error
        try:
            frame = getattr(pandas, reader)(path)
        except ImportError as error:  # of the library below pandas
            raise ImportError(f"{path.name}: {error}; pip install 'minidl[table]' brings it") from error
        except (OSError, MemoryError):
            raise
        except Exception as error:  # each format's library has errors of its own
            raise TableError(f"{path.name}: cannot be read: {type(error).__name__}: {error}") from error
        names = [str(name).strip() for name in frame.columns]
        _unique(path, names)
        columns = {name: _of_series(path, name, frame.iloc[:, j]) for j, name in enumerate(names)}
        return Table(path.name, columns, np.arange(1, len(frame) + 1))

    return call


def _of_series(path: Path, name: str, series: Any) -> np.ndarray:
    """A pandas column; one of mixed values becomes text."""
    kind = series.dtype.kind if hasattr(series.dtype, "kind") else "O"
    if kind in "iuf":
        return series.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    if kind == "b" and not series.isna().any():
        return series.to_numpy(dtype=bool)
    if kind == "M":
        zone = getattr(series.dt, "tz", None)
        return (series if zone is None else series.dt.tz_convert("UTC").dt.tz_localize(None)).to_numpy("M8[us]")
    gone = series.isna().tolist()
    return _objects(None if out else _filled(_cell(value)) for value, out in zip(series.tolist(), gone, strict=True))


def _cell(value: Any) -> str:
    """A cell as a text file would have it."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value).strip()


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _from_text, ".tsv": _from_text, ".txt": _from_text, ".npz": _from_npz, ".npy": _from_npy,
    ".parquet": _through_pandas("read_parquet"), ".pq": _through_pandas("read_parquet"),
    ".xlsx": _through_pandas("read_excel"), ".xlsm": _through_pandas("read_excel"),
}
