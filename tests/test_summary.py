"""summary(): every module of minidl.nn by enumeration, counted as PyTorch counts; the model stays as it was."""
from __future__ import annotations

import copy
import math

import enumerated
import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.nn.summary import MULTIPLY_ADDS
from minidl.table import bytes_as_text

WORDS = np.array([[0, 2, 1], [4, 4, 0]])
LABELS = np.array([0, 2, 1])
PROBABILITIES = np.full((3, 4), 0.3, np.float32)
SIGNS = np.array([1.0, -1.0, 1.0], np.float32)

# name: arguments, settings, inputs
CASES: dict[str, list[tuple]] = {
    "GRU": [((3, 5), {"num_layers": 2}, [(4, 2, 3)]), ((3, 5), {"bidirectional": True}, [(4, 2, 3)])],
    "LSTM": [((3, 5), {"num_layers": 2, "bidirectional": True, "batch_first": True}, [(2, 4, 3)])],
    "RNN": [((3, 5), {}, [(4, 2, 3)]), ((3, 5), {"bias": False}, [(4, 3)])],
    "AdaptiveAvgPool1d": [((2,), {}, [(2, 3, 8)])], "AdaptiveAvgPool2d": [((2,), {}, [(2, 3, 8, 8)])],
    "AvgPool1d": [((2,), {}, [(2, 3, 8)])], "AvgPool2d": [((2,), {}, [(2, 3, 8, 8)])],
    "MaxPool1d": [((2,), {}, [(2, 3, 8)])], "MaxPool2d": [((2,), {}, [(2, 3, 8, 8)])],
    "BatchNorm1d": [((4,), {}, [(3, 4)])], "BatchNorm2d": [((4,), {}, [(3, 4, 2, 2)])],
    "Conv1d": [((4, 6, 3), {"stride": 2}, [(2, 4, 9)])],
    "Conv2d": [((4, 6, 3), {"padding": 1, "groups": 2}, [(2, 4, 8, 7)]), ((1, 3, (2, 3)), {}, [(2, 1, 8, 7)])],
    "Dropout": [((), {}, [(3, 4)])], "Embedding": [((5, 3), {}, [WORDS])], "EmbeddingBag": [((5, 3), {}, [WORDS])],
    "Flatten": [((), {}, [(3, 4, 2)])], "Identity": [((), {}, [(3, 4)])],
    "Unflatten": [((1, (2, 2)), {}, [(3, 4)])], "ZeroPad2d": [((1,), {}, [(1, 2, 3, 3)])],
    "GRUCell": [((3, 5), {}, [(2, 3)])], "LSTMCell": [((3, 5), {}, [(2, 3)])], "RNNCell": [((3, 5), {}, [(2, 3)])],
    "GroupNorm": [((2, 4), {}, [(3, 4)])], "LayerNorm": [((4,), {}, [(3, 4)])], "RMSNorm": [((4,), {}, [(3, 4)])],
    "Linear": [((4, 6), {}, [(3, 4)]), ((4, 6), {"bias": False}, [(2, 3, 4)]), ((4, 6), {}, [(4,)])],
    "MultiheadAttention": [((8, 2), {}, [(5, 2, 8), (4, 2, 8), (4, 2, 8)])],
    "TransformerEncoderLayer": [((8, 2, 16), {}, [(5, 2, 8)])],
    "PReLU": [((), {}, [(3, 4)])], "Threshold": [((0.1, 0.0), {}, [(3, 4)])],
    "CosineSimilarity": [((), {}, [(3, 4), (3, 4)])], "PairwiseDistance": [((), {}, [(3, 4), (3, 4)])],
    "CosineEmbeddingLoss": [((), {}, [(3, 4), (3, 4), SIGNS])], "TripletMarginLoss": [((), {}, [(3, 4)] * 3)],
    "CrossEntropyLoss": [((), {}, [(3, 4), LABELS])], "NLLLoss": [((), {}, [(3, 4), LABELS])],
    "BCELoss": [((), {}, [PROBABILITIES, PROBABILITIES])], "KLDivLoss": [((), {}, [(3, 4), PROBABILITIES])],
}
for _name, _kind in enumerated.ACTIVATIONS.items():
    CASES.setdefault(_name, [((), {"dim": -1} if "dim" in _kind().settings else {}, [(3, 4)])])
for _name in enumerated.LOSSES:
    CASES.setdefault(_name, [((), {}, [(3, 4), (3, 4)])])
CONTAINERS = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential", "Loss",
              "TransformerEncoder"}
EACH = [(name, *case) for name, cases in CASES.items() for case in cases]


