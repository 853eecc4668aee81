"""safetensors, the file format of weights (https://github.com/huggingface/safetensors): names, shapes, numbers.

    offset      bytes   content
    0           8       n, the length of the header, little-endian
    8           n       the header, JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...},
                        and "__metadata__": texts by their names
    8 + n       ...     the elements, little-endian, in C order; offsets count from here, and leave no gap

A file that ends too early, or whose header is not true of what follows, is refused before its arrays are made.
"""
from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from .strict_json import parsed, written
from .whole import check_regular

TYPES = {
    "BOOL": np.dtype("?"), "U8": np.dtype("u1"), "I8": np.dtype("i1"), "U16": np.dtype("<u2"), "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"), "U32": np.dtype("<u4"), "I32": np.dtype("<i4"), "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"), "I64": np.dtype("<i8"), "F64": np.dtype("<f8"), "C64": np.dtype("<c8"),
}
NAMES = {dtype: name for name, dtype in TYPES.items()}
BRAIN = "BF16"  # a float32 without its lower half, which NumPy does not have: read as float32, exactly
METADATA = "__metadata__"
LONGEST_HEADER = 100_000_000  # bytes: the limit of the format's own reader
MOST_DIMENSIONS = 64  # of an array of NumPy


def write(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write the arrays to the file. The same arrays give the same bytes.

    Raises TypeError for an array of a type that the format does not have, ValueError for a name that it cannot hold.
    """
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    types = {name: _type_of(name, array) for name, array in arrays.items()}
    begin, laid = 0, {}
    for name in sorted(arrays, key=lambda name: -types[name].itemsize):  # so that each array is aligned
        laid[name] = begin, begin + arrays[name].nbytes
        begin = laid[name][1]
    for name, array in arrays.items():
        header[name] = {"dtype": NAMES[types[name]], "shape": array.shape, "data_offsets": laid[name]}
    text = written(header).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST_HEADER:
        raise ValueError(f"save: expected names and settings of at most {LONGEST_HEADER} bytes, got {len(text)}")
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name in laid:
            file.write(np.ascontiguousarray(arrays[name], types[name]).reshape(-1).view(np.uint8).data)


def _type_of(name: str, array: np.ndarray) -> np.dtype:
    dtype = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
    if dtype not in NAMES:
        raise TypeError(f"save: expected {name!r} of a type that safetensors has ({', '.join(map(str, NAMES))}), "
                        f"got {array.dtype}; .npz files hold it")
    if name == METADATA:
        raise ValueError(f"save: expected other names than {METADATA!r}")
    return dtype


def read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(arrays, metadata) of a file, in the order of its header. The arrays are native-endian, C-contiguous, writable.

    Raises FileNotFoundError for a missing file, and ValueError, with what was expected and what came, for one that is
    no whole safetensors file, or has types that NumPy does not have (BF16 is read as float32).
    """
    check_regular(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header, begin = _header(file, size)
        metadata = header.pop(METADATA, {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError(f"expected {METADATA} to be texts by their names")
        places = {name: _place(name, entry) for name, entry in header.items()}
        _check_order(places, size - begin)
        return {name: _array(file, name, begin + place[2], *place[:2]) for name, place in places.items()}, metadata


def _header(file: BufferedReader, size: int) -> tuple[dict[str, Any], int]:
    """The header, and the number of bytes before the elements."""
    start = file.read(8)
    if start[:2] == b"PK":
        raise ValueError("expected a safetensors file, got a zip archive, such as .npz files and those of torch.save")
    if len(start) < 8:
        raise ValueError(f"expected 8 bytes of a header's length, got {len(start)}")
    length, = struct.unpack("<Q", start)
    if length > min(size - 8, LONGEST_HEADER):
        raise ValueError(f"expected a header of at most {min(size - 8, LONGEST_HEADER)} bytes, got one of {length}")
    text = file.read(length)
    if len(text) < length:
        raise ValueError(f"expected {length} bytes of a header, got {len(text)}")
    if text[:1] != b"{":
        raise ValueError(f"expected a header that begins with '{{', got {text[:20]!r}")
    return parsed(text), 8 + length


def _place(name: str, entry: Any) -> tuple[np.dtype | None, list[int], int, int]:
    """(dtype, shape, begin, end) of an entry of the header; None for BF16."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise ValueError(f"{name!r}: expected an object with dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or (kind not in TYPES and kind != BRAIN):
        raise ValueError(f"{name!r}: expected a dtype among {', '.join([*TYPES, BRAIN])}, got {str(kind)[:40]!r}")
    if not _are_sizes(shape) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"{name!r}: expected a shape of at most {MOST_DIMENSIONS} sizes, got {str(shape)[:80]}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"{name!r}: expected two data_offsets, got {str(offsets)[:80]}")
    dtype = TYPES.get(kind)
    size = prod(shape) * (dtype.itemsize if dtype is not None else 2)
    if offsets[1] - offsets[0] != size:
        raise ValueError(f"{name!r}: expected {size} bytes for the shape {shape} of {kind}, got data_offsets {offsets}")
    return dtype, shape, *offsets


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _check_order(places: dict[str, tuple], size: int) -> None:
    """The arrays follow each other without gap or overlap, from the first byte to the last."""
    at = 0
    for name, (_, _, begin, end) in sorted(places.items(), key=lambda item: item[1][2:]):
        if begin != at:
            raise ValueError(f"{name!r}: expected elements from byte {at} on, got from {begin} on")
        at = end
    if at != size:
        raise ValueError(f"expected {at} bytes of elements, got {size}")


def _array(file: BufferedReader, name: str, begin: int, dtype: np.dtype | None, shape: list[int]) -> np.ndarray:
    try:
        array = np.empty(shape, np.dtype("<u2") if dtype is None else dtype)
    except (ValueError, OverflowError) as error:  # 0 by 2**62: no elements, and yet too large for NumPy
        raise ValueError(f"{name!r}: expected a shape that NumPy takes, got {shape}") from error
    file.seek(begin)
    place = array.reshape(-1).view(np.uint8).data
    while place:
        count = file.readinto(place)
        if not count:
            raise ValueError(f"{name!r}: expected {len(place)} bytes more, got the end of the file")
        place = place[count:]
    if dtype is None:
        return (array.astype(np.uint32) << 16).view(np.float32)
    check_truth_values(name, array)
    return array.astype(dtype.newbyteorder("="), copy=False)


def check_truth_values(name: str, array: np.ndarray) -> None:
    """ValueError for an array of bool with another byte than 0 and 1, which NumPy would take as it is."""
    if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        raise ValueError(f"{name!r}: expected truth values, 0 or 1, got {array.view(np.uint8).max()}")
