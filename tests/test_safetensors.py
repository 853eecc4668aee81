"""safetensors files: against the format's own package and PyTorch, nested states, and files that are not true."""
from __future__ import annotations

import json
import math
import os
import struct
from collections import OrderedDict

import numpy as np
import pytest
from theirs import torch

import minidl
from minidl import nn, optim
from minidl.files import npz, safetensors, strict_json

DTYPES = [dtype.name for dtype in safetensors.TYPES.values()]
SHAPES = [(), (0,), (1,), (7,), (3, 0, 2), (3, 5), (2, 3, 4), (1,) * 9]


def numbers(dtype, shape):
    values = np.arange(math.prod(shape)).reshape(shape) - (3 if np.dtype(dtype).kind in "if" else 0)
    return np.asarray(values % 2 == 0 if dtype == "bool" else values).astype(dtype)


def same(one, other):
    """Equal in content, types and bits, arrays within each other included."""
    if isinstance(one, (np.ndarray, np.generic)):
        return (isinstance(other, np.ndarray) == isinstance(one, np.ndarray) and one.dtype == other.dtype
                and one.shape == other.shape and one.tobytes() == other.tobytes())
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


def written(path, header, data=b"", length=None):
    """A file with this header, put together by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


ALL = {f"{dtype} {shape}": numbers(dtype, shape) for dtype in DTYPES for shape in SHAPES}


def test_the_package_reads_every_type_and_shape(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy")
    minidl.save(tmp_path / "a.safetensors", ALL)
    found = theirs.load_file(tmp_path / "a.safetensors")
    assert found.keys() == ALL.keys() and all(same(found[name], ALL[name]) for name in ALL)


def test_every_type_and_shape_of_the_package_is_read(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy")
    theirs.save_file(ALL, tmp_path / "a.safetensors", metadata={"format": "np"})
    found = minidl.load(tmp_path / "a.safetensors")
    assert found.keys() == ALL.keys() and all(same(found[name], ALL[name]) for name in ALL)
    assert all(array.flags.writeable and array.flags.c_contiguous for array in found.values())


def test_pytorch_reads_it_and_is_read(tmp_path):
    theirs = pytest.importorskip("safetensors.torch")
    model = nn.Sequential(nn.Linear(3, 5, generator=0), nn.BatchNorm1d(5), nn.Linear(5, 2, generator=1))
    twin = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 2))
    minidl.save(tmp_path / "a.safetensors", model)
    twin.load_state_dict(theirs.load_file(tmp_path / "a.safetensors"))
    for name, value in twin.state_dict().items():
        assert same(value.numpy(), model.state_dict()[name])
    theirs.save_file({name: 2 * value for name, value in twin.state_dict().items()}, tmp_path / "b.safetensors")
    model.load_state_dict(minidl.load(tmp_path / "b.safetensors"))
    assert same(model[0].weight.data.copy(), 2 * twin[0].weight.detach().numpy())
    minidl.save(tmp_path / "c.safetensors", twin)  # a PyTorch module's, and its Tensors
    assert same(minidl.load(tmp_path / "c.safetensors")["2.bias"], twin[2].bias.detach().numpy())


def test_bfloat16_is_read_as_float32_exactly(tmp_path):
    theirs = pytest.importorskip("safetensors.torch")
    values = torch.tensor([[1.5, -0.0, math.inf], [math.nan, 3e38, 1e-40]]).to(torch.bfloat16)
    theirs.save_file({"x": values}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(minidl.load(tmp_path / "a.safetensors")["x"], values.float().numpy())


@pytest.mark.parametrize("array", [
    np.arange(24.0).reshape(4, 6)[::2, ::-3], np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(5.0, dtype=">f8"),
    np.array([True, False])[::-1]], ids=["strided", "fortran", "big-endian", "reversed"])
def test_any_layout_is_written(tmp_path, array):
    minidl.save(tmp_path / "a.safetensors", {"x": array, "first": np.zeros(1, np.uint8)})
    np.testing.assert_array_equal(minidl.load(tmp_path / "a.safetensors")["x"], array)


def test_the_same_state_gives_the_same_bytes_and_its_elements_are_aligned(tmp_path):
    state = {"flag": np.array([True]), "x": np.arange(3.0), "h": np.ones(3, np.float16), "y": np.ones(5, np.float32)}
    for name in "ab":
        minidl.save(tmp_path / name, state)
    content = (tmp_path / "a").read_bytes()
    assert content == (tmp_path / "b").read_bytes() and list(minidl.load(tmp_path / "a")) == list(state)
    length, = struct.unpack("<Q", content[:8])
    for name, entry in json.loads(content[8:8 + length]).items():
        assert (8 + length + entry["data_offsets"][0]) % state[name].itemsize == 0


NESTED = {
    "none": None, "flag": True, "count": -3, "big": 2**127 + 1, "rate": 0.1, "text": "ä \ud7ff $", "empty": {},
    "odd": [math.inf, -math.inf, math.nan, -0.0, 5e-324], "pair": (0.9, 0.999), "nothing": [], "$": 1,
    "long": [0.1 * k for k in range(100)] + [math.nan], "counts": list(range(100)), "scalar": np.float32(0.1),
    "a.b": np.ones(2), "a": {"b": np.zeros(3), "c": [np.arange(2), (np.array(1), {"d": np.array([True])})]},
    "keys": {1: "int", None: "none", 0.5: "float"}, "flags": {True: "bool"}, "array": np.array(2.5),
    "__metadata__": np.ones(1)}


def test_nested_states_come_back_with_their_types(tmp_path):
    minidl.save(tmp_path / "a.safetensors", NESTED)
    assert same(minidl.load(tmp_path / "a.safetensors"), NESTED)


def test_a_script_of_pytorch_saves_and_goes_on(tmp_path):
    model = nn.Linear(3, 2)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    x = np.ones((4, 3), np.float32)
    model(minidl.tensor(x)).sum().backward()
    optimizer.step()
    minidl.save({"model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict(), "epoch": 7},
                tmp_path / "a.pt")  # the order of torch.save
    found = minidl.load(tmp_path / "a.pt")
    other = nn.Linear(3, 2)
    twin = optim.Adam(other.parameters())
    other.load_state_dict(found["model_state_dict"])
    twin.load_state_dict(found["optimizer_state_dict"])
    assert found["epoch"] == 7 and same(twin.state_dict(), optimizer.state_dict())
    minidl.save(tmp_path / "b", optimizer)
    assert same(minidl.load(tmp_path / "b"), optimizer.state_dict())
    minidl.save(tmp_path / "c", OrderedDict(model.named_parameters()))  # of Parameters
    assert same(minidl.load(tmp_path / "c"), dict(model.state_dict()))


@pytest.mark.parametrize(("state", "kind", "message"), [
    ({"a": {"b": object()}}, TypeError, r"expected arrays, numbers, .* as 'a\.b', got object"),
    ({"x": np.array(["a"])}, TypeError, "expected an array of numbers as 'x', got <U1"),
    ({"x": np.zeros(2, np.complex128)}, TypeError, "expected 'x' of a type that safetensors has .* got complex128"),
    ({"__metadata__": np.ones(2)}, ValueError, "expected other names"),
    ({"\ud800": np.ones(2)}, ValueError, "surrogates"),
    ({(1, 2): 3}, TypeError, "expected names of type str, got tuple"),
    (5, TypeError, "expected named arrays, such as model.state_dict"), ([np.ones(2)], TypeError, "got list")])
def test_what_cannot_be_saved_leaves_the_old_file(tmp_path, state, kind, message):
    minidl.save(tmp_path / "a", {"x": np.ones(2)})
    with pytest.raises(kind, match=message):
        minidl.save(tmp_path / "a", state)
    assert same(minidl.load(tmp_path / "a"), {"x": np.ones(2)})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_states_within_themselves_are_refused(tmp_path):
    state = {}
    state["x"] = state
    with pytest.raises(ValueError, match="at most 50 levels"):
        minidl.save(tmp_path / "a", state)
    with pytest.raises(TypeError, match="expected a path and a state, got dict and int"):
        minidl.save({}, 3)


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


EIGHT = bytes(range(8))
DEEP = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(("header", "data", "length", "message"), [
    (b"", b"", 0, "begins with '{', got b''"),
    (b"{}", b"", 3, "at most 2 bytes, got one of 3"),
    (b"{}", b"", 2**64 - 1, "got one of 18446744073709551615"),
    (b"[]", b"", None, r"begins with '\{', got b'\[\]'"),
    (b"{", b"", None, "Expecting property name"),
    (b"{\xff}", b"", None, "utf-8"),
    (DEEP, b"", None, "nested too deeply"),
    (b'{"x":1,"x":1}', b"", None, "'x' twice"),
    (b'{"x":NaN}', b"", None, "finite numbers, got NaN"), (b'{"x":1e999}', b"", None, "finite numbers, got 1e999"),
    (b'{"x":' + b"9" * 5000 + b"}", b"", None, "4300"),
    ({"x": 5}, EIGHT, None, "'x': expected an object with dtype"),
    ({"x": {"dtype": "F32", "shape": [2]}}, EIGHT, None, "'x': expected an object with dtype"),
    ({"x": entry("F31")}, EIGHT, None, "expected a dtype among BOOL, .* got 'F31'"),
    ({"x": entry(["F32"])}, EIGHT, None, "expected a dtype among"),
    ({"x": entry("F8_E4M3", (8,))}, EIGHT, None, "expected a dtype among"),
    ({"x": entry("F32", (-2,))}, EIGHT, None, "expected a shape"), ({"x": entry("F32", (2.0,))}, EIGHT, None, "shape"),
    ({"x": entry("F32", (True, 2))}, EIGHT, None, "expected a shape"),
    ({"x": entry("F32", (1,) * 65)}, EIGHT, None, "expected a shape of at most 64"),
    ({"x": entry("F32", (2**40, 2**40))}, EIGHT, None, r"expected \d+ bytes for the shape"),
    ({"x": entry("F32", (0, 2**62, 2**62), (0, 0))}, b"", None, "a shape that NumPy takes"),
    ({"x": entry(offsets=(0, 7))}, EIGHT[:7], None, "expected 8 bytes for the shape"),
    ({"x": entry(offsets=(8, 0))}, EIGHT, None, "expected 8 bytes for the shape"),
    ({"x": entry(offsets=(-8, 0))}, EIGHT, None, "expected two data_offsets"),
    ({"x": entry(offsets=(0, 4, 8))}, EIGHT, None, "expected two data_offsets"),
    ({"x": entry(offsets=(8, 16))}, EIGHT, None, "elements from byte 0 on, got from 8 on"),
    ({"x": entry()}, EIGHT[:7], None, "expected 8 bytes of elements, got 7"),
    ({"x": entry()}, EIGHT + b"!", None, "expected 8 bytes of elements, got 9"),
    ({"x": entry(), "y": entry()}, EIGHT, None, "elements from byte 8 on, got from 0 on"),
    ({"x": entry(), "y": entry(offsets=(4, 12))}, EIGHT + b"1234", None, "elements from byte 8 on, got from 4 on"),
    ({"x": entry(), "y": entry(offsets=(12, 20))}, EIGHT * 2 + b"1234", None, "from byte 8 on, got from 12 on"),
    ({"x": entry("BOOL", (8,))}, EIGHT, None, "truth values, 0 or 1, got 7"),
    ({"__metadata__": {"a": 1}}, b"", None, "to be texts by their names"),
    ({"__metadata__": []}, b"", None, "to be texts by their names"),
    ({"__metadata__": {"minidl": "["}}, b"", None, "expected a whole safetensors file, got: Expecting value"),
    ({"__metadata__": {"minidl": '{"$array":"x"}'}}, b"", None, "expected an array 'x', once, got none"),
    ({"__metadata__": {"minidl": '{"$evil":"x"}'}}, b"", None, "expected a state as minidl writes it"),
    ({"__metadata__": {"minidl": '{"$dict":[[{},1]]}'}}, b"", None, "expected a state as minidl writes it"),
    ({"__metadata__": {"minidl": '{"$float":"1e5"}'}}, b"", None, "expected a state as minidl writes it"),
    ({"__metadata__": {"minidl": "{}"}, "x": entry()}, EIGHT, None, "arrays that the state names, got 'x', too"),
    ({"__metadata__": {"minidl": '{"$floats":"x"}'}, "x": entry()}, EIGHT, None, "another array as 'x'"),
    ({"__metadata__": {"minidl": "[" * 60 + "]" * 60}}, b"", None, "at most 50 levels"),
    ({"__metadata__": {"minidl": '[{"$array":"x"},{"$array":"x"}]'}, "x": entry()}, EIGHT, None, "'x', once, got none"),
])
def test_a_file_that_is_not_true_is_refused(tmp_path, header, data, length, message):
    with pytest.raises(ValueError, match=message) as caught:
        minidl.load(written(tmp_path / "a.safetensors", header, data, length))
    assert str(caught.value).startswith(f"load({str(tmp_path / 'a.safetensors')!r}): expected a whole safetensors file")
    assert len(str(caught.value)) < 600 + len(str(tmp_path))


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    minidl.save(tmp_path / "whole", {"x": np.arange(5.0), "deep": {"y": (1, np.ones(2))}})
    content = (tmp_path / "whole").read_bytes()
    for length in range(len(content)):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(ValueError, match="expected a whole safetensors file, got: "):
            minidl.load(tmp_path / "cut")


def test_files_of_others_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(2))
    (tmp_path / "a.npz").rename(tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"got a zip archive, such as \.npz files and those of torch\.save"):
        minidl.load(tmp_path / "a.pt")
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for somebody who writes
    for path in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(ValueError, match="a device or a pipe"):
            minidl.load(path)
    with pytest.raises(IsADirectoryError):
        minidl.load(tmp_path)
    for missing in ("none", "none.npz"):
        with pytest.raises(FileNotFoundError):
            minidl.load(tmp_path / missing)


def test_more_than_a_file_holds_is_never_allocated(tmp_path, monkeypatch):
    """A sparse file of 1 TB would be: its header is not, and that a file is shorter than it was is noticed."""
    path = written(tmp_path / "a", {"x": entry("U8", (2**40,), (0, 2**40))})
    monkeypatch.setattr(np, "empty", None)
    with pytest.raises(ValueError, match="expected 1099511627776 bytes of elements, got 0"):
        minidl.load(path)


def test_the_longest_header_is_written_and_read(tmp_path, monkeypatch):
    minidl.save(tmp_path / "a.safetensors", {"x": np.arange(3.0)})
    length, = struct.unpack("<Q", (tmp_path / "a.safetensors").read_bytes()[:8])
    for limit in (length, length - 1):
        monkeypatch.setattr(safetensors, "LONGEST_HEADER", limit)
        if limit == length:
            minidl.save(tmp_path / "a.safetensors", {"x": np.arange(3.0)})
            assert minidl.load(tmp_path / "a.safetensors")["x"].tolist() == [0, 1, 2]
            continue
        with pytest.raises(ValueError, match=f"settings of at most {limit} bytes, got {length}"):
            minidl.save(tmp_path / "a.safetensors", {"x": np.arange(3.0)})
        with pytest.raises(ValueError, match=f"a header of at most {limit} bytes, got one of {length}"):
            minidl.load(tmp_path / "a.safetensors")


def test_strict_json_names_what_is_twice_in_a_large_object():
    text = "{" + ",".join(f'"{k}":1' for k in [*range(2000), 5]) + "}"
    with pytest.raises(ValueError, match="each name of an object once"):
        strict_json.parsed(text)
    assert strict_json.parsed(b'{"a": [1, 2.5, "x", null]}') == {"a": [1, 2.5, "x", None]}


def test_npz_and_safetensors_by_the_name(tmp_path):
    state = {"x": np.arange(3.0)}
    for name, start in (("a.npz", b"PK"), ("a.NPZ", b"PK"), ("a.safetensors", b"8\0"), ("a", b"8\0")):
        minidl.save(tmp_path / name, state)
        assert (tmp_path / name).read_bytes()[:2] == start
        assert same(minidl.load(tmp_path / name), state)
    assert npz.read(tmp_path / "a.npz", None).keys() == state.keys()
