"""Batches, parts, one-hot rows, normalized columns, the disk and IDX files: small numbers, each edge, each refusal."""
from __future__ import annotations

import gzip
import importlib
import itertools
import math
import struct

import numpy as np
import pytest

import minidl
from minidl import data
from minidl.data import idx
from minidl.data.batches import positive_int
from minidl.data.split import floating

mnist_file = importlib.import_module("minidl.data.mnist")  # its name in the package belongs to the function


# Batches

@pytest.mark.parametrize("count, size, drop, lengths", [
    (5, 2, False, [2, 2, 1]), (5, 2, True, [2, 2]), (4, 2, False, [2, 2]), (4, 2, True, [2, 2]), (1, 1, False, [1]),
    (1, 9, False, [1]), (3, 3, True, [3])])
def test_lengths_of_batches(count, size, drop, lengths):
    batches = data.Batches(count, size, shuffle=False, drop_last=drop)
    assert len(batches) == len(lengths) and [len(b) for b in batches] == lengths
    assert np.concatenate(list(batches)).tolist() == list(range(sum(lengths)))
    assert all(b.dtype == np.intp for b in batches)
    assert (batches.count, batches.batch_size, batches.shuffle, batches.drop_last) == (count, size, False, drop)


def test_batches_are_shuffled_by_default_and_as_numpy_does():
    order, other = np.arange(10), np.random.default_rng(7)
    other.shuffle(order)
    batches = data.Batches(10, 3, generator=7)
    assert np.concatenate(list(batches)).tolist() == order.tolist() and len(batches) == 4
    order = np.arange(10)
    other.shuffle(order)
    assert np.concatenate(list(batches)).tolist() == order.tolist()
    minidl.manual_seed(7)
    own = np.concatenate(list(data.Batches(10, 3))).tolist()
    order, again = np.arange(10), np.random.default_rng(7)
    again.shuffle(order)
    assert own == order.tolist()


@pytest.mark.parametrize("value, error, message", [
    (0, ValueError, "me: expected n >= 1, got 0"), (True, TypeError, "me: expected n to be an int, got bool"),
    (1.0, TypeError, "me: expected n to be an int, got float"),
    ("1", TypeError, "me: expected n to be an int, got str")])
def test_what_is_no_positive_int(value, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        positive_int(value, "me", "n")
    assert positive_int(np.int8(1), "me", "n") == 1 and type(positive_int(np.int8(1), "me", "n")) is int


@pytest.mark.parametrize("arguments, what", [((0, 1), "count"), ((1, 0), "batch_size")])
def test_batches_name_what_is_wrong(arguments, what):
    with pytest.raises(ValueError, match=f"^Batches: expected {what} >= 1, got 0$"):
        data.Batches(*arguments)


def test_an_epoch_without_a_batch():
    with pytest.raises(ValueError, match="expected batch_size <= count with drop_last, got batch_size 3 and count 2"):
        data.Batches(2, 3, drop_last=True)


# Rows and parts

def test_one_hot_rows():
    rows = data.one_hot([2, 0, 2], 3)
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]] and rows.dtype == np.float32
    assert data.one_hot(np.array([0], np.uint8), 1, np.float64).dtype == np.float64
    assert data.one_hot(np.zeros(0, int), 2).shape == (0, 2)


@pytest.mark.parametrize("labels, classes, error, message", [
    ([3], 3, ValueError, r"expected labels in 0\.\.2, got 3"),
    ([-1], 3, ValueError, r"expected labels in 0\.\.2, got -1"),
    ([0, 5, 7], 3, ValueError, "got 5"), ([0.5], 3, TypeError, "expected integer labels, got float64"),
    ([[0]], 3, ValueError, r"expected labels of shape \(N,\), got \(1, 1\)"),
    ([0], 0, ValueError, "classes >= 1, got 0"),
    ([True], 2, TypeError, "expected integer labels, got bool")])
def test_one_hot_of_what_is_no_label(labels, classes, error, message):
    with pytest.raises(error, match=f"^one_hot: .*{message}$"):
        data.one_hot(labels, classes)


@pytest.mark.parametrize("dtype", [np.float16, np.int64, bool])
def test_dtypes_of_floats(dtype):
    with pytest.raises(TypeError, match=r"^me: expected dtype float32 or float64, got "):
        floating(dtype, "me")
    with pytest.raises(TypeError, match=r"^one_hot: expected dtype float32 or float64, got "):
        data.one_hot([0, 1], 2, dtype)
    assert floating("f8", "me") == np.float64 and floating(np.float32, "me") == np.dtype(np.float32)


@pytest.mark.parametrize("sizes, edges", [
    ((3, 2), [0, 3, 5]), ((10,), [0, 10]), ((0.5, 0.5), [0, 5, 10]), ((0.7, 0.2, 0.1), [0, 7, 9, 10]),
    ((0.24, 0.5), [0, 2, 7]), ((0.26,), [0, 3]), ((1.0,), [0, 10]), ((np.int8(4), 6), [0, 4, 10]),
    ((np.float32(0.5),), [0, 5])])
