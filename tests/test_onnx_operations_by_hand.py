"""from_onnx, operation by operation, on inputs and on constants alone, against onnx's own reference."""
from __future__ import annotations

import numpy as np
import pytest

import minidl

onnx = pytest.importorskip("onnx")
from onnx.reference import ReferenceEvaluator  # noqa: E402

from minidl.export.onnx_operations import ON_ONE, ON_TWO  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 2.0, (2, 3)).astype(np.float32)
VALUES = {"matrix": RNG.uniform(0.2, 2.0, (2, 3)).astype(np.float32), "row": np.array([0.5, 1.0, 1.5], np.float32),
          "one": np.array(1.5, np.float32), "of x": X.copy()}
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")


def run(nodes, constants, x, path, output_type=1):
    """(minidl's output, the reference's) of a graph from x to y."""
    graph = onnx.helper.make_graph(
        nodes, "g", [onnx.helper.make_tensor_value_info("x", 1, x.shape)],
        [onnx.helper.make_tensor_value_info("y", output_type, x.shape)],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)])
    onnx.save(model, path)
    return minidl.from_onnx(path)(minidl.tensor(x)), ReferenceEvaluator(model).run(None, {"x": x})[0]


def same(got, expected) -> None:
    got = got.detach().numpy() if isinstance(got, minidl.Tensor) else got
    assert got.dtype == expected.dtype and got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kind", ON_ONE)
def test_functions_of_one(kind, sign, tmp_path):
    x = X if sign > 0 or kind in ("Log", "Sqrt") else -X
    make = onnx.helper.make_node
    same(*run([make(kind, ["x"], ["y"])], {}, x, tmp_path / "a.onnx"))
    same(*run([make(kind, ["c"], ["d"]), make("Add", ["x", "d"], ["y"])], {"c": x}, x, tmp_path / "b.onnx"))


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("kind", ON_TWO)
def test_functions_of_two(kind, value, tmp_path):
    make, c = onnx.helper.make_node, {"c": VALUES[value], "e": X[::-1].copy()}
    of = onnx.TensorProto.BOOL if kind in COMPARISONS else onnx.TensorProto.FLOAT
    for names in (["x", "c"], ["c", "x"], ["x", "x"]):
        same(*run([make(kind, names, ["y"])], c, X, tmp_path / "a.onnx", of))
    for names in (["c", "e"], ["e", "c"]):  # of constants alone
        nodes = [make(kind, names, ["d"]), make("Cast", ["d"], ["f"], to=1), make("Add", ["x", "f"], ["y"])]
        same(*run(nodes, c, X, tmp_path / "b.onnx"))


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", *COMPARISONS])
def test_functions_of_whole_numbers(kind, tmp_path):
    """Sizes that a graph computes with."""
    make, c = onnx.helper.make_node, {"c": np.array([7, 8, 9]), "e": np.array([2, 8, 10])}
    nodes = [make(kind, ["c", "e"], ["d"]), make("Cast", ["d"], ["f"], to=1), make("Add", ["x", "f"], ["y"])]
    same(*run(nodes, c, X, tmp_path / "b.onnx"))


def test_what_is_trained_of_a_batch_normalisation(tmp_path):
    """Weight and bias are Parameters, mean and variance buffers."""
    c = {name: RNG.uniform(0.5, 2, 3).astype(np.float32) for name in ("scale", "shift", "mean", "var")}
    node = onnx.helper.make_node("BatchNormalization", ["x", "scale", "shift", "mean", "var"], ["y"])
    same(*run([node], c, X, tmp_path / "m.onnx"))
    module = minidl.from_onnx(tmp_path / "m.onnx")
    assert {name for name, _ in module.named_parameters()} == {"scale", "shift"}
    assert {name for name, _ in module.named_buffers()} == {"mean", "var"}
