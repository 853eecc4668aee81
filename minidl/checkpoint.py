"""Weights, and whole states, on disk: safetensors files, or .npz files, without pickle."""
from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .files import part_of, put

KINDS = "biufc"  # what arrays may hold: truth values and numbers
STATE = "minidl"  # the text in a safetensors file that says how a nested state is made of its arrays


def save(path: str | os.PathLike, state: Any) -> None:
    """Write a model's weights, named arrays, or a nested state to a safetensors file, or to a .npz file by its name.

        minidl.save("model.safetensors", model)
        minidl.save("run.safetensors", {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3})

    state : what has a ``state_dict()``; a mapping of names to arrays or Tensors, which any reader of safetensors
        reads; or dicts, lists and tuples of such, of numbers, texts and None, of which other readers see the arrays.
        A .npz file holds arrays by their names alone.

    The file appears whole or not at all, also where the machine stops, and the same state gives the same bytes. The
    order of earlier versions, and of torch.save, ``save(state, path)``, works, too.

    Raises TypeError for what cannot be saved, with its place, ValueError for a name that the file cannot hold, OSError
    where nothing can be written.
    """
    if isinstance(state, (str, os.PathLike)) and not isinstance(path, (str, os.PathLike)):
        path, state = state, path
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"save: expected a path and a state, got {type(path).__name__} and {type(state).__name__}")
    from pathlib import Path  # here, since importing minidl should cost little
    path = Path(path)
    if callable(getattr(state, "state_dict", None)):
        state = state.state_dict()
    if not isinstance(state, Mapping):
        came = type(state).__name__
        raise TypeError(f"save: expected named arrays, such as model.state_dict(), got {came}")
    with part_of(path) as part:
        if path.suffix.lower() == ".npz":
            from .files import npz  # here, and below, since importing minidl should cost little
            npz.write(part, _named_arrays(state))
        else:
            from .files import safetensors
            safetensors.write(part, *_with_metadata(state))
        put(part, path)


def load(path: str | os.PathLike, *, max_bytes: int | None = None) -> Any:
    """What ``save`` wrote: ``model.load_state_dict(minidl.load(path))``. Reads any safetensors file; .npz by the name.

    max_bytes : what a .npz file may unpack to: by default 32 MB and a hundred times its size, for lack of which
        a small file could fill the memory.

    Raises FileNotFoundError for a missing file, ValueError for one that is cut short, damaged, or something else
    than a file of numbers. Nothing in a file is run, and no more memory is taken than the file's size calls for.
    """
    name = os.fspath(path)
    from pathlib import Path  # here, since importing minidl should cost little
    if Path(path).suffix.lower() == ".npz":
        from .files import npz
        try:
            return npz.read(path, max_bytes)
        except ValueError as error:
            raise ValueError(f"load({name!r}): expected a whole .npz file, got: {error}") from error
    from .files import safetensors, strict_json, tree
    try:
        arrays, metadata = safetensors.read(path)
        if STATE not in metadata:
            return arrays
        return tree.unpacked(strict_json.parsed(metadata[STATE]), arrays)
    except ValueError as error:
        raise ValueError(f"load({name!r}): expected a whole safetensors file, got: {error}") from error


def _with_metadata(state: Mapping) -> tuple[Mapping[str, np.ndarray], dict[str, str]]:
    """(arrays, metadata): named arrays need none."""
    from .files import strict_json, tree

    flat = {name: tree.as_array(value) for name, value in state.items()}
    if all(type(name) is str and isinstance(value, np.ndarray) for name, value in flat.items()):
        return _named_arrays(flat), {}
    arrays, content = tree.packed(state)
    return arrays, {STATE: strict_json.written(content)}


def _named_arrays(state: Mapping) -> dict[str, np.ndarray]:
    from .files import tree

    arrays = {name: tree.as_array(value) for name, value in state.items()}
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise TypeError(f"save: expected names of type str, got {type(name).__name__}")
        if not isinstance(array, np.ndarray) or array.dtype.kind not in KINDS:
            came = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"save: expected an array of numbers as {name!r}, got {came}")
    return arrays
