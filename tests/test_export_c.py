"""export_c: what a C compiler makes of the file gives the bits of predict."""
from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import export_cases
import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import kernels, nn
from minidl.export.c_calls import CALLS
from minidl.export.c_file import blocks, c_text
from minidl.export.recording import ExportError

ROOT = Path(__file__).parents[1]
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
WAYS = [(compiler, level) for compiler in COMPILERS for level in ("-O0", "-O2")]
QUICK = [(COMPILERS[0], "-O2"), (COMPILERS[-1], "-O0")] if COMPILERS else []
STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror")

needs_compiler = pytest.mark.skipif(not COMPILERS, reason="needs gcc or clang")
needs_fused = pytest.mark.skipif(kernels.isa() == "generic", reason="generic kernels round products")


def built(folder: Path, texts: list[str], compiler: str, *flags: str) -> ctypes.CDLL:
    """A library of several files, whose functions are f0, f1, ..."""
    sources = []
    for i, text in enumerate(texts):
        (folder / f"f{i}.c").write_text(text)
        sources.append(f"f{i}.c")
    name = f"{compiler}{''.join(flags).replace('-', '_')}.so"
    made = subprocess.run([compiler, *flags, "-shared", "-fPIC", "-o", name, *sources, "-lm"], cwd=folder,
                          capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return ctypes.CDLL(str(folder / name))


def called(function, inputs: list[np.ndarray], like: list[np.ndarray]) -> list[np.ndarray]:
    found = [np.full_like(y, 7) for y in like]
    assert function(*[ctypes.c_void_p(x.ctypes.data) for x in (*inputs, *found)]) == 0
    return found


def same_bits(found: np.ndarray, wanted: np.ndarray) -> bool:
    """The same bytes; a NaN is a NaN."""
    if found.dtype.kind != "f":
        return np.array_equal(found, wanted)
    number = ~np.isnan(wanted)
    return np.array_equal(np.isnan(found), ~number) and found[number].tobytes() == wanted[number].tobytes()


def check(folder: Path, models: list[tuple[nn.Module, np.ndarray]], ways, *flags: str) -> None:
    """All models, with what predict gives, by each compiler at each level."""
    texts = [c_text(model, x, f"f{i}") for i, (model, x) in enumerate(models)]
    wanted = [export_cases.outputs(model, x) for model, x in models]
    for compiler, level in ways:
        library = built(folder, texts, compiler, *STRICT, level, *flags)
        for i, (model, x) in enumerate(models):
            for a, b in zip(called(library[f"f{i}"], [x], wanted[i]), wanted[i], strict=True):
                assert same_bits(a, b), f"{compiler} {level}: {model} of {x.shape}: {abs(a - b).max()}"


class Together(nn.Module):
    """Several models as one, of as many inputs and more outputs: one file, so that a compiler needs seconds."""

    def __init__(self, models):
        self.models = nn.ModuleList(models)

    def forward(self, *inputs):
        return tuple(model(x) for model, x in zip(self.models, inputs, strict=True))


def check_together(folder: Path, models: list[tuple[nn.Module, np.ndarray]], ways, *flags: str, text=None) -> None:
    """The same in one file."""
    inputs = [x for _, x in models]
    text = text or c_text(Together([model for model, _ in models]).eval(), tuple(inputs), "f0")
    wanted = [(i, y) for i, (model, x) in enumerate(models) for y in export_cases.outputs(model, x)]
    for compiler, level in ways:
        found = called(built(folder, [text], compiler, *flags, level).f0, inputs, [y for _, y in wanted])
        for a, (i, b) in zip(found, wanted, strict=True):
            assert same_bits(a, b), f"{compiler} {level}: {models[i][0]} of {models[i][1].shape}: {abs(a - b).max()}"


def test_every_module_has_a_case():
    modules = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)
               and issubclass(getattr(nn, name), nn.Module)}
    assert modules - export_cases.covered() - export_cases.NO_PREDICTION == set()


