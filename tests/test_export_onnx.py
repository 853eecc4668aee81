"""to_onnx against onnxruntime, from_onnx against to_onnx and PyTorch's exporter."""
from __future__ import annotations

import io

import export_cases
import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.export.recording import ExportError

onnx = pytest.importorskip("onnx")
CLOSE = 1e-5


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    size = max(1.0, abs(wanted).max(initial=0))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE * size)


def runtime(proto):
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda *inputs: session.run(None, dict(zip([x.name for x in session.get_inputs()], inputs, strict=True)))


def more_rows(x: np.ndarray) -> list[np.ndarray]:
    """The input, and others of as many rows as the graph was not recorded with."""
    return [x, x[:1], np.concatenate([x, x, x])] if len(x) > 1 else [x, np.concatenate([x, x])]


def both_ways(model: nn.Module, x: np.ndarray) -> None:
    """onnxruntime, and the module that is read again, give what the model gives."""
    from minidl.export.onnx_file import onnx_model
    from minidl.export.onnx_module import OnnxModule

    proto = onnx_model(model, x)
    theirs, again = runtime(proto), OnnxModule(proto).eval()
    batch_statistics = any(isinstance(one, nn.BatchNorm1d) and not one.track_running_stats for one in model.modules())
    for rows in more_rows(x) if not batch_statistics else [x]:
        wanted = export_cases.outputs(model, rows)
        for found in (theirs(rows), export_cases.outputs(again, rows)):
            assert len(found) == len(wanted)
            for a, b in zip(found, wanted, strict=True):
                close(a, b)


@pytest.mark.parametrize("name, make, x", export_cases.every_case(), ids=lambda value: value if isinstance(
    value, str) else "")
def test_every_module(name, make, x):
    both_ways(export_cases.shaken(make()), x)


