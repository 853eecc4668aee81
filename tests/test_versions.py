"""What derivatives read and has changed since: every operation says what, and backward raises as PyTorch does."""
from __future__ import annotations

import pickle

import enumerated
import numpy as np
import pytest
from module_cases import every_module, name_of, numbers
from operation_cases import CASES, OPERATIONS, POSITIVE, A, cases, differentiable, key, output_gradient
from theirs import torch

import minidl
from minidl import nn, optim
from minidl.functional.operation import ALL, ALL_INPUTS, Joining

MODIFIED = "one of the variables needed for gradient computation has been modified by an inplace operation"

# What every operation reads


def altered(x):
    """Another value of the kind at each place."""
    if x.dtype.kind == "i":
        return x[::-1].copy() if x.ndim else x + 1
    return ~x if x.dtype == bool else -x - x.dtype.type(0.3)


@pytest.mark.parametrize("operation", OPERATIONS, ids=key)
def test_every_derivative_reads_what_it_says(operation):
    for inputs, settings in cases(operation):
        check_what_is_read(operation, inputs, settings)


def check_what_is_read(operation, inputs, settings):
    y, kept = operation.run(*inputs, **settings)
    kept = kept if operation.saves else np.asarray(kept)
    g = output_gradient(y)
    for i in range(len(inputs) if isinstance(operation, Joining) else min(len(inputs), len(operation.derivatives))):
        derivative, declared = operation.derivative(i), operation.reads_of(i)
        try:
            before = derivative(g, kept, *inputs, **settings)
        except NotImplementedError:
            continue
        if before is None:
            assert declared == ""
            continue
        read = set()
        for j in range(len(inputs)):
            other = [altered(a) if k == j else a for k, a in enumerate(inputs)]
            with np.errstate(all="ignore"):
                if not np.array_equal(derivative(g, kept, *other, **settings), before):
                    read.add(str(j))
        if not operation.saves:
            with np.errstate(all="ignore"):
                if not np.array_equal(derivative(g, altered(kept), *inputs, **settings), before):
                    read.add("y")
        if declared in (ALL, ALL_INPUTS):
            assert read <= set(declared)
        else:  # of many or missing inputs, those that there are
            assert read == set(declared) & {"y", *map(str, range(len(inputs)))}, i


def test_every_operation_is_here():
    assert {key(operation) for operation in OPERATIONS} >= {name.split(" by ")[0] for name in CASES}
    assert all(cases(operation) for operation in OPERATIONS)
    undeclared = {operation.name for operation in OPERATIONS if ALL in operation.reads}
    assert undeclared <= {operation.name for operation in OPERATIONS if operation.saves} | {"dropout"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=key)
def test_a_change_of_what_is_read_raises_and_another_does_not(operation):
    for inputs, settings in cases(operation):
        check_changes(operation, inputs, settings)


def check_changes(operation, inputs, settings):
    floats = [i for i in differentiable(operation, inputs) if not (i == 1 and operation.name == "mse_loss")]
    for asked in floats:
        for changed in [*range(len(inputs)), "y"]:
            tensors = [minidl.Tensor(x.copy()) for x in inputs]
            tensors[asked].requires_grad = True
            output = operation(*tensors, **settings)
            if changed == "y":
                if operation.views:
                    continue  # below
                output.zero_()
            else:
                tensors[changed].zero_()
            declared = operation.reads_of(asked)
            if str(changed) in declared and not (changed == "y" and operation.saves):
                with pytest.raises(RuntimeError, match=MODIFIED):
                    output.backward(np.ones_like(output.data))
                assert tensors[asked].grad is None
            else:
                output.backward(np.ones_like(output.data))
                assert tensors[asked].grad is not None


