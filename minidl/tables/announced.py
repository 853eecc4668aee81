"""What .npz and .npy files announce, before NumPy takes memory for it.

Tables hold text, dates and structures, too, which ``minidl.files.npz`` does not read; so NumPy reads them, once the
sizes fit.
"""
from __future__ import annotations

import ast
import zipfile
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from ..files.npz import check_size

LONGEST_HEADER = 10_000  # bytes, as NumPy reads them without being asked for more
WIDTHS = {(1, 0): 2, (2, 0): 4, (3, 0): 4}  # of the header's length in bytes, by the version


def check_archive(path: Path) -> None:
    """ValueError for an archive that unpacks to more than 32 MB and a hundred times its size, and as check_array.

    What zipfile raises for a damaged one is raised as it is: see ``minidl.files.npz.damage_told``.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        check_size(path, entries, None, "numpy.savez does not compress")
        for entry in entries:
            with archive.open(entry) as stream:
                check_array(entry.filename, stream, entry.file_size)


def check_array(name: str, stream: IO[bytes], size: int) -> None:
    """ValueError unless so many bytes are an array whose header announces as many."""
    version = npy.read_magic(stream)
    if version not in WIDTHS:
        raise ValueError(f"{name!r}: expected the format 1.0 to 3.0 of .npy files, got {version[0]}.{version[1]}")
    length = int.from_bytes(stream.read(WIDTHS[version]), "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"{name!r}: expected a header of at most {LONGEST_HEADER} bytes, got one of {length}")
    shape, dtype = _header(name, stream.read(length).decode("utf-8" if version == (3, 0) else "latin-1"))
    announced, left = prod(shape) * dtype.itemsize, size - stream.tell()
    if announced != left:
        raise ValueError(f"{name!r}: expected {announced} bytes for the shape {str(shape)[:80]} of {dtype}, got {left}")


def _header(name: str, text: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype. NumPy's own reader may fail in other ways for a header that is none."""
    try:
        told = ast.literal_eval(text.strip())
        shape, dtype = told["shape"], npy.descr_to_dtype(told["descr"])
        fits = isinstance(shape, tuple) and all(type(length) is int and length >= 0 for length in shape)
    except (KeyError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"{name!r}: expected the header of an array, got {text[:80]!r}")
    if dtype.hasobject:
        raise ValueError(f"{name!r}: Object arrays cannot be loaded when allow_pickle=False")
    return shape, dtype
