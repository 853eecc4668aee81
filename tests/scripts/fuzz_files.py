"""Files that are damaged, or made to do damage, for every reader of files that minidl has: a ValueError, and no more.

Each case takes a good file, changes it at random places or in its structure (the JSON of a header with the length put
right, the parts of an archive with their checksums), and reads it. Findings are: another exception, more than
64 MB of memory, more than a second of the processor, a refusal that has changed something, and a result that the
package safetensors, if it is there, does not read the same. A crash or a standstill is found by fuzz.py.
"""
from __future__ import annotations

import argparse
import atexit
import gzip
import io
import json
import os
import resource
import shutil
import struct
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fuzz_kernels import Finding

import minidl
from minidl import nn, optim, tables
from minidl.commands import unfinished
from minidl.commands.common import CommandError
from minidl.commands.sweep import _listed
from minidl.data.idx import idx_bytes, read_idx
from minidl.files.tree import packed
from minidl.optim import lr_scheduler
from minidl.optim.swa_utils import AveragedModel
from minidl.sweep.log import Log, Run
from minidl.tables import folder as table_folder
from minidl.tables.training import PATIENCE, RECIPE, Choice, prepare, train
from minidl.training.callbacks import EarlyStopping, ModelCheckpoint, WeightAveraging
from minidl.training.history import History

MEMORY = 64 << 20  # bytes that a reader may ask for
SECONDS = 1.0  # of the processor
INTS = [0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63,
        2**64 - 1]
VALUES = [
    None, True, False, *INTS, -1, -(2**31), -(2**63), 2**64, 10**30, 0.5, -0.0, 1e308, 5e-324, "", "x", "F32", "BF16",
    "F4", "NaN", "inf", "é\u0000", [], {}, [[]], [0], [-1], [2**62, 2**62, 0], [1] * 70, [0, 8], [1e9], {"x": 1},
    {"$array": "x"}, {"$float": "nan"}, {"$tuple": []}, {"$tuple": [1]}, {"$dict": [[1, 2]]}, {"$scalar": "x"},
    "[" * 2000, [[[[[[[[1]]]]]]]], ["x"] * 300]
TEXTS = [
    b"0", b"-1", b"1", b"18446744073709551616", b"1e999", b"NaN", b"-Infinity", b"null", b"true", b"[]", b"{}", b'""',
    b"[" * 5000, b'{"a":' * 3000, b"9" * 5000, b'"\\ud800"', b"\\", b"0.1", b"'", b"(", b"), 'shape': (", b"9" * 30]
TYPES = [b"<f8", b"|O", b">f4", b"|b1", b"<c8", b"|V4", b"<f3", b"<U1", b"|S4"]  # of .npy files


class Kind(NamedTuple):
    """A sort of files: good ones, what reads them, and how their structure is changed; the name's ending."""

    good: list[bytes]
    read: Callable[[Path], Any]
    change: Callable[[Any, bytes], bytes]
    suffix: str = ""


@cache
def folder() -> Path:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="minidl-fuzz-", dir=memory))
    atexit.register(shutil.rmtree, made, True)
    return made


def saved(state: Any, name: str = "good") -> bytes:
    minidl.save(folder() / name, state)
    return (folder() / name).read_bytes()


# The structure of the formats

def change_tree(rng, tree: Any) -> Any:
    """JSON with another value at a random place, or without it, or with something from elsewhere there."""
    places = [((), tree)]
    for path, value in places:
        if isinstance(value, dict):
            places += [((*path, key), below) for key, below in value.items()]
        elif isinstance(value, list) and len(path) < 20:
            places += [((*path, i), below) for i, below in enumerate(value[:50])]
    path, old = rng.choice(places)
    how = rng.randrange(6)
    if how == 0:
        new = json.loads(json.dumps(rng.choice(places)[1]))
    elif how == 1 and isinstance(old, (int, float)) and not isinstance(old, bool):
        new = rng.choice([old + 1, old - 1, -old, old * 2, old + 8, float(old) if abs(old) < 1e300 else 0, str(old)])
    else:
        new = json.loads(json.dumps(rng.choice(VALUES)))
    if not path:
        return new
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    if how == 2:
        del holder[path[-1]]
    elif how == 3 and isinstance(holder, dict):
        holder[rng.choice(["x", "", path[-1] + "'", "__metadata__", "$array"])] = new
    else:
        holder[path[-1]] = new
    return tree


def change_json(rng, data: bytes) -> bytes:
    return json.dumps(change_tree(rng, json.loads(data))).encode()


def change_lines(rng, data: bytes) -> bytes:
    lines = data.splitlines()
    number = rng.randrange(len(lines))
    return b"\n".join([*lines[:number], change_json(rng, lines[number]), *lines[number + 1:]]) + b"\n"