PYTORCH = {
    "sum of w + x": lambda w, x: (w + x).sum(), "w - x": lambda w, x: (w - x).sum(), "w x": lambda w, x: (w * x).sum(),
    "matmul": lambda w, x: w.matmul(x.T).sum(), "exp": lambda w, x: (w.exp() + x).sum(),
    "log": lambda w, x: w.log().sum(),
    "mean": lambda w, x: (w.mean() + x.mean()), "sigmoid": lambda w, x: (w.sigmoid() * 2).sum(),
    "tanh": lambda w, x: w.tanh().sum(), "reshape": lambda w, x: w.reshape(-1).sum(),
    "view then square": lambda w, x: (w.reshape(-1) * w.reshape(-1)).sum(), "w w": lambda w, x: (w * w).sum(),
    "index": lambda w, x: w[1].sum(), "index, times": lambda w, x: (w[0] * x[0]).sum(),
    "abs": lambda w, x: w.abs().sum(),
    "softmax": lambda w, x: (w.softmax(-1) * x).sum(), "power": lambda w, x: (w ** 2).sum(),
    "transposed": lambda w, x: (w.T * 3).sum(), "divided by": lambda w, x: (x / w).sum(),
    "divides": lambda w, x: (w / x).sum(),
}


@pytest.mark.parametrize("changed", ["w", "x"])
@pytest.mark.parametrize("trained", ["w", "x", "wx"])
@pytest.mark.parametrize("name", PYTORCH)
def test_it_raises_where_pytorch_does(name, trained, changed):

    def raises(tensor, no_grad):
        w, x = tensor(POSITIVE.copy()), tensor(POSITIVE + 1)
        w.requires_grad_("w" in trained)
        x.requires_grad_("x" in trained)
        loss = PYTORCH[name](w, x)
        if not loss.requires_grad:
            return None
        with no_grad():
            if changed == "w":
                w.zero_()
            else:
                x.zero_()
        try:
            loss.backward()
        except RuntimeError as error:
            assert MODIFIED in str(error)
            return True
        return False

    mine, theirs = raises(minidl.Tensor, minidl.no_grad), raises(torch.from_numpy, torch.no_grad)
    if "divide" in name and mine is not None:  # our derivative for the divisor reads the quotient, not the dividend
        assert mine <= theirs
    else:
        assert mine == theirs


# Every way to change a parameter


def in_place(w):
    with minidl.no_grad():
        w -= 1


def by_optimizer(w):
    w.grad = np.ones_like(w.data)
    optim.SGD([w], lr=0.1).step()


def of_its_array(change):
    return lambda w: change(w.data)


def subtracted(array):
    array -= 1


def inside_a_view(array):
    array[0][1] = 5


CHANGES = {
    "assigned": lambda w: setattr(w, "data", np.ones(w.shape, w.dtype)), "in place": in_place,
    "zero_": lambda w: w.zero_(), "init": lambda w: nn.init.normal_(w, generator=0), "optimizer": by_optimizer,
    "detached": lambda w: w.detach().zero_(), "data -=": lambda w: setattr(w, "data", w.data - 1),
    "array[...] =": of_its_array(lambda a: a.__setitem__(..., 1)), "array -=": of_its_array(subtracted),
    "array.fill": of_its_array(lambda a: a.fill(1)), "np.copyto": of_its_array(lambda a: np.copyto(a, 2)),
    "out=": of_its_array(lambda a: np.add(a, 1, out=a)), "a view": of_its_array(inside_a_view),
    "a transposed view": of_its_array(lambda a: a.T.__setitem__(0, 1)), "sort": of_its_array(lambda a: a.sort()),
    "np.put": of_its_array(lambda a: np.put(a, [0], 3)), "put": of_its_array(lambda a: a.put([0], 3)),
    "partition": of_its_array(lambda a: a.partition(1)), "np.clip": of_its_array(lambda a: np.clip(a, 0, 1, out=a)),
}
READS = {
    "read": lambda w: w.data.sum(), "computed with": lambda w: w.data + 1,
    "into a copy": lambda w: w.data.copy().fill(1),
    "into what was computed": lambda w: subtracted(w.data * 2), "printed": lambda w: (repr(w), str(w.data)),
    "pickled": lambda w: pickle.dumps(w.data), "into a reshaped copy": lambda w: subtracted(w.data.T.reshape(-1)),
    "frozen": lambda w: setattr(w, "requires_grad", True), "gradient": lambda w: w.zero_grad(),
    "np.where": lambda w: subtracted(np.where(w.data > 0, w.data, 0)),
}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_of_a_parameter_counts(change, order):
    w = nn.Parameter(POSITIVE[:, :3], "w", order=order)
    loss, version = (w * w).sum(), w._version
    change(w)
    assert w._version > version
    w.zero_grad()
    match = rf"{MODIFIED}: Parameter 'w' of shape \(3, 3\) \(in mul\) is at version \d; expected version \d instead"
    with pytest.raises(RuntimeError, match=match):
        loss.backward()
    assert w.grad is None


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_no_reading_counts(read):
    w = nn.Parameter(POSITIVE, "w")
    loss, version = (w * w).sum(), w._version
    read(w)
    assert w._version == version
    loss.backward()