@needs_compiler
@needs_fused
def test_every_module(tmp_path):
    models = [(export_cases.shaken(make()), x) for _, make, x in export_cases.every_case()]
    for model, x in models:
        assert c_text(model, x)
    check_together(tmp_path, models, [(compiler, level.replace("2", "1")) for compiler, level in QUICK], *STRICT)


@needs_compiler
@needs_fused
def test_a_dozen_random_models(tmp_path):
    models = [export_cases.random_model(seed) for seed in range(14)]
    for model, x in models:
        assert same_bits(np.asarray(model.predict(x)), export_cases.outputs(model, x)[0])
    check_together(tmp_path, models, QUICK, *STRICT)


@pytest.mark.slow
@needs_compiler
@needs_fused
@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_two_hundred_random_models(way, tmp_path):
    check(tmp_path, [export_cases.random_model(seed) for seed in range(200)], [way])


def fuses() -> bool:
    """Whether the processor has fused multiply-adds, and says so."""
    told = Path("/proc/cpuinfo")
    return told.exists() and " fma " in told.read_text()


@needs_compiler
@needs_fused
@pytest.mark.skipif(not fuses(), reason="needs a processor with fused multiply-adds")
def test_with_fused_instructions(tmp_path):
    """Where the compiler could fuse what is to be rounded twice, and where it makes vectors."""
    models = [export_cases.random_model(seed) for seed in (0, 5)]
    flags = "-std=gnu99", *STRICT[1:], "-mfma", "-mavx2"
    check_together(tmp_path, models, [(compiler, "-O3") for compiler in COMPILERS], *flags)


MAIN = """
#include <stdio.h>
int main(void) {{
{arrays}
{reads}
  if (f0({names}) != 0) return 1;
{writes}
  return 0;
}}
"""


@pytest.mark.skipif(not (shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64-static")),
                    reason="needs a cross compiler for aarch64, and qemu")
@needs_fused
def test_on_another_processor(tmp_path):
    """aarch64, whose compilers fuse products and sums unless they are told not to: by standard input and output."""
    models = [(export_cases.shaken(make()), x) for _, make, x in export_cases.every_case()]
    inputs = [x for _, x in models]
    wanted = [y for model, x in models for y in export_cases.outputs(model, x)]
    text = c_text(Together([model for model, _ in models]).eval(), tuple(inputs), "f0")
    named = [*[(f"in{i}", x, "r") for i, x in enumerate(inputs)], *[(f"out{i}", y, "w") for i, y in enumerate(wanted)]]
    kinds = {"f": "float", "i": "int64_t"}
    text += MAIN.format(
        arrays="\n".join(f"  static {kinds[x.dtype.kind]} {name}[{x.size}];" for name, x, _ in named),
        reads="\n".join(f"  if (fread({name}, 1, {x.nbytes}, stdin) != {x.nbytes}) return 2;"
                        for name, x, way in named if way == "r"),
        names=", ".join(name for name, _, _ in named),
        writes="\n".join(f"  fwrite({name}, 1, {y.nbytes}, stdout);" for name, y, way in named if way == "w"))
    (tmp_path / "f.c").write_text(text)
    subprocess.run(["aarch64-linux-gnu-gcc", "-O1", "-static", "-o", "f", "f.c", "-lm"], cwd=tmp_path, check=True)
    told = subprocess.run(["qemu-aarch64-static", str(tmp_path / "f")], input=b"".join(x.tobytes() for x in inputs),
                          capture_output=True, check=True).stdout
    for y in wanted:
        assert same_bits(np.frombuffer(told[:y.nbytes], y.dtype).reshape(y.shape), y)
        told = told[y.nbytes:]
    assert told == b""


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
@needs_fused
def test_cpp_compiles_it(tmp_path):
    models = [export_cases.random_model(seed) for seed in range(7)]
    text = c_text(Together([model for model, _ in models]).eval(), tuple(x for _, x in models), "f0")
    text = text.replace("\nint f0(", '\nextern "C" int f0(')
    check_together(tmp_path, models, [("g++", "-O1")], "-x", "c++", "-std=c++11", *STRICT[1:], text=text)


ELEMENTARY = ("exp", "log", "erf", "tanh", "sigmoid", "softplus", "elu", "selu")


class Elementary(nn.Module):
    """All of these functions."""

    def forward(self, x):
        return tuple(getattr(F, name)(x) for name in ELEMENTARY)


@needs_compiler
@needs_fused
def test_elementary_functions_over_all_magnitudes(tmp_path):
    every = np.random.default_rng(1).integers(0, 1 << 32, 200_000, dtype=np.uint32).view(np.float32)
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 88.72, 89, -87.4, -103.9]
    x = np.concatenate([every, np.float32(edges), np.linspace(-110, 110, 50_000, dtype=np.float32)])
    check(tmp_path, [(Elementary(), x)], WAYS[-1:])