def change_safetensors(rng, data: bytes) -> bytes:
    """Another header, of the right length; often within the text that says how a state is made of its arrays."""
    length, = struct.unpack_from("<Q", data)
    header, elements = json.loads(data[8:8 + length]), data[8 + length:]
    inner = header.get("__metadata__", {}).get("minidl")
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if isinstance(inner, str) and rng.random() < 0.7:
            inner = json.dumps(change_tree(rng, json.loads(inner)))
            header["__metadata__"]["minidl"] = inner
        else:
            header = change_tree(rng, header)
            if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
                inner = None
                break
            inner = header.get("__metadata__", {}).get("minidl", inner)
            inner = inner if isinstance(inner, str) and "__metadata__" in header and readable(inner) else None
    if isinstance(header, dict) and rng.random() < 0.2:  # an array in a place of its own, or over another one
        entries = [entry["data_offsets"] for entry in header.values()
                   if isinstance(entry, dict) and are_two(entry.get("data_offsets"))]
        if entries:
            offsets, shift = rng.choice(entries), rng.choice([-8, -4, -1, 1, 4, 8, 24])
            offsets[:] = [offset + shift for offset in offsets]
            elements += rng.choice([b"", b"", bytes(abs(shift))])
    text = json.dumps(header).encode()
    if rng.random() < 0.1:  # a name twice
        text = text.replace(b"{", b'{"x": 1, "x": 1, ', 1)
    return struct.pack("<Q", len(text)) + text + elements


def are_two(offsets: Any) -> bool:
    return isinstance(offsets, list) and len(offsets) == 2 and all(type(offset) is int for offset in offsets)


