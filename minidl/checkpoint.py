"""Weights on disk: a state dict as a .npz file, without pickle."""
from __future__ import annotations

import io
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from .files import part_of

KINDS = "biufc"  # what an .npy file holds without pickle: truth values and numbers


def save(state_dict: Mapping[str, np.ndarray], path: str | os.PathLike) -> None:
    """Write named arrays, such as ``model.state_dict()``, to a .npz file that ``numpy.load`` reads too.

    The file appears whole or not at all, and the same arrays give the same bytes. Raises TypeError for
    what is no mapping, a name that is no text or a value that is no array of numbers, OSError where nothing
    can be written.
    """
    import zipfile  # here, and below, since importing minidl should cost little

    if not isinstance(state_dict, Mapping):
        came = type(state_dict).__name__
        raise TypeError(f"save: expected named arrays, such as model.state_dict(), got {came}")
    for name, array in state_dict.items():
        if not isinstance(name, str):
            raise TypeError(f"save: expected names of type str, got {type(name).__name__}")
        if not isinstance(array, np.ndarray) or array.dtype.kind not in KINDS:
            came = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"save: expected an array of numbers as {name!r}, got {came}")
    with part_of(Path(path)) as part:
        with zipfile.ZipFile(part, "w") as archive:
            for name, array in state_dict.items():
                content = io.BytesIO()
                npy.write_array(content, array, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
        os.replace(part, path)


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The named arrays that ``save`` wrote: ``model.load_state_dict(minidl.load(path))``.

    Raises FileNotFoundError for a missing file, ValueError for one that is cut short, damaged, or
    something else than a .npz file of numbers.
    """
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ValueError(f"load({os.fspath(path)!r}): expected a whole .npz file, got: {error}") from error


def _array(content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    array = npy.read_array(stream, allow_pickle=False)
    if stream.read(1):
        raise ValueError("bytes after an array")
    return array