@pytest.mark.parametrize("seed", range(14))
def test_random_models(seed):
    both_ways(*export_cases.random_model(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_two_hundred_random_models(seed):
    both_ways(*export_cases.random_model(seed))


class Of(nn.Module):
    """A function as a model."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


FUNCTIONS = [
    lambda x: F.cumsum(x, 1), lambda x: F.tril(x), lambda x: F.triu(x, 1), lambda x: F.amax(x, 1), lambda x: x ** 3,
    lambda x: F.sum(x, (0, 2)) + F.mean(x), lambda x: x[:, 1:, ::2], lambda x: x[..., None, -1], lambda x: x[:, ::-1],
    lambda x: F.where(x != x[:, :1], x, 1.5), lambda x: F.clamp(x, -1, 1), lambda x: F.stack([x, 2 - x], 1),
    lambda x: F.permute(x, 2, 0, 1), lambda x: F.flip(x, 2), lambda x: x.reshape(-1, 4), lambda x: F.repeat(x, 1, 2, 1),
    lambda x: F.index_select(x, 1, np.array([2, 0])), lambda x: F.matmul(x, x.transpose(1, 2)),
    lambda x: F.std(x, 1), lambda x: F.norm(x, 2, 1), lambda x: F.softplus(x, beta=2.0), lambda x: F.abs(x).log(),
    lambda x: F.expand(x[:, :1], -1, 3, -1), lambda x: x.unsqueeze(1).squeeze(1), lambda x: F.logsigmoid(-x),
    lambda x: minidl.zeros_like(x) + F.exp(-x * x), lambda x: F.sign(x) if hasattr(F, "sign") else x,
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_functions(function):
    both_ways(Of(function), export_cases.given((3, 3, 4)))


def test_float64_and_several_inputs(tmp_path):
    class Two(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(3, 4, dtype=np.float64)

        def forward(self, a, b):
            return self.inner(a) * b, a.sum(1)

    model = Two().eval()
    a, b = np.random.default_rng(0).standard_normal((2, 5, 3)), np.random.default_rng(1).standard_normal((2, 5, 4))
    minidl.to_onnx(model, tmp_path / "m.onnx", (a[0], b[0]))
    proto = onnx.load(tmp_path / "m.onnx")
    assert [x.name for x in proto.graph.input] == ["x0", "x1"] and [y.name for y in proto.graph.output] == ["y0", "y1"]
    with minidl.no_grad():
        wanted = [y.numpy() for y in model(minidl.tensor(a[1]), minidl.tensor(b[1]))]
        again = [y.numpy() for y in minidl.from_onnx(tmp_path / "m.onnx")(minidl.tensor(a[1]), minidl.tensor(b[1]))]
    for found in (runtime(proto)(a[1], b[1]), again):
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)


def test_weights_keep_their_names_and_are_trained_again(tmp_path):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    minidl.to_onnx(model, tmp_path / "m.onnx")
    assert {"0.weight", "0.bias", "2.weight", "2.bias"} <= {
        one.name for one in onnx.load(tmp_path / "m.onnx").graph.initializer}
    again = minidl.from_onnx(tmp_path / "m.onnx")
    assert len(again.parameters()) == 4
    X = export_cases.given((64, 4))
    y = X[:, :2] * X[:, 2:]
    history = minidl.fit(again, nn.MSELoss(), optim.Adam(again.parameters(), lr=0.01), (X, y), epochs=8, batch_size=16,
                         progress=False)
    assert history.path == "compiled" and history.loss[-1] < history.loss[0]
    close(again.predict(X), export_cases.outputs(again.eval(), X)[0])


@pytest.mark.parametrize("function, message", [
    (lambda x: F.argsort(x), "the operation argsort has no ONNX form"),
    (lambda x: x if x.sum() > 0 else -x, "takes a value out of a Tensor"),
    (lambda x: x.reshape(1, -1) @ np.ones((9, 1), np.float32), "dynamic_rows=False fixes the shapes"),
])
def test_what_has_no_form_is_told(function, message, tmp_path):
    with pytest.raises(ExportError, match=f"to_onnx: .*{message}"):
        minidl.to_onnx(Of(function), tmp_path / "m.onnx", np.ones((3, 3), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_refused_model_is_left_as_it_was():
    from minidl.export.onnx_file import onnx_model

    class Counting(nn.Module):
        def __init__(self):
            self.register_buffer("count", minidl.tensor(np.zeros(1, np.float32)))

        def forward(self, x):
            self.count.add_(1)
            return x * self.count

    model = Counting()
    with pytest.raises(ExportError, match="changes nothing while it predicts"):
        onnx_model(model, np.ones((1, 3), np.float32))
    assert model.count.item() == 0


def test_fixed_shapes(tmp_path):
    def function(x):
        return x.reshape(1, -1) @ minidl.tensor(np.ones((9, 1), np.float32))

    x = export_cases.given((3, 3))
    minidl.to_onnx(Of(function), tmp_path / "m.onnx", x, dynamic_rows=False)
    close(runtime(onnx.load(tmp_path / "m.onnx"))(x)[0], x.sum().reshape(1, 1))


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "m.onnx"
    for content in (b"", b"no model", bytes(range(256))):
        path.write_bytes(content)
        with pytest.raises(ExportError, match="expected an ONNX model"):
            minidl.from_onnx(path)
    info = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    node = onnx.helper.make_node("Sin", ["x"], ["y"])
    proto = onnx.helper.make_model(onnx.helper.make_graph([node], "g", info[:1], info[1:]))
    onnx.save(proto, path)
    with pytest.raises(ExportError, match="no operation for Sin"):
        minidl.from_onnx(path)
    with pytest.raises(FileNotFoundError):
        minidl.from_onnx(tmp_path / "none.onnx")


@pytest.mark.parametrize("alpha", [1.0, 0.5])
@pytest.mark.parametrize("beta", [1.0, -2.0])
@pytest.mark.parametrize("turned", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("start", [(4,), (2, 4), (2, 1), None])
def test_gemm(alpha, beta, turned, start, tmp_path):
    """alpha a b + beta c, by NumPy."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3)).astype(np.float32), rng.standard_normal((3, 4)).astype(np.float32)
    values = {"b": b.T.copy() if turned[1] else b}
    wanted = alpha * (a @ b)
    if start is not None:
        values["c"] = rng.standard_normal(start).astype(np.float32)
        wanted = wanted + beta * values["c"]
    given = a.T.copy() if turned[0] else a
    node = onnx.helper.make_node("Gemm", ["x", *values], ["y"], alpha=alpha, beta=beta, transA=turned[0],
                                 transB=turned[1])
    ends = [[onnx.helper.make_tensor_value_info(name, 1, size)] for name, size in (("x", given.shape), ("y", (2, 4)))]
    arrays = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", *ends, arrays)), tmp_path / "m.onnx")
    np.testing.assert_allclose(
        minidl.from_onnx(tmp_path / "m.onnx")(minidl.tensor(given)).detach().numpy(), wanted, rtol=1e-5, atol=1e-6)


REFUSED = {  # a node with what minidl has not; the shapes of its input and of its weights; the message
    "Conv, 3 axes": (("Conv", {}), (1, 1, 3, 3, 3), [(1, 1, 2, 2, 2)], "Conv over one axis or two"),
    "MaxPool, 3 axes": (("MaxPool", {"kernel_shape": [1, 1, 1]}), (1, 1, 3, 3, 3), [], "MaxPool over one axis or two"),
    "AveragePool, gaps": (("AveragePool", {"kernel_shape": [2, 2], "dilations": [1, 2]}), (1, 1, 4, 4), [],
                          "AveragePool without gaps"),
    "BatchNormalization": (("BatchNormalization", {"training_mode": 1}), (2, 3), [(3,)] * 4, "for inference"),
    "GroupNormalization": (("GroupNormalization", {"num_groups": 2}), (2, 4), [(2,)] * 2, "a scale for each channel"),
    "CumSum, exclusive": (("CumSum", {"exclusive": 1}), (2, 3), [()], "CumSum forwards and inclusive"),
    "CumSum, reverse": (("CumSum", {"reverse": 1}), (2, 3), [()], "CumSum forwards and inclusive"),
    "Pad": (("Pad", {"mode": "reflect"}), (2, 3), [(4,)], "Pad with a constant"),
    "GRU": (("GRU", {"hidden_size": 2}), (3, 1, 2), [(1, 6, 2), (1, 6, 2)], "GRU with linear_before_reset"),
    "LSTM, clip": (("LSTM", {"hidden_size": 2, "clip": 1.0}), (3, 1, 2), [(1, 8, 2), (1, 8, 2)], "LSTM without"),
    "RNN, layout": (("RNN", {"hidden_size": 2, "layout": 1}), (3, 1, 2), [(1, 2, 2), (1, 2, 2)], "RNN without"),
    "RNN, functions": (("RNN", {"hidden_size": 2, "activations": ["Elu"]}), (3, 1, 2), [(1, 2, 2), (1, 2, 2)],
                       "RNN without"),
    "Constant": (("Constant", {"value_string": "text"}), (1,), [], "a Constant of numbers"),
}


def saved(path, kind, attributes, shape, weights, outputs=1, opset=21):
    """A file with one node, whose weights are zeros."""
    names = [f"w{i}" for i in range(len(weights))]
    kinds = [np.int64 if kind in ("CumSum", "Pad") else np.float32 for _ in names]
    values = [onnx.numpy_helper.from_array(np.zeros(size, dtype), name)
              for size, dtype, name in zip(weights, kinds, names, strict=True)]
    node = onnx.helper.make_node(kind, [] if kind == "Constant" else ["x", *names], ["y", "z"][:outputs], **attributes)
    ends = [onnx.helper.make_tensor_value_info("x", 1, shape)], [onnx.helper.make_tensor_value_info("y", 1, ["n"])]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", *ends, values),
                                     opset_imports=[onnx.helper.make_opsetid("", opset)]), path)


