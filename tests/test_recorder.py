"""A recorder is told all that a step computes: computed again on other data, that gives the step's bits."""
from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from module_cases import numbers
from test_second_derivatives import evaluate, graphs

import minidl
from minidl import functional as F
from minidl import nn
from minidl.autograd import active_recorder, grad, recording_into
from minidl.autograd.parameter import Parameter
from minidl.autograd.tensor import Tensor
from minidl.functional.products import linear_bias_gradient, linear_weight_gradient

ADDED = {operation.name: operation for operation in (linear_weight_gradient, linear_bias_gradient)}


class Tape:
    """Takes down a step, and does it again."""

    ignoring = False

    def __init__(self):
        self.events, self.log, self.alive, self.undo = [], [], [], []

    def note(self, kind, run, *tensors):
        self.events.append(run)
        self.log.append(kind)
        self.alive.append(tensors)  # so that no other object gets their ids

    def operation(self, operation, inputs, settings, output):
        assert not operation.saves and any(isinstance(x, Tensor) for x in inputs)

        def run(at):
            at[id(output)] = np.asarray(operation.value(*[value(x, at) for x in inputs], **settings))

        self.note(operation.name, run, inputs, output)

    def drawing(self):
        pass

    def leaf(self, tensor, gradient):
        self.note("accumulate", lambda at: tensor.accumulate(np.array(value(gradient, at))), tensor, gradient)
        return True

    def gradient_queried(self, parameter):
        self.read(parameter, "grad")

    def call(self, name, function, inputs, outputs, listed=True):
        def run(at):
            given = function(*[value(x, at) for x in inputs])
            given = given if isinstance(given, (tuple, list)) else (given,)
            at.update({id(x): y for x, y in zip(outputs, given, strict=True) if x is not None})

        self.note(f"call {name}", run, inputs, outputs)

    def accumulate(self, tensor, gradient):
        self.note("accumulate", lambda at: tensor.accumulate(np.array(value(gradient, at))), tensor, gradient)

    def accumulate_by(self, operation, inputs, parameter, settings):
        def run(at):
            operation.add_to(parameter, *[value(x, at) for x in inputs], **settings)

        self.note(f"accumulate_by {operation.name}", run, inputs, parameter)

    def constant(self, array):
        pass

    def zero_grad(self, parameter, set_to_none):
        self.note("zero_grad", lambda at: parameter.zero_grad(set_to_none), parameter)

    def set_grad(self, parameter, values):
        self.note("set_grad", lambda at: setattr(parameter, "grad", value(values, at)), parameter, values)

    def overwrite(self, tensor, values):
        self.note("overwrite", lambda at: tensor.overwrite(value(values, at)), tensor, values)

    def read(self, tensor, how):
        raise RuntimeError(f"{how} while a step is recorded")


def value(x, at):
    if not isinstance(x, Tensor):
        return x
    return at.get(id(x), x._data)