def test_every_module_has_a_case():
    modules = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)
               and issubclass(getattr(nn, name), nn.Module)}
    assert modules - CONTAINERS == CASES.keys()


def in_torch(torch, x):
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else torch.zeros(x)


def shapes_of(torch, output):
    if torch.is_tensor(output):
        return [tuple(output.shape)]
    return [] if output is None else [shape for item in output for shape in shapes_of(torch, item)]


@pytest.mark.parametrize("name, arguments, settings, inputs", EACH, ids=str)
def test_a_module_counts_as_pytorch_counts(name, arguments, settings, inputs):
    torch = pytest.importorskip("torch")
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model = getattr(nn, name)(*arguments, **settings)
    told = model.summary(inputs)
    theirs = getattr(torch.nn, name)(*arguments, **settings).eval()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # attention as products, counted
        output = theirs(*[in_torch(torch, x) for x in inputs])
    assert told.parameters == sum(p.numel() for p in theirs.parameters()) == sum(row.parameters for row in told.rows)
    assert told.rows[0].outputs == shapes_of(torch, output) and told.rows[0].calls == 1
    expected = counter.get_total_flops() // 2
    if name in ("RNN", "GRU", "LSTM"):  # which PyTorch does not count
        steps = math.prod(inputs[0][:-1])
        expected = steps * sum(p.numel() for key, p in theirs.named_parameters() if "weight" in key)
    assert told.multiply_adds == expected
    assert told.state == sum(x.data.nbytes for x in (*model.parameters(), *model.buffers()))
    assert not any(row.opaque for row in told.rows)


def test_every_formula_is_used_here():
    names: set[str] = set()
    kept = dict(MULTIPLY_ADDS)
    try:
        for operation, count in kept.items():
            MULTIPLY_ADDS[operation] = lambda *shapes, operation=operation, count=count: names.add(operation) or count(
                *shapes)
        for name, arguments, settings, inputs in EACH:
            getattr(nn, name)(*arguments, **settings).summary(inputs)
    finally:
        MULTIPLY_ADDS.update(kept)
    assert names == kept.keys()


class Own(nn.Module):
    """One layer used twice, a matrix of its own, a residual."""

    def __init__(self):
        self.a = nn.Linear(4, 4)
        self.w = nn.Parameter(np.ones((4, 4), np.float32))
        self.unused = nn.Linear(4, 9)

    def forward(self, x):
        return F.tanh(self.a(self.a(x)) @ self.w) + x


class WithNumPy(nn.Module):
    def forward(self, x):
        return x @ np.ones((4, 2), x.dtype)

    def backward(self, gradient):
        return gradient @ np.ones((2, 4), gradient.dtype)


def test_a_model_of_ones_own():
    model = nn.Sequential(Own(), nn.Dropout(0.5), nn.Flatten(), WithNumPy())
    model[0].a.requires_grad_(False)
    told = model.summary((3, 4))
    rows = {row.name: row for row in told.rows}
    assert [row.name for row in told.rows] == ["", "0", "0.a", "0.unused", "1", "2", "3"]
    assert rows["0"].multiply_adds == 3 * 4 * 4 and rows["0.a"].multiply_adds == 2 * 3 * 4 * 4
    assert rows["0.a"].calls == 2 and rows["0.unused"].calls == 0 and rows["0.unused"].outputs == []
    assert rows["3"].opaque and rows["3"].outputs == [(3, 2)] == rows[""].outputs
    sizes = {"": 0, "0": 48, "0.a": 96, "0.unused": 0, "1": 0, "2": 0, "3": 24}  # views take nothing
    assert {name: row.memory for name, row in rows.items() if name != "1"} == {
        name: size for name, size in sizes.items() if name != "1"}
    assert told.parameters == 16 + 20 + 45 and told.trained == 16 + 45
    text = str(told)
    assert "(3, 4), 2 times" in text and "20 are frozen" in text and "?: NumPy code" in text
    assert "for an input of (3, 4): 324 B of parameters and buffers" in text
    assert told.splitlines()[0].split() == ["name", "module", "output", "parameters", "multiply-adds", "memory"]
    assert len({len(line) for line in told.splitlines()[:9]}) == 1  # the columns are aligned


