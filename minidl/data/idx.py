"""IDX, the file format of MNIST: a header of big-endian sizes, then the elements in C order.

    offset      bytes   content
    0           2       zero
    2           1       type of the elements (TYPES)
    3           1       rank r
    4           4 r     the sizes of the r dimensions, unsigned, big-endian
    4 + 4 r     ...     the elements, big-endian, the last dimension varying fastest

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""
from __future__ import annotations

import gzip
import os
import struct
import zlib
from math import prod
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..files import part_of
from ..files.stream import read_up_to

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

TYPES: dict[int, np.dtype] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
CODES = {dtype.newbyteorder("="): code for code, dtype in TYPES.items()}



def read_idx(path: str | os.PathLike, *, max_bytes: int | None = None) -> np.ndarray:
    """The array in an IDX file, plain or gzipped (told by its first bytes, not by its name).

    The result is native-endian, C-contiguous and writable. ``max_bytes`` refuses a file whose header
    announces more data than that. Raises FileNotFoundError for a missing file, and ValueError, with what
    was expected and what came, for one that is not exactly a whole IDX file.
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            if not zipped:
                return _read(file, max_bytes)
            with gzip.GzipFile(fileobj=file) as stream:
                return _read(stream, max_bytes)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"read_idx({name!r}): expected a whole gzip file, got: {error}") from error
        except ValueError as error:
            raise ValueError(f"read_idx({name!r}): {error}") from error


def write_idx(path: str | os.PathLike, array: ArrayLike) -> None:
    """Write an array as an IDX file, gzipped if the name ends in ``.gz``.

    The file appears whole or not at all. Raises TypeError for an element type that IDX does not have (it
    has uint8, int8, int16, int32, float32 and float64), ValueError for a dimension of 2³² or more.
    """
    from pathlib import Path  # here, since importing minidl should cost little
    path, content = Path(path), idx_bytes(array)
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    with part_of(path) as part:
        part.write_bytes(content)
        os.replace(part, path)


def idx_bytes(array: ArrayLike) -> bytes:
    """The content of the IDX file of an array: the one that :func:`read_idx` reads back to it."""
    array = np.asarray(array)
    code = CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        known = ", ".join(map(str, CODES))
        raise TypeError(f"write_idx: expected an array of {known}, got {array.dtype}")
    if max(array.shape, default=0) >= 1 << 32:
        raise ValueError(f"write_idx: expected dimensions below 2**32, got shape {array.shape}")
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(TYPES[code]).tobytes()


def _read(stream: BinaryIO | gzip.GzipFile, max_bytes: int | None) -> np.ndarray:
    zero, code, rank = struct.unpack(">HBB", _exactly(stream, 4, "a magic number"))
    if zero != 0 or code not in TYPES:
        codes = ", ".join(f"{known:02x}" for known in TYPES)
        raise ValueError(f"expected a magic number 0000ttrr with type tt among {codes}, "
                         f"got {zero:04x}{code:02x}{rank:02x}")
    shape = struct.unpack(f">{rank}I", _exactly(stream, 4 * rank, f"{rank} dimensions"))
    dtype = TYPES[code]
    announced = prod(shape) * dtype.itemsize
    if max_bytes is not None and announced > max_bytes:
        raise ValueError(f"expected at most {max_bytes} bytes, got a header that announces {announced}")
    data = _exactly(stream, announced, f"data of shape {shape} and type {dtype.name}")
    if stream.read(1):
        raise ValueError(f"expected the file to end after data of shape {shape}, got trailing bytes")
    # ndarray raises ValueError for a shape that NumPy cannot hold: too many dimensions, or 0 by 2**64.
    return np.ndarray(shape, dtype, buffer=data).astype(dtype.newbyteorder("="), copy=False)


def _exactly(stream: BinaryIO | gzip.GzipFile, count: int, what: str) -> bytearray:
    """The next ``count`` bytes."""
    data = read_up_to(stream, count)
    if len(data) < count:
        raise ValueError(f"expected {count} bytes of {what}, got {len(data)}")
    return data
