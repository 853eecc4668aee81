""".npz files: arrays in the format .npy, each a file of a zip archive. Without pickle, and without trust.

What is compressed may promise, and unpack to, a thousand times its size. So the sizes that the archive tells are
added up before anything is unpacked, and unpacking stops where they turn out to be lies.
"""
from __future__ import annotations

import errno
import io
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from .safetensors import MOST_DIMENSIONS, check_truth_values
from .stream import read_up_to
from .whole import check_regular

if TYPE_CHECKING:
    from zipfile import ZipInfo

FREE = 32 << 20  # bytes that any archive may unpack to,
RATIO = 100  # and the bytes for each byte of the file
MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 4096  # bytes: of arrays of numbers it has some hundred
HEADER = re.compile(  # as NumPy writes it: a Python dict, which is read without Python
    rb"\{'descr': '([<>|=]?[biufc][0-9]{1,2})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,19}L?, ?)*(?:[0-9]{1,19}L?)?)\),? *\} *\n?")
STORED, DEFLATED = 0, 8  # the ways of zip archives that NumPy has


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays, uncompressed. The same arrays give the same bytes."""
    import zipfile  # here, and below, since importing minidl should cost little

    for name in arrays:
        if "\0" in name or len(name.encode()) > 60_000:
            raise ValueError(f"save: expected names that a zip archive holds, got {name[:40]!r}")
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            npy.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())


def read(path: str | os.PathLike, max_bytes: int | None) -> dict[str, np.ndarray]:
    """The arrays of an archive, at most ``max_bytes`` in all, or 32 MB and a hundred times the file's size.

    Raises FileNotFoundError for a missing file, ValueError for one that is no whole archive of arrays of numbers.
    """
    import zipfile

    check_regular(path)
    with damage_told(), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename.removesuffix(".npy") for entry in entries]
        if len(set(names)) < len(names):
            raise ValueError("expected each name once, got one twice")
        check_size(path, entries, max_bytes, "max_bytes= allows more")
        for entry in entries:
            if entry.compress_type not in (STORED, DEFLATED):
                raise ValueError(f"expected {entry.filename!r} stored or deflated, got type {entry.compress_type}")
        arrays = {}
        for name, entry in zip(names, entries, strict=True):
            with archive.open(entry) as stream:
                arrays[name] = _array(name, stream, entry.file_size)
        return arrays


def check_size(path: str | os.PathLike, entries: Iterable[ZipInfo], max_bytes: int | None, advice: str) -> None:
    """ValueError, with the advice, for entries that unpack to more than ``max_bytes``, or what read() allows."""
    most = FREE + RATIO * os.path.getsize(path) if max_bytes is None else max_bytes
    announced = sum(entry.file_size for entry in entries)
    if announced > most:
        raise ValueError(f"expected at most {most} bytes unpacked, got {announced} ({advice})")


@contextmanager
def damage_told() -> Iterator[None]:
    """Within it what zipfile raises for a damaged archive is a ValueError."""
    import zipfile

    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
            OverflowError) as error:
        raise ValueError(str(error)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a place before the file's begin
            raise
        raise ValueError("expected places within the file") from error


def _array(name: str, stream: IO[bytes], size: int) -> np.ndarray:
    start = _exactly(stream, 8, name)
    if start[:6] != MAGIC or start[6] not in (1, 2, 3):
        raise ValueError(f"{name!r}: expected an .npy file, got {bytes(start)!r}")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(_exactly(stream, width, name), "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"{name!r}: expected a header of at most {LONGEST_HEADER} bytes, got one of {length}")
    header = bytes(_exactly(stream, length, name))
    found = HEADER.fullmatch(header)
    if found is None:
        raise ValueError(f"{name!r}: expected the header of an array of numbers, got {header[:100]!r}; others need "
                         "allow_pickle of numpy.load, which runs what the file says")
    try:
        dtype = np.dtype(found[1].decode())
    except TypeError as error:
        raise ValueError(f"{name!r}: {error}") from error
    shape = tuple(int(part.rstrip(b"L ")) for part in found[3].split(b",") if part.strip())
    announced, left = prod(shape[:MOST_DIMENSIONS]) * dtype.itemsize, size - 8 - width - length
    if len(shape) > MOST_DIMENSIONS or announced != left:
        raise ValueError(f"{name!r}: expected {announced} bytes for the shape {str(shape)[:80]} of {dtype}, got {left}")
    data = _exactly(stream, announced, name)
    if stream.read(1):  # which also compares the checksum
        raise ValueError(f"{name!r}: expected the array to end, got more bytes")
    check_truth_values(name, np.frombuffer(data, dtype))
    array = np.ndarray(shape, dtype, buffer=data, order="F" if found[2] == b"True" else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _exactly(stream: IO[bytes], count: int, name: str) -> bytearray:
    """The next ``count`` bytes."""
    data = read_up_to(stream, count)
    if len(data) < count:
        raise ValueError(f"{name!r}: expected {count} bytes, got {len(data)}")
    return data