def readable(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def change_archive(rng, data: bytes) -> bytes:
    """An archive of changed parts, with true checksums; with a part twice, or one that unpacks to far more."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(content, "w") as new:
        names = old.namelist()
        for name in names:
            part = old.read(name)
            if rng.random() < 0.5:
                part = change_header(rng, part) if rng.random() < 0.5 else change_bytes(rng, part)
            if rng.random() < 0.002:
                part = part[:80] + bytes(40 << 20)
            way = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED])
            if rng.random() < 0.03:
                way = rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
            new.writestr(zipfile.ZipInfo(rng.choice(names) if rng.random() < 0.05 else name), part, way)
    return content.getvalue()


def change_header(rng, part: bytes) -> bytes:
    """An array's header with other words in it."""
    end = part.find(b"\n") + 1
    header = part[10:end]
    for _ in range(rng.choice([1, 1, 2])):
        old, new = rng.choice([
            (b"<f4", rng.choice(TYPES)), (b"False", b"True"), (b"shape", b"shapes"),
            (b"(3", b"(" + str(rng.choice(INTS)).encode()),
            (b",)", b", 0)"), (b"(", b"(0, 9223372036854775807, "), (b"'descr': ", b"'descr': " + rng.choice(TEXTS)),
            (b"(", b"(" + b"1, " * 70)])
        header = header.replace(old, new)
    return part[:8] + struct.pack("<H", len(header) % 2**16) + header + part[end:]


def change_gzip(rng, data: bytes) -> bytes:
    return gzip.compress(change_bytes(rng, gzip.decompress(data)), mtime=0)


def change_bytes(rng, data: bytes) -> bytes:
    """Other bytes at a few random places."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        at, how = rng.randrange(len(data) + 1), rng.randrange(11)
        size = min(rng.choice([1, 1, 2, 4, 8, 30]), len(data) - at)
        if how == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at:at + size] = rng.randbytes(size)
        elif how == 2:
            width = rng.choice([1, 2, 4, 8])
            number = (rng.choice(INTS) % 256**width).to_bytes(width, rng.choice(["little", "big"]))
            data[at:at + width] = number
        elif how == 3:
            del data[at:]
        elif how == 4:
            del data[at:at + size]
        elif how == 5:
            data[at:at] = rng.randbytes(size)
        elif how == 6:
            data[at:at] = data[at:at + size] * rng.choice([1, 2, 1000])
        elif how == 7:
            other = rng.randrange(len(data) + 1)
            data[at:at + size] = data[other:other + size]
        elif how == 8:
            data[at:at + rng.choice([0, size])] = rng.choice(TEXTS)
        elif how == 9:
            kind = rng.choice(list(kinds().values()))
            other = rng.choice(kind.good)
            begin = rng.randrange(len(other))
            data[at:] = other[begin:]
        else:
            digits = [i for i, byte in enumerate(data[:5000]) if 48 <= byte < 58]
            if digits:
                at = rng.choice(digits)
                number = str(rng.choice(INTS)).encode()
                data[at:at + 1] = rng.choice([b"9", b"0", b"-1", b"99999999999", b"1e5", number])
    return bytes(data)


# The readers

class Training:
    """One that goes on from a file, and of which a refused file must change nothing."""

    def __init__(self, optimizer: Callable, schedule: Callable | None):
        minidl.manual_seed(0)
        rng = np.random.default_rng(0)
        self.data = rng.standard_normal((12, 3), np.float32), rng.standard_normal((12, 1), np.float32)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 1))
        self.optimizer = optimizer(self.model.parameters())
        self.schedule = schedule and schedule(self.optimizer)
        self.callbacks = [EarlyStopping(99, "loss"), WeightAveraging(AveragedModel(self.model))]
        path = folder() / "good"
        self.fit(2, callbacks=[ModelCheckpoint(path), *self.callbacks])
        self.good = path.read_bytes()

    def fit(self, epochs: int, **options) -> None:
        minidl.fit(self.model, nn.MSELoss(), self.optimizer, self.data, epochs=epochs, batch_size=4, seed=1,
                   scheduler=self.schedule, progress=False, captured=False, **options)

    def state(self) -> tuple:
        schedule = self.schedule and self.schedule.state_dict()
        arrays, rest = packed([self.model.state_dict(), self.callbacks[1].averaged.state_dict(),
                               self.optimizer.state_dict(), schedule])
        return {name: array.tobytes() for name, array in arrays.items()}, rest

    def read(self, path: Path) -> None:
        before = self.state()
        try:
            self.fit(3 if os.path.getsize(path) % 8 == 0 else 1, resume=path, callbacks=self.callbacks)
        except FloatingPointError:  # numbers from the file, with which it was trained on
            return
        except ValueError as error:
            if "to be a checkpoint of this training" in str(error) and self.state() != before:
                raise Finding("changed", f"a refused file has changed the training: {error}") from error
            raise


def read_safetensors(path: Path) -> None:
    state = minidl.load(path)
    try:
        from safetensors import deserialize
    except ImportError:
        return
    data = path.read_bytes()
    try:
        theirs = deserialize(data)
    except Exception as error:
        raise Finding("accepted", f"safetensors refuses what minidl reads: {error}; {data[:300]!r}") from error
    if isinstance(state, dict) and b'"minidl"' not in data:
        found = {name: entry for name, entry in theirs}
        if found.keys() != state.keys() or any(
                list(state[name].shape) != list(entry["shape"]) or (
                    entry["dtype"] != "BF16" and state[name].tobytes() != bytes(entry["data"]))
                for name, entry in found.items()):
            raise Finding("differs", f"safetensors reads something else than minidl: {data[:300]!r}")


def read_log(path: Path) -> None:
    with Log(path, "task") as log:
        json.dumps([run.settings for run in log.runs.values()])


def read_unfinished(path: Path) -> None:
    out = folder() / "run"
    out.mkdir(exist_ok=True)
    shutil.copyfile(path, out / unfinished.NAME)
    args = argparse.Namespace(out=out, dataset="disk", seed=0, epochs=None)
    try:
        recipe, _ = unfinished.restored(args)
        recipe.build(1000, np.random.default_rng(0))
    except (CommandError, TypeError) as error:  # build says in either what is wrong with a setting
        raise ValueError(str(error)) from error


def read_table_run(name: str) -> Callable[[Path], None]:
    """The reader of a table's run folder, of which this file is the changed one."""
    def read(path: Path) -> None:
        shutil.copytree(folder() / "table", folder() / "changed", dirs_exist_ok=True)
        shutil.copyfile(path, folder() / "changed" / name)
        table_folder.result_in(folder() / "changed")
        table_folder.Run.load(folder() / "changed").predict(tables.read(folder() / "table.csv"))
    return read


def table_run() -> None:
    """Train on a table, for its run folder."""
    rows = "".join(f"{i},{'xyz'[i % 3]},{'yn'[i % 2]},2024-01-{i % 28 + 1:02d},{2 * i}\n" for i in range(60))
    (folder() / "table.csv").write_text(f"a,b,c,d,price\n{rows}")
    prepared = prepare(tables.read(folder() / "table.csv"), Choice("price", None, {}, [], False))
    outcome = train(prepared, replace(RECIPE, epochs=1, hidden=(4,)), patience=PATIENCE, seed=0, progress=False)
    (folder() / "table").mkdir()
    table_folder.save(outcome, 0, folder() / "table")


unfinished.say = lambda text: None  # type: ignore[assignment]


@cache
def kinds() -> dict[str, Kind]:
    from minidl.papers.trial import DiskTrial
    from minidl.recipe import Recipe

    rng = np.random.default_rng(0)
    arrays = {"0.weight": rng.standard_normal((3, 4), np.float32), "0.bias": rng.standard_normal(3, np.float32),
              "h": np.ones(3, np.float16), "n": np.array(7), "flag": np.array([True, False]), "none": np.zeros((0, 3))}
    brain = json.dumps({"x": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    nested = {"model": arrays, "epoch": 3, "pair": (0.9, 0.99), "long": [0.1] * 70, "inf": float("inf"),
              "keys": {1: 2.5}, "scalar": np.float32(2), "deep": [[{"x": [np.ones(2)]}]], "name": None}
    trainings = [
        Training(optim.Adam, lr_scheduler.DecayOnRise), Training(lambda p: optim.LBFGS(p, max_iter=2), None),
        Training(lambda p: optim.SGD(p, lr=0.01, momentum=0.9), lambda optimizer: lr_scheduler.SequentialLR(
            optimizer, [lr_scheduler.ConstantLR(optimizer), lr_scheduler.StepLR(optimizer, 2)], [1]))]
    archives = []
    for write in (np.savez, np.savez_compressed):
        content = io.BytesIO()
        write(content, **arrays, x=np.asfortranarray(np.ones((3, 2))))
        archives.append(content.getvalue())
    History(loss=[1.0, float("nan")], error=[None, 5.0], seconds=[0.1, 0.2], path="compiled").save(folder() / "history")
    with Log(folder() / "log", "task") as log:
        for seed in range(2):
            log.append(Run({"layers": seed, "rate": 0.1}, seed, {"accuracy": 0.5}, None, 1.5))
        log.append(Run({"layers": 9}, 0, None, {"type": "ValueError", "message": "x", "traceback": ""}, 0.5))
    images = [idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4)), idx_bytes(np.ones((3, 2), np.float32))]
    recipe = Recipe(epochs=3, hidden=(5,))
    told = {"dataset": "disk", "seed": 0, "recipe": vars(recipe)}
    DiskTrial(recipe).train(0, callbacks=[ModelCheckpoint(folder() / "unfinished", note=told)])
    table_run()
    table = {name: (folder() / "table" / name).read_bytes() for name in ("preprocessing.json", "result.json")}
    brain_file = struct.pack("<Q", len(brain)) + brain + bytes(8)
    return {
        "weights": Kind([saved(arrays), brain_file], read_safetensors, change_safetensors),
        "nested": Kind([saved(nested)], read_safetensors, change_safetensors),
        "npz": Kind(archives, minidl.load, change_archive, ".npz"),
        "idx": Kind(images, read_idx, change_bytes),
        "idx.gz": Kind([gzip.compress(image) for image in images], read_idx, change_gzip),
        "history": Kind([(folder() / "history").read_bytes()], History.load, change_json),
        "log": Kind([(folder() / "log").read_bytes()], read_log, change_lines),
        "list": Kind([b'[{"layers": 2, "rate": 0.1}, {"activation": "relu"}]'], _listed, change_json),
        "unfinished": Kind([(folder() / "unfinished").read_bytes()], read_unfinished, change_safetensors),
    } | {f"table's {name}": Kind([content], read_table_run(name), change_json) for name, content in table.items()
    } | {f"checkpoint {i}": Kind([one.good], one.read, change_safetensors) for i, one in enumerate(trainings)}


@cache
def warm() -> None:
    """Every reader has been called once: what they import is there."""
    for kind in kinds().values():
        for good in kind.good:
            path = folder() / f"file{kind.suffix}"
            path.write_bytes(good)
            kind.read(path)


@contextmanager
def limited() -> Iterator[None]:
    """Within it the process gets 64 MB more than it has; MemoryError beyond."""
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        yield
        return
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def case(rng) -> int:
    """One changed file, read."""
    warm()
    name, kind = rng.choice(list(kinds().items()))
    good = rng.choice(kind.good)
    if rng.random() < 0.6:
        data = kind.change(rng, good)
        if rng.random() < 0.1:
            data = change_bytes(rng, data)
    else:
        data = change_bytes(rng, good)
    path = folder() / f"file{kind.suffix}"
    path.write_bytes(data)
    begin = time.process_time()
    try:
        with limited():
            kind.read(path)
    except ValueError:
        pass
    except Finding:
        raise
    except BaseException as error:
        raise Finding(f"{name}: {type(error).__name__}", f"{error}; {data[:400]!r}") from error
    spent = time.process_time() - begin
    if spent > SECONDS:
        raise Finding(f"{name}: slow", f"{spent:.2f} s; {data[:400]!r}")
    return 1