def test_parts_in_their_order(sizes, edges):
    X, y = np.arange(20).reshape(10, 2), np.arange(10)
    parts = data.split(X, y, sizes=sizes, seed=3)
    order = np.random.default_rng(3).permutation(10)
    assert [part.tolist() for _, part in parts] == [order[a:b].tolist() for a, b in itertools.pairwise(edges)]
    assert all(rows.tolist() == X[labels].tolist() for rows, labels in parts)


@pytest.mark.parametrize("sizes, error, message", [
    ((6, 5), ValueError, "expected sizes that sum to at most 10 samples"), ((0.7, 0.4), ValueError, "at most 1, got"),
    ((0, 5), ValueError, "expected sizes > 0"), ((-0.5,), ValueError, "expected sizes > 0"),
    ((), ValueError, "sizes > 0"),
    ((5, 0.5), TypeError, "all ints or all floats"), ((True,), TypeError, "all ints or all floats"),
    ((0.01, 0.5), ValueError, "expected a sample in every part"), (("a",), TypeError, "all ints or all floats")])
def test_sizes_that_are_refused(sizes, error, message):
    with pytest.raises(error, match=f"^split: .*{message}"):
        data.split(np.arange(10), sizes=sizes)


@pytest.mark.parametrize("arrays, message", [
    ((), r"split: expected arrays of at least one dimension, got shapes \[\]"),
    ((np.array(1),), r"split: expected arrays of at least one dimension, got shapes \[\(\)\]"),
    ((np.arange(2), np.arange(3)), r"split: expected arrays of one length, got lengths \[2, 3\]")])
def test_arrays_that_cannot_be_parted(arrays, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        data.split(*arrays, sizes=(1,))


# Columns

def test_normalized_columns():
    X = np.array([[1.0, 5, 0], [3, 5, 2], [5, 5, 1]])
    normalizer = data.Normalizer()
    assert normalizer.mean is None and normalizer.std is None and normalizer.fit(X) is normalizer
    assert normalizer.mean.tolist() == [3, 5, 1] and normalizer.mean.dtype == np.float64
    np.testing.assert_allclose(normalizer.std, [math.sqrt(8 / 3), 1, math.sqrt(2 / 3)], rtol=1e-15)
    np.testing.assert_allclose(normalizer(X), (X - [3, 5, 1]) / [math.sqrt(8 / 3), 1, math.sqrt(2 / 3)], rtol=1e-15)
    assert normalizer.transform(X.astype(np.float32)).dtype == np.float32
    tiny = np.full((7, 1), 0.1)  # whose mean is not quite 0.1
    assert data.Normalizer().fit(tiny)(tiny).tolist() == [[0.0]] * 7
    assert data.Normalizer().fit(np.array([[1e-200], [-1e-200]])).std.tolist() == [1]  # the square is 0


@pytest.mark.parametrize("X, error, message", [
    ([[1.0]], TypeError, "expected a NumPy array, got list"), (np.ones((2, 2), int), TypeError, "float32 or float64"),
    (np.ones(3), ValueError, r"non-empty input of shape \(N, features\), got \(3,\)"),
    (np.ones((0, 2)), ValueError, "non-empty input"), (np.array([[np.nan]]), ValueError, "finite values"),
    (np.array([[np.inf]]), ValueError, "finite values"),
    (np.array([[1e308], [-1e308]]), ValueError, r"finite standard deviation, got values up to 1e\+308")])
def test_columns_that_are_refused(X, error, message):
    with pytest.raises(error, match=f"^Normalizer: .*{message}"):
        data.Normalizer().fit(X)


def test_columns_of_another_number_or_before_fit():
    with pytest.raises(RuntimeError, match=r"^Normalizer: expected fit before transform$"):
        data.Normalizer()(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"^Normalizer: expected input of shape \(N, 2\), got \(2, 3\)$"):
        data.Normalizer().fit(np.array([[1.0, 2], [2, 3]]))(np.ones((2, 3)))


# The disk

def test_points_and_labels_of_the_disk():
    points = np.random.default_rng(5).random((200, 2))
    x, y = data.disk(200, seed=5)
    assert x.dtype == np.float32 and y.dtype == np.int64 and y.shape == (200,)
    np.testing.assert_array_equal(x, points.astype(np.float32))
    inside = ((points - 0.5) ** 2).sum(1) <= 1 / (2 * math.pi)
    assert y.tolist() == inside.tolist() and 60 < y.sum() < 140
    x, y = data.disk(200, seed=5, centre=(0, 0.25), radius=0.5, one_hot=True, dtype=np.float64)
    assert x.dtype == y.dtype == np.float64 and y.shape == (200, 2)
    assert y[:, 1].tolist() == ((points - [0, 0.25]) ** 2).sum(1).__le__(0.25).tolist() and (y.sum(1) == 1).all()


@pytest.mark.parametrize("named, message", [
    ({"radius": 0}, "expected a finite radius > 0, got 0"),
    ({"radius": math.inf}, "expected a finite radius > 0, got inf"),
    ({"radius": math.nan}, "radius > 0, got nan"), ({"centre": (1, 2, 3)}, "expected centre to be two finite numbers"),
    ({"centre": (1, math.inf)}, "expected centre to be two finite numbers")])
def test_disks_that_are_none(named, message):
    with pytest.raises(ValueError, match=f"^disk: .*{message}"):
        data.disk(3, **named)


# IDX files

CODES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 0)])
def test_a_file_byte_by_byte(code, shape, tmp_path):
    array = np.arange(math.prod(shape)).reshape(shape).astype(CODES[code])
    content = bytes([0, 0, code, len(shape)]) + b"".join(struct.pack(">I", n) for n in shape) + array.tobytes()
    assert data.idx.idx_bytes(array.astype(array.dtype.newbyteorder("="))) == content
    plain, zipped = tmp_path / "a", tmp_path / "a.gz"
    for path, stored in ((plain, content), (zipped, gzip.compress(content, mtime=0))):
        data.write_idx(path, array)
        assert gzip.decompress(path.read_bytes()) == content if path is zipped else path.read_bytes() == stored
        for got in (data.read_idx(path), data.read_idx(str(path), max_bytes=array.nbytes)):
            assert got.tolist() == array.tolist() and got.shape == shape and got.dtype.isnative
            assert got.dtype == array.dtype.newbyteorder("=") and got.flags.writeable and got.flags.c_contiguous
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a.gz"]