def test_the_kernels_of_predictions_are_all_there():
    """Each is written in C, or is of no prediction: a derivative, a loss, an update, or a batch's random change."""
    registered = {name for name in vars(kernels.of(np.float32)) if callable(getattr(kernels.of(np.float32), name))}
    text = "".join(path.read_text() for path in (ROOT / "kernels").glob("*.pxi"))
    known = set(re.findall(r'register\(b"(\w+)"', text))
    assert known & registered
    others = {name for name in known if name.endswith(("_backward", "_gradient", "_gradients", "_pick"))}
    others |= {"negative_log_likelihood", "cross_entropy", "soft_cross_entropy", "squared_error", "gather_labels_total",
               "add_at_labels", "wrong", "total"}  # of losses
    others |= {"sgd", "adam", "adadelta", "scale", "dropout_mask", "add_rows", "affine_sample"}  # of training
    others |= {"add_integer"}  # which counts batches
    others |= {"linear"}  # a matmul in a recorded step
    others |= {"to_double", "from_double"}  # of models that mix the dtypes
    assert known - others == CALLS.keys()
    assert {f"op_{name}" for name in CALLS} <= blocks().keys()


def test_the_coefficients_are_those_of_the_kernels():
    text = (ROOT / "kernels" / "coefficients.h").read_text().split("#else")[1]
    ours = "\n".join(blocks().values())

    def numbers(found: str) -> list[np.float32]:
        return [np.float32(x.rstrip("f")) for x in re.split(r",\s*", found)]

    for name, values in re.findall(r"real (\w+)\[\] = \{(.*?)\}", text):
        found = re.search(rf"float {name}\[\] = \{{(.*?)\}}", ours, re.DOTALL)
        assert found and numbers(found[1]) == numbers(values), name
        terms = re.search(rf"#define {name}_TERMS (\d+)", text)
        assert terms and f"{name}, {terms[1]})" in ours
    for name, value in re.findall(r"#define (LN2_\w+) (\S+)", text):
        found = re.search(rf"#define {name} (\S+)", ours)
        assert found and numbers(found[1]) == numbers(value)


# What the file is, and errors


@needs_compiler
def test_an_index_outside_its_table_is_told(tmp_path):
    model = export_cases.shaken(nn.Sequential(nn.Embedding(5, 3), nn.Flatten()))
    x = np.array([[0, 4]])
    library = built(tmp_path, [c_text(model, x, "f0")], COMPILERS[0], *STRICT)
    y = np.zeros(6, np.float32)
    for index, code in ((4, 0), (5, -1), (-1, -1)):
        x[0, 1] = index
        assert library.f0(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data)) == code