def test_what_data_gives_is_an_array():
    w = nn.Parameter(A, "w")
    assert isinstance(w.data, np.ndarray) and w.data is w.data and repr(w.data) == repr(A)
    for made in (w.data + 1, w.data.sum(axis=0), np.exp(w.data), pickle.loads(pickle.dumps(w.data))):
        assert type(made) is np.ndarray
    assert type(w.data.sum()) is np.float32
    assert w.data.flags.aligned and np.shares_memory(w.data, w.store.values)


# Modules

X, G = numbers((5, 4)), numbers((5, 3), seed=1)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_linear_whose_weight_changed(change):
    layer = nn.Linear(4, 3, generator=0)
    layer.forward(X)
    layer.backward(G)
    layer.forward(X)
    change(layer.weight)
    layer.zero_grad()
    with pytest.raises(RuntimeError, match=rf"{MODIFIED}: Linear\(4, 3\): weight of shape \(3, 4\) is at version"):
        layer.backward(G)
    assert layer.weight.grad is None and layer.bias.grad is None
    layer.accumulate(G)  # which does not read it
    np.testing.assert_allclose(layer.weight.grad, G.T @ X, rtol=1e-5)
    layer.forward(X)
    layer.backward(G)


def test_a_changed_bias_is_not_read():
    layer = nn.Linear(4, 3)
    layer.forward(X)
    layer.bias.data = np.ones(3, np.float32)
    layer.backward(G)


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_replaced_parameter(name):
    layer = nn.Linear(4, 3)
    layer.forward(X)
    setattr(layer, name, nn.Parameter(getattr(layer, name).data, order="F"))
    for back in (layer.backward, layer.accumulate):
        with pytest.raises(RuntimeError, match=rf"Linear\(4, 3\): {name} was replaced between forward and backward"):
            back(G)
    layer.forward(X)
    layer.backward(G)


def network():
    return nn.Sequential(nn.Linear(4, 3, generator=0), nn.Tanh(), nn.Linear(3, 3, generator=1))


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("changed, reads", [(0, "asked"), (2, True)])
def test_a_network_on_the_tape(changed, reads, asked):
    model, x = network(), minidl.tensor(X, requires_grad=asked)
    output = model(x)
    model[changed].weight.zero_()
    model(x)  # a newer forward knows the new weight: the older one is still refused
    if asked if reads == "asked" else reads:
        with pytest.raises(RuntimeError, match=rf"{MODIFIED}: Parameter '{changed}?\.?weight' .*in linear"):
            output.backward(G)
        assert all(parameter.grad is None for parameter in model.parameters()) and x.grad is None
    else:
        output.backward(G)


def test_the_step_of_another_loss_comes_between():
    model, criterion = network(), nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    first, second = (criterion(model(minidl.tensor(X)), G * i) for i in (1, 2))
    first.backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match=MODIFIED):
        second.backward()
    model.forward(X)
    optimizer.step()
    with pytest.raises(RuntimeError, match=rf"{MODIFIED}: Linear\(3, 3\)"):
        model.accumulate(G)


def test_a_state_that_was_loaded_comes_between():
    model = network()
    model.forward(X)
    model.load_state_dict(model.state_dict())
    with pytest.raises(RuntimeError, match=MODIFIED):
        model.backward(G)