@pytest.mark.parametrize("content, message", [
    (b"", "expected 4 bytes of a magic number, got 0"), (b"\0\0\x08", "expected 4 bytes of a magic number, got 3"),
    (b"\0\1\x08\1\0\0\0\0", "expected a magic number 0000ttrr with type tt among 08, .*, got 00010801"),
    (b"\0\0\x0a\1\0\0\0\0", "got 00000a01"), (b"\0\0\x08\1\0\0", "expected 4 bytes of 1 dimensions, got 2"),
    (b"\0\0\x08\1\0\0\0\2a", r"expected 2 bytes of data of shape \(2,\) and type uint8, got 1"),
    (b"\0\0\x08\1\0\0\0\1ab", r"expected the file to end after data of shape \(1,\), got trailing bytes"),
    (b"\x1f\x8b\0", "expected a whole gzip file, got: ")])
def test_files_that_are_none(content, message, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^read_idx\('.*a'\): .*{message}"):
        data.read_idx(path)


def test_more_data_than_is_allowed(tmp_path):
    data.write_idx(tmp_path / "a", np.zeros((2, 3), np.int16))
    assert data.read_idx(tmp_path / "a", max_bytes=12).shape == (2, 3)
    with pytest.raises(ValueError, match="expected at most 11 bytes, got a header that announces 12"):
        data.read_idx(tmp_path / "a", max_bytes=11)


def test_arrays_that_no_file_holds():
    with pytest.raises(TypeError, match=r"^write_idx: expected an array of uint8, int8, int16, int32, float32, float"):
        idx.idx_bytes(np.zeros(2, np.int64))
    with pytest.raises(ValueError, match=r"^write_idx: expected dimensions below 2\*\*32, got shape \(4294967296,\)$"):
        idx.idx_bytes(np.broadcast_to(np.uint8(0), (1 << 32,)))


# MNIST

def test_pixels_become_fractions():
    images = np.array([[[0, 51], [255, 1]]], np.uint8)
    rows = data.scaled(images)
    assert rows.dtype == np.float32 and rows.tolist() == [[0, np.float32(0.2), 1, np.float32(1 / 255)]]
    with pytest.raises(TypeError, match=r"^scaled: expected images of dtype uint8, got float64$"):
        data.scaled(images / 255)
    with pytest.raises(ValueError, match=r"^scaled: expected images of shape \(n, height, width\), got \(2, 2\)$"):
        data.scaled(images[0])


@pytest.mark.parametrize("platform, variables, folder", [
    ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/minidl/mnist"), ("linux", {}, "/home/me/.cache/minidl/mnist"),
    ("linux", {"XDG_CACHE_HOME": ""}, "/home/me/.cache/minidl/mnist"),
    ("darwin", {"XDG_CACHE_HOME": "/x"}, "/home/me/Library/Caches/minidl/mnist"),
    ("win32", {"LOCALAPPDATA": "/l"}, "/l/minidl/mnist"), ("win32", {}, "/home/me/AppData/Local/minidl/mnist")])
def test_where_downloads_are_kept(platform, variables, folder, monkeypatch):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(mnist_file.sys, "platform", platform)
    assert mnist_file.cache_folder().as_posix() == folder


def test_the_order_of_places(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    assert [str(p) for p in mnist_file._named()] == [str(tmp_path / "mnist"), str(tmp_path)]
    monkeypatch.delenv("MINIDL_DATA")
    assert mnist_file._named() == []
