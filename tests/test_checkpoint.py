"""Weights on disk: round trips, NumPy as an independent reader, damaged files."""
import os

import numpy as np
import pytest

from minidl import nn
from minidl.checkpoint import load, save


def model(seed):
    return nn.Sequential(nn.Linear(2, 5, generator=seed), nn.Tanh(), nn.Linear(5, 2, generator=seed + 1))


def test_weights_come_back_bit_for_bit(tmp_path):
    one, other = model(0), model(7)
    save(one.state_dict(), tmp_path / "weights.npz")
    other.load_state_dict(load(tmp_path / "weights.npz"))
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(mine.data, theirs.data)


@pytest.mark.parametrize("array", [
    np.float32(1.5) * np.ones((3, 0, 2), np.float32), np.arange(6.0).reshape(2, 3).T, np.array(4),
    np.array([True, False]), np.array([np.nan, np.inf, -0.0])],
    ids=["empty", "transposed", "scalar", "bool", "nan"])
def test_any_array_of_numbers_survives_and_numpy_reads_it(tmp_path, array):
    save({"file": array, "0.weight": array}, tmp_path / "a.npz")
    loaded = load(tmp_path / "a.npz")
    assert list(loaded) == ["file", "0.weight"]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as reader:
        for got in (loaded["file"], reader["0.weight"]):
            assert got.dtype == array.dtype
            np.testing.assert_array_equal(got, array)


def test_same_arrays_give_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        save(model(0).state_dict(), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_file_cut_short_is_refused(tmp_path):
    save(model(0).state_dict(), tmp_path / "whole.npz")
    content = (tmp_path / "whole.npz").read_bytes()
    for length in range(0, len(content), 10):
        (tmp_path / "cut.npz").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"expected a whole \.npz file"):
            load(tmp_path / "cut.npz")


def test_a_flipped_bit_in_the_numbers_is_noticed(tmp_path):
    array = np.linspace(0, 1, 100)
    save({"x": array}, tmp_path / "x.npz")
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[content.index(array[50].tobytes())] ^= 1
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match="CRC"):
        load(tmp_path / "x.npz")


def test_pickles_are_not_opened(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([{}], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load(tmp_path / "x.npz")


@pytest.mark.parametrize(("state", "message"), [
    ({"x": [1.0]}, "expected an array of numbers as 'x', got list"),
    ({"x": np.array(["a"])}, "expected an array of numbers as 'x', got <U1"),
    ({"x": np.array([None])}, "expected an array of numbers as 'x', got object"),
    ({1: np.zeros(2)}, "expected names of type str, got int"),
    ([np.zeros(2)], r"expected named arrays, such as model.state_dict\(\), got list")])
def test_what_cannot_be_saved_leaves_the_file_as_it_was(tmp_path, state, message):
    path = tmp_path / "x.npz"
    save({"x": np.ones(2)}, path)
    with pytest.raises(TypeError, match=message):
        save(state, path)
    np.testing.assert_array_equal(load(path)["x"], np.ones(2))
    assert os.listdir(tmp_path) == ["x.npz"]


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError):
        save({"x": np.ones(1)}, tmp_path / "none" / "x.npz")


@pytest.mark.skipif(os.name != "posix", reason="folders can be flushed")
@pytest.mark.parametrize("name", ["x.npz", "x.safetensors"])
def test_the_content_is_flushed_before_the_file_has_its_name_and_the_folder_after(tmp_path, monkeypatch, name):
    done = []
    real = {"fsync": os.fsync, "replace": os.replace}

    def fsync(file):
        place = os.readlink(f"/proc/self/fd/{file}") if os.path.exists("/proc/self/fd") else ""
        done.append(("fsync", os.path.isdir(place), (tmp_path / name).exists()))
        real["fsync"](file)

    def replace(source, target):
        done.append(("replace", os.fspath(target)))
        real["replace"](source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    save(tmp_path / name, {"x": np.ones(2)})
    assert done == [("fsync", False, False), ("replace", str(tmp_path / name)), ("fsync", True, True)]


def test_either_order_of_the_arguments(tmp_path):
    save(tmp_path / "a.npz", {"x": np.ones(1)})
    save({"x": np.ones(1)}, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