def check(step, model, batches):
    """``step`` recorded with the first batch and done again with the others, against the step itself."""
    start = model.state_dict()
    plain = []
    for batch in batches:
        losses = step(*map(minidl.tensor, batch))
        plain.append([loss.data.copy() for loss in losses] + [p.gradient.copy() for p in model.parameters()])
    model.load_state_dict(start)
    for parameter in model.parameters():
        parameter.grad = None
    inputs, tape = [minidl.tensor(x) for x in batches[0]], Tape()
    with recording_into(tape):
        losses = step(*inputs)
    model.load_state_dict(start)
    for parameter in model.parameters():
        parameter.grad = None
    for batch, expected in zip(batches, plain, strict=True):
        at = {id(x): array for x, array in zip(inputs, batch, strict=True)}
        for event in tape.events:
            event(at)
        got = [at[id(loss)] for loss in losses] + [p.gradient.copy() for p in model.parameters()]
        for mine, theirs in zip(got, expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    return tape.log


def mlp():
    return nn.Sequential(nn.Linear(5, 7, generator=0), nn.Tanh(), nn.Linear(7, 6, generator=1), nn.ELU(),
                         nn.Linear(6, 4, generator=2))


ROWS_OF = (6, 4, 9)  # what was recorded for one number of rows holds for others
X = [numbers((n, 5), seed=i) for i, n in enumerate(ROWS_OF)]
LABELS = [np.random.default_rng(i).integers(0, 4, n) for i, n in enumerate(ROWS_OF)]
ROWS = [np.abs(numbers((n, 4), seed=9 + i)) for i, n in enumerate(ROWS_OF)]
LOSSES = [(nn.CrossEntropyLoss, LABELS, {}), (nn.CrossEntropyLoss, LABELS, {"reduction": "sum"}),
          (nn.CrossEntropyLoss, ROWS, {}), (nn.MSELoss, ROWS, {}), (nn.MSELoss, ROWS, {"reduction": "batchmean"}),
          (nn.NLLLoss, LABELS, {}), (nn.NLLLoss, LABELS, {"reduction": "sum"})]


@pytest.mark.parametrize("kind, targets, settings", LOSSES)
@pytest.mark.parametrize("clear", [True, False])
def test_a_step_of_a_network(kind, targets, settings, clear):
    model, criterion = mlp(), kind(**settings)

    def step(x, t):
        if clear:
            model.zero_grad()
        loss = criterion(model(x), t)
        loss.backward()
        with minidl.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * Tensor(parameter.gradient)
        return [loss.detach()]

    log = check(step, model, list(zip(X, targets, strict=True)))
    assert log.count("accumulate_by linear_weight_gradient") == log.count("accumulate_by linear_bias_gradient") == 3
    assert log.count("overwrite") == 6 and log.count("zero_grad") == 6 * clear


@pytest.mark.parametrize("kind, targets, settings", LOSSES)
def test_a_loss_of_each_sample(kind, targets, settings):
    model, criterion = mlp(), kind(reduction="none")

    def step(x, t):
        losses = criterion(model(x), t)
        (losses * losses).sum().backward()
        return [losses]

    check(step, model, list(zip(X, targets, strict=True)))


def test_labels_of_places():
    model, criterion = nn.Sequential(nn.Linear(5, 5, generator=0)), nn.CrossEntropyLoss()
    x = [numbers((2, 4, 5), seed=i) for i in range(3)]
    labels = [np.random.default_rng(i).integers(0, 4, (2, 5)) for i in range(3)]

    def step(x, t):
        loss = criterion(model(x), t)
        loss.backward()
        return [loss]

    check(step, model, list(zip(x, labels, strict=True)))


@hypothesis_settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(graphs())
def test_a_random_graph(graph):
    """Its value and its first and second derivatives, computed again for other values of the leaves."""
    shapes, seed, steps = graph
    values = [[np.asarray(numbers(shape, seed=seed + i + j)) for i, shape in enumerate(shapes)] for j in range(2)]

    def compute(leaves):
        y = evaluate(F, F, leaves, steps)
        first = grad(y, leaves, create_graph=True)
        total = sum([(dx * dx).sum() for dx in first], start=y)
        for leaf in leaves:
            leaf.grad = None
        total.backward()
        return [y, total]

    def tensors(arrays):
        return [Tensor(x.copy(), True) for x in arrays]

    tape, leaves = Tape(), tensors(values[0])
    with recording_into(tape):
        outputs = compute(leaves)
    for arrays in values:
        at = {id(leaf): x for leaf, x in zip(leaves, arrays, strict=True)}
        for leaf in leaves:
            leaf.grad = None
        for event in tape.events:
            event(at)
        twins = tensors(arrays)
        for mine, theirs in zip(outputs, compute(twins), strict=True):
            np.testing.assert_array_equal(at[id(mine)], theirs.data)
        for leaf, twin in zip(leaves, twins, strict=True):
            np.testing.assert_array_equal(leaf.grad, twin.grad)


def test_a_gradient_penalty():
    model, criterion = mlp(), nn.CrossEntropyLoss()

    def step(x, t):
        x.requires_grad_()
        loss = criterion(model(x), t)
        dx, = grad(loss, x, create_graph=True)
        total = loss + 0.5 * (dx * dx).sum()
        total.backward()
        return [total]

    log = check(step, model, [(numbers((6, 5), seed=i), LABELS[0]) for i in range(3)])
    assert "elu_backward" in log and "linear_input_gradient" in log


def test_what_picks_is_computed_anew():
    model = nn.Sequential(nn.Linear(5, 4, generator=0))

    def step(x, rows):
        y = model(x)
        values, places = y.max(1)
        best = y[rows, places] * values + y[:, 1:3].min() + F.cat([y, y * 2], 1).max()
        loss = F.where(best > 0, best, 0.1 * best).sum() + F.stack([y, y.T.T], 1).mean() + (abs(y) + 1).pow(y).sum()
        loss.backward()
        return [loss]

    check(step, model, [(x, np.random.default_rng(i).permutation(len(x))) for i, x in enumerate(X)])


class Squared(nn.Module):
    def forward(self, x):
        return x * x


class Halved(nn.Module):
    """Written with arrays; one that the tape differentiates works within it."""

    def __init__(self):
        self.gain, self.square = nn.Parameter(np.full(5, 0.5, np.float32), "gain"), Squared()

    def forward(self, x):
        self.saved = x
        return self.square.forward(x) * self.gain.data

    def backward(self, gradient):
        self.gain.accumulate((gradient * self.saved * self.saved).sum(axis=0))
        return self.square.backward(gradient * self.gain.data)


def test_a_module_on_arrays_is_called():
    model = nn.Sequential(nn.Linear(5, 5, generator=0), Halved(), nn.Tanh())

    def step(x):
        loss = (model(x) * 2).sum()
        loss.backward()
        return [loss]

    log = check(step, model, [(x,) for x in X])
    assert log[:4] == ["linear", "call Halved()", "tanh", "mul"]
    assert log.count("call Halved()") == log.count("call Halved backward") == 1


def test_a_loss_on_arrays_is_called():
    class Absolute(nn.Loss):
        def forward(self, output, target):
            self.saved = np.sign(output - target)
            return abs(output - target).sum()

        def backward(self, gradient=1.0):
            return self.saved * self.saved.dtype.type(gradient)

    model, criterion = nn.Sequential(nn.Linear(5, 4, generator=0)), Absolute()

    def step(x, t):
        loss = criterion(model(x), t)
        loss.backward()
        return [loss]

    log = check(step, model, list(zip(X, ROWS, strict=True)))
    assert log.count("call Absolute()") == log.count("call Absolute backward") == 1


def test_dropout_draws_anew():
    model, tape, x = nn.Sequential(nn.Linear(5, 6, generator=0), nn.Dropout(0.5)), Tape(), minidl.tensor(X[0])
    model[1].generator = np.random.default_rng(3)
    with recording_into(tape):
        loss = model(x).sum()
    assert tape.log == ["linear", "call dropout_scale", "dropout", "sum"]
    model[1].generator = np.random.default_rng(4)  # of which the next run draws
    at: dict = {}
    for event in tape.events:
        event(at)
    model[1].generator = np.random.default_rng(4)
    assert at[id(loss)] == model(x).sum().item() != loss.item()


def test_what_it_is_told():
    tape, x = Tape(), minidl.tensor(X[0], requires_grad=True)
    with recording_into(tape):
        assert active_recorder() is tape
        (x.relu() * 2).sum().backward()
    assert active_recorder() is None
    assert tape.log == ["relu", "mul", "sum", "ones_like", "expand_as", "mul", "relu_backward", "accumulate"]
    assert isinstance(x.grad, np.ndarray)


@pytest.mark.parametrize("read", [float, bool, int, np.asarray, repr, lambda x: x.item(), lambda x: x.tolist(),
                                  lambda x: x.detach().numpy(), lambda x: x.data])
def test_reading_is_told_before(read):
    x = minidl.tensor(1.5)
    with recording_into(Tape()), pytest.raises(RuntimeError, match="while a step is recorded"):
        read(x)
    read(x)


def test_what_is_assigned_to_a_parameter():
    w, x = nn.Parameter([1.0, 2.0]), minidl.tensor([3.0, 4.0])
    tape = Tape()
    with recording_into(tape):
        w.data = x * 2
        w.grad = x + 1
        w.grad = None
        w.grad = x - 1
    assert tape.log == ["mul", "overwrite", "add", "set_grad", "zero_grad", "sub", "set_grad"]
    at = {id(x): np.array([5, 6], np.float32)}
    for event in tape.events:
        event(at)
    assert w.data.tolist() == [10, 12] and w.grad.tolist() == [4, 5]
    for name in ("data", "grad"):
        with recording_into(tape), pytest.raises(RuntimeError, match=f"{name} while a step is recorded"):
            getattr(w, name)


def test_it_is_of_its_thread_and_not_nested():
    tape, seen = Tape(), []
    with recording_into(tape):
        thread = threading.Thread(target=lambda: seen.append(active_recorder()))
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="recorded already"), recording_into(Tape()):
            pass
        assert active_recorder() is tape
    assert seen == [None] and isinstance(Parameter(np.ones(2)), Tensor)
    with pytest.raises(KeyError), recording_into(tape):
        raise KeyError
    assert active_recorder() is None