@pytest.mark.parametrize("case", REFUSED)
def test_nodes_of_another_kind_are_refused(case, tmp_path):
    (kind, attributes), shape, weights, message = REFUSED[case]
    saved(tmp_path / "m.onnx", kind, attributes, shape, weights)
    with pytest.raises(ExportError, match=f"expected .*{message}"):
        minidl.from_onnx(tmp_path / "m.onnx")(minidl.ones(shape))


def test_indices_of_the_largest_and_an_old_opset_are_refused(tmp_path):
    for message, more in (("MaxPool without indices", {"outputs": 2}), ("opset 13 or newer, got 9", {"opset": 9})):
        saved(tmp_path / "m.onnx", "MaxPool", {"kernel_shape": [2]}, (1, 1, 4), [], **more)
        with pytest.raises(ExportError, match=f"from_onnx: expected {message}"):
            minidl.from_onnx(tmp_path / "m.onnx")(minidl.ones((1, 1, 4)))


def test_weights_in_other_files_are_refused(tmp_path):
    from minidl.export.onnx_file import onnx_model

    proto = onnx_model(nn.Sequential(nn.Linear(40, 40)))
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="beside", size_threshold=0)
    with pytest.raises(ExportError, match="expected weights within the file"):
        minidl.from_onnx(tmp_path / "m.onnx")