@needs_compiler
def test_weights_keep_their_bits(tmp_path):
    every = np.random.default_rng(2).integers(0, 1 << 32, 20_000, dtype=np.uint32).view(np.float32)
    weights = np.concatenate([every[np.isfinite(every)], np.float32([0, -0.0, 1, 1e-45, -3e38])])

    class Two(nn.Module):
        def __init__(self):
            self.register_buffer("finite", minidl.tensor(weights))
            self.register_buffer("others", minidl.tensor(np.float32([np.inf, -np.inf, np.nan, 2])))

        def forward(self, x):
            return x * self.finite, x * self.others

    check(tmp_path, [(Two(), np.ones((1, 1), np.float32))], WAYS[:1])


@needs_compiler
def test_several_inputs_and_outputs(tmp_path):
    class Two(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Linear(3, 4), nn.Linear(2, 4)

        def forward(self, a, b):
            y = self.first(a) + self.second(b)
            return y, a, F.where(y > 0, y, 0.0)

    model, a, b = Two().eval(), export_cases.given((2, 3)), export_cases.given((2, 2))
    text = c_text(model, (a, b), "f0")
    assert "int f0(const float *x0, const float *x1, float *y0, float *y1, float *y2)" in text
    with minidl.no_grad():
        wanted = [y.numpy() for y in model(minidl.tensor(a), minidl.tensor(b))]
    found = called(built(tmp_path, [text], COMPILERS[0], *STRICT).f0, [a, b], wanted)
    assert all(map(same_bits, found, wanted))


def test_the_file_appears_whole_and_says_what_it_is(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    minidl.export_c(model, tmp_path / "model.c")
    text = (tmp_path / "model.c").read_text()
    assert "int predict(const float *x, float *y);" in text and "x: float of shape (1, 3)" in text
    assert "/* 0.weight */" in text and "op_matmul" in text and "exp_of" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["model.c"]
    assert text == c_text(model)
    assert max(map(len, text.splitlines())) <= 120


def test_the_model_is_left_as_it_was(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    before = {name: value.copy() for name, value in model.state_dict().items()}
    minidl.export_c(model, tmp_path / "model.c", np.zeros((2, 3), np.float32))
    assert model.training and all(module.training for module in model.modules())
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())


class Of(nn.Module):
    """A function as a model."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


class OnArrays(nn.Module):
    def forward(self, x):
        return np.sort(x)

    def backward(self, gradient):
        return gradient


class Counting(nn.Module):
    def __init__(self):
        self.register_buffer("count", minidl.tensor(np.zeros(1, np.float32)))

    def forward(self, x):
        self.count.add_(1)
        return x * self.count


@pytest.mark.parametrize("model, example, message", [
    (Of(lambda x: F.cumsum(x, 1)), np.ones((1, 3), np.float32), "the operation cumsum has no kernel"),
    (OnArrays(), np.ones((1, 3), np.float32), r"OnArrays\(\) runs as Python"),
    (Counting(), np.ones((1, 3), np.float32), "changes nothing while it predicts"),
    (Of(lambda x: x if x.sum() > 0 else -x), np.ones((1, 3), np.float32), "takes a value out of a Tensor"),
    (nn.Sequential(nn.Linear(3, 2)).double(), None, "float64"),
    (nn.Sequential(nn.Conv2d(1, 2, 3)), None, "expected an example"),
    (nn.Sequential(nn.Linear(3, 2)), np.ones((0, 3), np.float32), "with something in it"),
])
def test_what_cannot_be_written_is_told(model, example, message, tmp_path):
    with pytest.raises(ExportError, match=f"export_c: .*{message}"):
        minidl.export_c(model, tmp_path / "model.c", example)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_model_is_left_as_it_was():
    model = Counting()
    for _ in range(2):
        with pytest.raises(ExportError):
            c_text(model, np.ones((1, 3), np.float32))
    assert model.count.item() == 0


@pytest.mark.parametrize("name", ["2fast", "a b", "", "double", "op_matmul", "expf", "memory"])
def test_a_name_that_c_does_not_allow(name):
    with pytest.raises(ExportError, match="a name that C allows"):
        c_text(nn.Sequential(nn.Linear(3, 2)), name=name)
