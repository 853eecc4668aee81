"""Files that lie: archives that unpack to far more than they are, headers that are no array's; and a fuzzer for all."""
from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl.commands.sweep import _listed
from minidl.files import npz
from minidl.sweep.log import Log
from minidl.training.history import History


def header(dtype="<f4", shape="(2,)", order="False"):
    return f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}"


def part(text, data=bytes(8), version=1, length=None):
    """A .npy file with this header."""
    text = text.encode() if isinstance(text, str) else text
    form = "<H" if version == 1 else "<I"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(form, len(text) if length is None else length) + text + data


def archive(path, *parts, way=zipfile.ZIP_STORED, names="xyz"):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", way) as file:
        warnings.simplefilter("ignore")  # a name twice
        for name, content in zip(names, parts, strict=False):
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), content, way)
    return path


def refused(path, message, **options):
    """The ValueError for it, before more than 4 MB are taken."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            minidl.load(path, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
    assert str(caught.value).startswith(f"load({str(path)!r}): expected a whole .npz file, got: ")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.npz"


@pytest.mark.parametrize("megabytes", [48])
def test_a_bomb_is_refused_before_it_goes_off(file, megabytes):
    np.savez_compressed(file, x=np.zeros(megabytes << 18, np.float32))
    assert file.stat().st_size < 300_000
    refused(file, r"expected at most \d+ bytes unpacked, got \d+ \(max_bytes= allows more\)")


def test_many_small_bombs_are_one(file):
    np.savez_compressed(file, **{f"x{i}": np.zeros(5 << 20, np.uint8) for i in range(9)})
    refused(file, "expected at most")


def test_what_compresses_well_is_read_and_the_limit_can_be_raised(file):
    zeros = np.zeros(40 << 18, np.float32)
    np.savez_compressed(file, x=zeros)
    assert minidl.load(file, max_bytes=100 << 20)["x"].shape == zeros.shape
    np.savez_compressed(file, x=zeros[:5 << 20])
    assert not minidl.load(file)["x"].any()
    refused(file, "expected at most 1000 bytes", max_bytes=1000)


def lie(content, size):
    """An archive of one part whose entries tell another size of what is unpacked."""
    data = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + place
        data[at:at + 4] = struct.pack("<I", size)
    return bytes(data)


@pytest.mark.parametrize("size", [0, 100, 500, 2**32 - 1])
def test_sizes_that_are_lies(file, size):
    content = archive(io.BytesIO(), part(header("|u1", f"({8 << 20},)"), bytes(8 << 20)), way=zipfile.ZIP_DEFLATED)
    file.write_bytes(lie(content.getvalue(), size))
    refused(file, "expected")


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ways_of_packing_that_numpy_does_not_have(file, way):
    archive(file, part(header(), bytes(8)), way=way)
    refused(file, r"expected 'x\.npy' stored or deflated")


def test_names_twice(file):
    archive(file, part(header()), part(header()), names="xx")
    refused(file, "each name once")


def test_an_encrypted_part(file):
    data = bytearray(archive(io.BytesIO(), part(header())).getvalue())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(data)
    refused(file, "encrypted")


@pytest.mark.parametrize(("content", "message"), [
    (b"", "'x': expected 8 bytes, got 0"), (b"NUMPY" + bytes(20), r"expected an \.npy file"),
    (part(header(), version=9), r"expected an \.npy file"),
    (part(header(), length=2**16 - 1), "a header of at most 4096"),
    (part(header(), length=2000), "expected 2000 bytes"), (part(header(), version=2, length=2**32 - 1), "at most 4096"),
    (part("(" * 3000), "header of an array of numbers"), (part("-" * 3000 + "1"), "header of an array of numbers"),
    (part("__import__('os').abort()"), "header of an array of numbers"), (part(b"\xff" * 80), "header of an array"),
    (part(header("|O")), "allow_pickle"), (part(header("|V8", "(1,)")), "header of an array of numbers"),
    (part(header("<U2", "(1,)")), "header of an array of numbers"), (part(header("<f3")), "f3"),
    (part(header("(9,9)f4")), "header of an array"), (part(header(shape="(2, )")), None),
    (part(header(shape="(2L,)")), None),
    (part(header(shape="(2)")), None), (part(header(shape="(-2,)")), "header of an array"),
    (part(header(shape="(2.0,)")), "header of an array"), (part(header(shape="2,")), "header of an array"),
    (part(header(shape="(3,)")), "expected 12 bytes for the shape"),
    (part(header(shape="(1,)")), "expected 4 bytes for the"),
    (part(header(shape="(9223372036854775807, 9223372036854775807)")), r"expected \d+ bytes for the shape"),
    (part(header(shape="(0, 9223372036854775807)"), b""), "array"),
    (part(header(shape=f"({'1, ' * 70})")), "for the shape"),
    (part(header("|b1"), b"\x01\x02"), "truth values, 0 or 1, got 2"), (part(header("|b1"), b"\x01\x00"), None),
    (part(header(), version=3), None), (part(header("<f4", "(1, 2)", "True"), bytes(8), 2), None),
    (part(header("=f4")), None), (part(header(">f4")), None), (part("{" + header()[1:]), None),
    (part("{'shape': (2,), 'descr': '<f4', 'fortran_order': False}"), "header of an array of numbers")])
def test_headers(file, content, message):
    archive(file, content)
    if message is None:
        assert minidl.load(file)["x"].size == 2 and minidl.load(file)["x"].dtype.isnative
    else:
        refused(file, message)


def test_every_array_of_numbers_of_numpy_is_read(file):
    arrays = {f"{dtype} {shape} {order}": np.asarray(np.ones(shape, dtype), order=order)
              for dtype in "?bBhHiIlLqQefdgFDG" for shape in [(), (0,), (3,), (2, 0, 3), (2, 3, 4)] for order in "CF"}
    for write in (np.savez, np.savez_compressed):
        write(file, **arrays)
        found = minidl.load(file)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype and np.array_equal(found[name], array), name
            assert found[name].flags.f_contiguous == array.flags.f_contiguous and found[name].flags.writeable


@pytest.mark.parametrize("damage", [
    lambda data: data[:-30] + b"\xff" * 8 + data[-22:], lambda data: data[:30] + data[31:],
    lambda data: data[:-22] + data[-18:], lambda data: data[:-22] + data[:22]])
def test_damaged_directories(file, damage):
    archive(file, part(header()), part(header()))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=r"expected a whole \.npz file"):
        minidl.load(file)


def test_names_that_an_archive_cannot_hold(file):
    for name in ("a\0b", "x" * 70_000, "\ud800"):
        with pytest.raises(ValueError, match=r"names that a zip archive holds|surrogates"):
            npz.write(file, {name: np.ones(1)})


DEEP = "[" * 100_000


@pytest.mark.parametrize("text", ["", "[", DEEP, '{"loss": ' + DEEP, "[]", "3", '{"speed": [1.0]}', '{"loss": 3}',
                                  '{"loss": ["1e5"]}', '{"loss": [[1.0]]}', '{"loss": [true]}', '{"loss": [1e999]}',
                                  '{"loss": [1.0], "loss": [2.0]}', '{"stopped": []}', '{"path": 3}', '{"loss": [{}]}',
                                  '{"loss": [' + "9" * 400 + "]}", '{"loss": [' + "9" * 5000 + "]}", "\ufeff{}"])
def test_histories(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"^History\.load"):
        History.load(tmp_path / "a.json")


GOOD = '{"settings": {}, "seed": 0, "result": {}, "error": null, "seconds": 1.5}'


@pytest.mark.parametrize("line", ["", "3", DEEP, GOOD[:-1], GOOD.replace("0,", '"x",'), GOOD.replace("1.5", "null"),
                                  GOOD.replace("{}, \"seed\"", '[], "seed"'), GOOD.replace("null", "3"),
                                  GOOD.replace('"seed": 0', '"seed": 0, "seed": 1'), GOOD.replace("1.5", "NaN")])
def test_logs_of_sweeps(tmp_path, line):
    path = tmp_path / "log"
    path.write_text('{"sweep of": "task"}\n' + GOOD + "\n" + line + "\n")
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"line 3: expected a run of a sweep, got"):
        Log(path, "task")
    assert path.read_bytes() == content


@pytest.mark.parametrize("text", ["", "{}", DEEP, "[3]", '[{"a": 1, "a": 2}]', '[{"a": NaN}]', "\xff"])
def test_lists_of_settings(tmp_path, text):
    (tmp_path / "list").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"^sweep: expected"):
        _listed(tmp_path / "list")


def fuzzed(calls, seed):
    """tests/scripts/fuzz.py: every reader, with a limit of 64 MB and of a second."""
    script = Path(__file__).parent / "scripts" / "fuzz.py"
    folders = [str(script.parent), str(Path(minidl.__file__).parents[1])]  # conftest.py has Python leave the first out
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run([sys.executable, str(script), "--kind", "files", "--calls", str(calls), "--seed", str(seed)],
                          capture_output=True, text=True, timeout=3400, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 kinds of findings" in done.stdout


needs_linux = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is limited by Linux's means")


@needs_linux
def test_some_random_changes_of_every_kind_of_file():
    fuzzed(1000, seed=0)


@needs_linux
@pytest.mark.slow
def test_many_random_changes():
    """A hundred thousand with MINIDL_LONG=1 in the environment."""
    fuzzed(100_000 if os.environ.get("MINIDL_LONG") else 10_000, seed=1)