# Models that PyTorch has written

def pytorch_models():
    torch = pytest.importorskip("torch")
    from torch import nn as theirs

    class Last(theirs.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x)[0]

    torch.manual_seed(0)
    image, steps = torch.randn(2, 3, 12, 12), torch.randn(5, 2, 4)
    return {
        "mlp": (theirs.Sequential(theirs.Linear(4, 7), theirs.GELU(), theirs.Dropout(0.5), theirs.Linear(7, 3),
                                  theirs.LogSoftmax(-1)), torch.randn(3, 4)),
        "activations": (theirs.Sequential(
            theirs.ReLU6(), theirs.Hardsigmoid(), theirs.Hardswish(), theirs.ELU(), theirs.SELU(), theirs.Mish(),
            theirs.Softplus(), theirs.PReLU(), theirs.Softsign(), theirs.Hardtanh(-0.5, 0.5)), torch.randn(3, 4)),
        "lenet": (theirs.Sequential(
            theirs.Conv2d(3, 6, 3, padding=1), theirs.BatchNorm2d(6), theirs.ReLU(), theirs.MaxPool2d(2),
            theirs.Conv2d(6, 8, 3, stride=2, groups=2), theirs.AvgPool2d(2, padding=1), theirs.Flatten(),
            theirs.Linear(32, 5)), image),
        "pools": (theirs.Sequential(theirs.Conv2d(3, 4, 1), theirs.GroupNorm(2, 4), theirs.AdaptiveAvgPool2d(1)),
                  image),
        "lstm": (Last(theirs.LSTM(4, 3, 2, bidirectional=True)), steps), "gru": (Last(theirs.GRU(4, 3)), steps),
        "rnn": (Last(theirs.RNN(4, 3, nonlinearity="relu")), steps),
        "norm": (theirs.Sequential(theirs.LayerNorm(4), theirs.Linear(4, 4)), steps),
    }


@pytest.mark.parametrize("name", ["mlp", "activations", "lenet", "pools", "lstm", "gru", "rnn", "norm"])
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_what_pytorch_writes_is_read(name, tmp_path):
    torch = pytest.importorskip("torch")
    model, x = pytorch_models()[name]
    model.eval()
    stream = io.BytesIO()
    torch.onnx.export(model, (x,), stream, opset_version=17, dynamo=False)
    (tmp_path / "m.onnx").write_bytes(stream.getvalue())
    with torch.no_grad():
        wanted = model(x).numpy()
    close(export_cases.outputs(minidl.from_onnx(tmp_path / "m.onnx").eval(), x.numpy())[0], wanted)