def test_a_parameter_of_the_users_own_module():
    class Scale(nn.Module):
        def __init__(self):
            self.gain = nn.Parameter(np.ones(4, np.float32), "gain")

        def forward(self, x):
            self.saved = x
            return x * self.gain.data

        def backward(self, gradient):
            self.gain.accumulate((gradient * self.saved).sum(axis=0))
            return gradient * self.gain.data

    for model in (Scale(), nn.Sequential(Scale(), nn.Tanh())):
        output = model(minidl.tensor(X))
        model.parameters()[0].zero_()
        with pytest.raises(RuntimeError, match=f"{MODIFIED}: Parameter '.*gain'"):
            output.backward(X)


READS_INPUT = {"Linear", "ReLU", "LeakyReLU", "ELU", "SELU"}
READS_OUTPUT = {"Sigmoid", "Tanh", "Softmax", "LogSoftmax"}
for _name, _kind in enumerated.ACTIVATIONS.items():  # the others read what their operations say, which is tested above
    if _name not in READS_INPUT | READS_OUTPUT:
        (READS_OUTPUT if "y" in _kind.operation.reads[0] else READS_INPUT).add(_name)


@pytest.mark.parametrize("module", [m for m in every_module() if not isinstance(m, nn.Dropout)], ids=name_of)
def test_the_input_or_output_of_a_module_changed(module):
    first = type(module[0] if isinstance(module, nn.Sequential) else module).__name__
    last = type(module[-1] if isinstance(module, nn.Sequential) else module).__name__
    for changed, reads in (("x", first in READS_INPUT), ("y", last in READS_OUTPUT), (None, False)):
        x = minidl.tensor(numbers((6, 4)))
        middle = x * minidl.tensor(np.float32(1), requires_grad=True)
        output = module(middle)
        if changed is not None:
            (middle if changed == "x" else output).zero_()
        if reads:
            with pytest.raises(RuntimeError, match=MODIFIED):
                output.sum().backward()
        else:
            output.sum().backward()


# Indices and views

@pytest.mark.parametrize("index", [np.array([0, 2]), [0, 2], minidl.Tensor(np.array([0, 2])),
                                   np.array([True, False, True])], ids=["array", "list", "Tensor", "mask"])
def test_an_index_is_copied(index):
    w = nn.Parameter(POSITIVE)
    loss = w[index].sum()
    if isinstance(index, list):
        index[0] = 1
    elif isinstance(index, minidl.Tensor):
        index.zero_()
    else:
        index[:] = ~index if index.dtype == bool else 1
    loss.backward()
    assert w.grad.sum(axis=1).tolist() == [4, 0, 4]


def test_the_places_of_extremes_may_be_written():
    w = nn.Parameter(POSITIVE)
    values, places = w.max(1)
    before = places.data.copy()
    places.data[...] = 0
    values.sum().backward()
    np.testing.assert_array_equal(w.grad.argmax(axis=1), before)


VIEWS = {
    "reshape": lambda x: x.reshape(-1), "T": lambda x: x.T, "slice": lambda x: x[1:], "detach": lambda x: x.detach(),
    "contiguous": lambda x: x.contiguous(), "view of a view": lambda x: x.T[0], "squeeze": lambda x: x.squeeze(),
}
COPIES = {"clone": lambda x: x.clone(), "index": lambda x: x[[0, 1]], "copied": lambda x: x.T.reshape(-1)}


@pytest.mark.parametrize("made, shared", [*[(v, True) for v in VIEWS.values()], *[(c, False) for c in COPIES.values()]],
                         ids=[*VIEWS, *COPIES])
@pytest.mark.parametrize("kind", [minidl.Tensor, nn.Parameter])
def test_views_share_their_version(kind, made, shared):
    x = kind(POSITIVE.copy())
    view, before = made(x), x._version
    view.zero_()
    assert (x._version > before) == shared
    before = view._version
    x.zero_()
    assert (view._version > before) == shared
