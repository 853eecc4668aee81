"""MNIST: found on this machine or downloaded, and checked against its SHA-256 either way."""
from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..files import part_of
from .idx import idx_bytes, read_idx

if TYPE_CHECKING:
    from pathlib import Path

# The uncompressed files, in the order of Dataset.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
MAX_BYTES = 48 << 20  # of one file; the largest has 47,040,016
TIMEOUT = 30  # seconds without a byte from a mirror


class Dataset(NamedTuple):
    """Images (N, 28, 28) and labels (N,), all uint8: 60,000 to train on and 10,000 to test on."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def mnist(folder: str | os.PathLike | None = None, *, download: bool = True,
          mirrors: Iterable[str] = MIRRORS, digests: Mapping[str, str] = SHA256) -> Dataset:
    """The MNIST database of handwritten digits.

    The four files, ``train-images-idx3-ubyte`` and so on, plain or gzipped with ``.gz`` at the end of the
    name, are read from ``folder``. Without one, from the first of these that holds all four:
    ``$MINIDL_DATA/mnist``, ``$MINIDL_DATA``, and the cache (``minidl/mnist`` in the user's cache folder).
    If none does, what the cache lacks is downloaded into it from the first of ``mirrors`` that serves it.
    A folder that the caller names is never written to, unless it is the cache.

    ``digests`` maps the name of each file, in the order of Dataset, to the SHA-256 of its uncompressed
    content; with other digests and mirrors, this reads any data set laid out like MNIST.

    Raises FileNotFoundError for files that are absent and may not be or could not be downloaded, and
    ValueError for a file that is not the original.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
    """
    if isinstance(mirrors, str):
        raise TypeError(f"mnist: expected mirrors to be several addresses, got one string, {mirrors!r}")
    mirrors = tuple(mirrors)
    named = _named() if folder is None else [_expanded(os.fspath(folder))]
    place = next((place for place in named if not _absent(place, digests)), None)
    if place is None:  # the cache is looked up last: a user may have no home folder
        cache = _cache_or_none()
        places = [*named, cache] if folder is None and cache is not None else named
        place = places[-1] if places else cache_folder()  # it raises if there is none
        absent = _absent(place, digests)
        if absent and not (download and cache is not None and _same(place, cache)):
            searched = " or ".join(map(str, places))
            raise FileNotFoundError(
                f"mnist: expected {absent[0]} or {absent[0]}.gz in {searched}, found neither; {_ADVICE}")
        for name in absent:
            _download(name, digests[name], place, mirrors)
    return Dataset(*(_load(place, name, digest) for name, digest in digests.items()))


def scaled(images: np.ndarray) -> np.ndarray:
    """Rows of x = pixel / 255 in [0, 1]: uint8 (n, height, width) to float32 (n, height * width).

    Made for one batch at a time, so that a data set stays uint8. Raises TypeError for another dtype,
    ValueError for another rank.
    """
    if images.dtype != np.uint8:
        raise TypeError(f"scaled: expected images of dtype uint8, got {images.dtype}")
    if images.ndim != 3:
        raise ValueError(f"scaled: expected images of shape (n, height, width), got {images.shape}")
    n, height, width = images.shape
    return np.divide(images.reshape(n, height * width), 255, dtype=np.float32)


def cache_folder() -> Path:
    """The folder of downloads: ``minidl/mnist`` in the user's cache folder, as the system prescribes.

    Raises FileNotFoundError for a user without a home folder, where the environment names no other place.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = _expanded(base)
    if str(folder).startswith("~"):
        raise FileNotFoundError(f"mnist: expected a home folder, for the cache {folder}, found none; {_ADVICE}")
    return folder / "minidl" / "mnist"


_ADVICE = "put the four files of MNIST in a folder and name it with --data, mnist(folder) or MINIDL_DATA"


def _expanded(path: str) -> Path:
    """The path with the home folder for a ``~`` at its beginning, or unchanged where there is none."""
    from pathlib import Path  # here, since importing minidl should cost little
    return Path(os.path.expanduser(path))


def _named() -> list[Path]:
    """The folders to look in before the cache when the caller names none."""
    named = os.environ.get("MINIDL_DATA")
    return [_expanded(named) / "mnist", _expanded(named)] if named else []


def _cache_or_none() -> Path | None:
    try:
        return cache_folder()
    except FileNotFoundError:
        return None


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _find(folder: Path, name: str) -> Path | None:
    candidates = folder / name, folder / f"{name}.gz"
    return next((path for path in candidates if os.path.isfile(path)), None)  # False without permission to look


def _absent(folder: Path, names: Iterable[str]) -> list[str]:
    return [name for name in names if _find(folder, name) is None]


def _load(folder: Path, name: str, digest: str) -> np.ndarray:
    path = _find(folder, name) or folder / name
    try:
        return _verified(path, digest)
    except ValueError as error:
        raise ValueError(f"mnist: {path.name} in {folder} is not the original file ({error}); delete it, "
                         f"then let mnist() download it again, or {_ADVICE}") from error


def _verified(path: Path, digest: str) -> np.ndarray:
    """The array in the file; ValueError unless the uncompressed file has this SHA-256."""
    array = read_idx(path, max_bytes=MAX_BYTES)
    actual = hashlib.sha256(idx_bytes(array)).hexdigest()  # an array has one IDX file, the one that was read
    if actual != digest:
        raise ValueError(f"expected content with SHA-256 {digest}, got {actual}")
    return array


def _download(name: str, digest: str, folder: Path, mirrors: tuple[str, ...]) -> None:
    """Save ``name``.gz in ``folder`` from the first mirror that serves it; FileNotFoundError if none does."""
    from http.client import HTTPException  # here, since it doubles the time that importing minidl takes

    folder.mkdir(parents=True, exist_ok=True)
    path, failures = folder / f"{name}.gz", []
    with part_of(path) as part:
        part.touch()  # fails here, not as a mirror's error, if the folder is read-only
        for mirror in mirrors:
            url = f"{mirror.rstrip('/')}/{name}.gz"
            try:
                _fetch(url, part)
                _verified(part, digest)
            except (OSError, ValueError, HTTPException) as error:
                reason = " ".join(str(error).split()) or type(error).__name__  # one line a mirror
                failures.append(f"  {url}: {reason}")
            else:
                _publish(part, path)
                return
    raise FileNotFoundError("\n".join([f"mnist: {name} is not in {folder}, and no mirror served it:",
                                       *failures, f"When offline, {_ADVICE}"]))


def _fetch(url: str, path: Path) -> None:
    from urllib.request import urlopen

    with urlopen(url, timeout=TIMEOUT) as response, open(path, "wb") as file:
        while chunk := response.read(1 << 20):
            if file.tell() + len(chunk) > MAX_BYTES:
                raise ValueError(f"expected at most {MAX_BYTES} bytes, got more")
            file.write(chunk)


def _publish(part: Path, path: Path) -> None:
    """Give a finished download its name; another process may have finished the same one before."""
    try:
        os.replace(part, path)
    except PermissionError:  # Windows does not replace a file that the other process is reading
        if not path.is_file():
            raise