def test_the_model_is_as_it_was():
    """In the middle of a training: saved values, gradients, modes, hooks, generators, running statistics, steps."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5, generator=3), nn.Linear(8, 2))
    model[1].eval()
    seen = []
    handle = model[3].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    criterion, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)
    x = np.random.default_rng(0).standard_normal((6, 4), np.float32)
    y = np.array([0, 1] * 3)
    twin = copy.deepcopy(model)
    results = []
    for each in (model, twin):
        criterion.forward(each.forward(x), y)
        if each is model:
            classes = [type(module) for module in model.modules()]
            before = model.state_dict()
            model.summary((5, 4))
            assert [type(module) for module in model.modules()] == classes
            assert [module.training for module in model.modules()] == [True, True, False, True, True]
            for name, value in model.state_dict().items():
                np.testing.assert_array_equal(value, before[name])
        each.backward(criterion.backward())
        results.append((each.flat_gradients.copy(), each.forward(x)))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    handle.remove()
    step = minidl.capture(model, criterion, optimizer)
    step(x, y)
    model.summary((5, 4))
    step(x, y)
    assert "training" not in vars(nn.Linear(1, 1)) and step.path.startswith("compiled")


def test_an_error_of_the_model_passes_and_leaves_nothing_behind():
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(7, 2))
    classes = [type(module) for module in model.modules()]
    with pytest.raises(ValueError, match=r"Linear\(7, 2\): expected input of shape"):
        model.summary((5, 4))
    assert [type(module) for module in model.modules()] == classes and model.training
    with pytest.raises(RuntimeError):  # nothing was saved
        model.backward(np.ones((5, 2), np.float32))


def test_a_model_of_float64_is_given_float64():
    assert nn.Linear(4, 2, dtype=np.float64).summary((3, 4)).memory == 3 * 2 * 8


def test_inputs_may_be_arrays_tensors_none_and_tuples():
    linear = nn.Linear(4, 2)
    for inputs in (np.zeros((3, 4), np.float32), minidl.zeros(3, 4), [3, 4], [(3, 4)], [np.zeros((3, 4), np.float32)]):
        assert linear.summary(inputs).rows[0].outputs == [(3, 2)]
    lstm = nn.LSTM(3, 4)
    assert lstm.summary([(5, 2, 3), ((1, 2, 4), (1, 2, 4))]).rows[0].outputs == [(5, 2, 4), (1, 2, 4), (1, 2, 4)]
    assert lstm.summary([(5, 2, 3), None]).rows[0].outputs == [(5, 2, 4), (1, 2, 4), (1, 2, 4)]


@pytest.mark.parametrize(("inputs", "kind", "message"), [
    ("3, 4", TypeError, "summary: expected the shape of an input, an array, or several of them, got '3'"),
    (3, TypeError, "not iterable|expected the shape"), ((0, 4), ValueError, r"sizes >= 1, .* got \(0, 4\)"),
    ([(3, -4)], ValueError, "sizes >= 1"), ((2.5, 4), TypeError, "expected the shape of an input, .* got 2.5")])
def test_what_is_no_shape(inputs, kind, message):
    with pytest.raises(kind, match=message):
        nn.Linear(4, 2).summary(inputs)


@pytest.mark.parametrize(("count", "text"), [
    (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1536, "1.54 kB"), (999_499, "999 kB"), (999_500, "1 MB"),
    (12_300_000, "12.3 MB"), (5 * 10**12, "5 TB"), (10**16, "1e+04 TB")])
def test_bytes_as_text(count, text):
    assert bytes_as_text(count) == text


# In a notebook

class Marked(nn.Linear):
    def extra_repr(self):
        return "<b>&"


def parsed(html: str) -> str:
    """The text of well-formed HTML."""
    from xml.etree import ElementTree

    return "".join(ElementTree.fromstring(html.replace("<details open>", "<details>")).itertext())


def test_models_and_summaries_are_tables():
    model = nn.Sequential(Marked(4, 2), nn.ReLU())
    text = parsed(model._repr_html_())
    assert "Marked(<b>&)" in text and "total" in text and "parameters" in text
    text = parsed(model.summary((3, 4))._repr_html_())
    assert "(3, 2)" in text and "multiply-adds" in text and "24" in text and "for an input of (3, 4)" in text


def test_steps_are_listings():
    x, y = np.ones((3, 4), np.float32), np.array([0, 1, 0])

    def parts():
        model = nn.Sequential(nn.Linear(4, 2))
        return model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)

    model, criterion, optimizer = parts()

    @minidl.capture
    def step(x, y):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    class Bound:
        @minidl.capture
        def step(self, x):
            return model(x)

    lbfgs = optim.LBFGS(model.parameters())
    bound = Bound()
    steps = [step, bound.step, minidl.capture(*parts()),
             minidl.capture(model, lambda output, target: criterion(output, target), optimizer)]
    steps.append(minidl.capture(model, criterion, lbfgs))
    for each in steps:
        before = parsed(each._repr_html_())
        each(*((x,) if each is steps[1] else (x, y)))
        assert "linear" in parsed(each._repr_html_()).lower() and before
        assert each._repr_html_().startswith("<details")
