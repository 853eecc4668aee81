"""Modules: what they are made of, their parameters and states, copies, and bad input."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from module_cases import ACTIVATIONS, FLOATS, every_module, name_of, numbers

import minidl
from minidl import functional as F
from minidl import nn, optim


def network(dtype=None) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 5, dtype=dtype, generator=0), nn.ReLU(),
                         nn.Linear(5, 2, dtype=dtype, generator=1))


class Scaled(nn.Module):
    """A user's module, with only a forward, on Tensors."""

    def __init__(self, size: int):
        super().__init__()
        self.gain = nn.Parameter(np.full(size, 0.5, np.float32))

    def forward(self, x):
        return F.tanh(x) * self.gain


# Sequential and the other containers

def test_sequential_of_arguments_or_of_one_list():
    layers = [nn.Linear(2, 3), nn.Tanh()]
    x = numbers((4, 2))
    np.testing.assert_array_equal(nn.Sequential(*layers)(x), nn.Sequential(layers)(x))
    assert nn.Sequential(layers[0])(x).shape == (4, 3)


def test_empty_sequential_passes_all_through():
    x, model = numbers((4, 2)), nn.Sequential()
    assert model(x) is x and model.backward(x) is x
    assert model.param() == [] and model.parameters() == []


def test_sequential_is_indexed_sliced_and_iterated():
    model = network()
    assert len(model) == 3 and list(model)[1] is model[1] and model[-1] is model[2]
    assert isinstance(model[:2], nn.Sequential) and model[:2][0] is model[0]
    model[1] = nn.Tanh()
    del model[2]
    assert [type(module).__name__ for module in model] == ["Linear", "Tanh"]
    model.append(nn.Identity()).extend([nn.ReLU()])
    model.insert(0, nn.Flatten())
    assert isinstance(model.pop(), nn.ReLU) and len(model) == 4


def test_sequential_is_the_composition_there_and_back():
    first, second, x, g = nn.Linear(3, 4), nn.Linear(4, 2), numbers((5, 3)), numbers((5, 2))
    model = nn.Sequential(first, nn.Sequential(nn.Sigmoid(), second))
    y = model(x)
    dx = model.backward(g)
    together = [parameter.grad.copy() for parameter in model.parameters()]
    model.zero_grad()
    sigmoid = nn.Sigmoid()
    np.testing.assert_array_equal(y, second(sigmoid(first(x))))
    np.testing.assert_array_equal(dx, first.backward(sigmoid.backward(second.backward(g))))
    for gradient, parameter in zip(together, model.parameters(), strict=True):
        np.testing.assert_array_equal(gradient, parameter.grad)


@pytest.mark.parametrize("head", [[], [nn.Flatten()], [nn.Sequential(nn.Identity(), nn.Tanh())]])
def test_accumulate_gives_the_gradients_of_backward(head):
    model, x, g = nn.Sequential(*head, *network()), numbers((5, 2)), numbers((5, 2), seed=1)
    model(x)
    model.backward(g)
    expected = [parameter.grad.copy() for parameter in model.parameters()]
    model.zero_grad()
    model(x)
    model.accumulate(g)
    for gradient, parameter in zip(expected, model.parameters(), strict=True):
        np.testing.assert_array_equal(gradient, parameter.grad)


def test_a_module_used_twice_has_its_parameters_once():
    twice = nn.Linear(3, 3)
    model = nn.Sequential(twice, nn.Tanh(), twice)
    assert len(model.parameters()) == 2 and len(model.param()) == 2
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert model.flat_parameters.size == 12


def test_a_module_of_the_user_stands_inside_sequential():
    layer, x, g = Scaled(2), numbers((4, 2)), numbers((4, 2), seed=1)
    model = nn.Sequential(nn.Identity(), layer, nn.Identity())
    np.testing.assert_allclose(model(x), np.tanh(x) * 0.5, rtol=1e-6)
    np.testing.assert_allclose(model.backward(g), g * 0.5 * (1 - np.tanh(x) ** 2), rtol=1e-5)
    np.testing.assert_allclose(layer.gain.grad, (g * np.tanh(x)).sum(axis=0), rtol=1e-5)
    assert list(model.state_dict()) == ["1.gain"]


def test_a_module_of_the_user_on_arrays_sees_tensors_without_a_tape_too():
    class ByMethods(nn.Module):
        def forward(self, x):
            return x.view(x.size(0), -1).relu()

    model, x = ByMethods(), numbers((3, 2, 2))
    with minidl.no_grad():
        y = model(x)
    np.testing.assert_array_equal(y, model(x))
    np.testing.assert_array_equal(y, np.maximum(x.reshape(3, 4), 0))


def test_modules_are_found_in_lists_and_dicts_of_modules():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 3)])
            self.heads = nn.ModuleDict({"mean": nn.Linear(3, 1), "scale": nn.Linear(3, 1, bias=False)})

        def forward(self, x):
            for layer in self.layers:
                x = F.relu(layer(x))
            return self.heads["mean"](x) + self.heads["scale"](x)

    model = Net()
    assert [name for name, _ in model.named_parameters()] == [
        "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias",
        "heads.mean.weight", "heads.mean.bias", "heads.scale.weight"]
    assert [parameter.name for parameter in model.parameters()][-1] == "heads.scale.weight"
    assert [name for name, _ in model.named_children()] == ["layers", "heads"]
    assert model(numbers((4, 2))).shape == (4, 1)
    heads = model.heads
    assert list(heads) == ["mean", "scale"] and "mean" in heads and len(heads) == 2
    assert list(heads.keys()) == list(heads) and list(heads.values()) == [heads[name] for name in heads]
    del heads["scale"]
    assert [name for name, _ in heads.items()] == ["mean"]


@pytest.mark.parametrize("make, came", [
    (lambda: nn.Sequential(nn.Linear(2, 2), "ReLU"), "Sequential.*str"),
    (lambda: nn.Sequential([nn.ReLU]), "Sequential.*type"),
    (lambda: nn.ModuleList([3]), "ModuleList.*int"),
    (lambda: nn.ModuleDict({"a": None}), "ModuleDict.*NoneType"),
])
def test_containers_take_modules_alone(make, came):
    with pytest.raises(TypeError, match=came):
        make()


# Parameters, gradients, modes

@pytest.mark.parametrize("module", every_module(), ids=name_of)
def test_param_and_parameters_and_shapes(module):
    pairs = module.param()
    assert len(pairs) == len(module.parameters())
    for (value, gradient), parameter in zip(pairs, module.parameters(), strict=True):
        assert value.shape == gradient.shape == parameter.shape
        assert np.shares_memory(value, parameter.data) and np.shares_memory(gradient, parameter.gradient)
        assert parameter.grad is None
        assert not gradient.any() and value.dtype == np.float32


def test_linear_without_bias():
    layer = nn.Linear(4, 3, bias=False)
    assert layer.bias is None and list(layer.state_dict()) == ["weight"]
    x = numbers((2, 4))
    np.testing.assert_allclose(layer(x), x @ layer.weight.data.T, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_sample_by_sample_gives_the_bits_of_the_batch(dtype):
    """Report 004 runs forward and backward for each sample and steps once for the batch."""
    model, criterion = network(dtype), nn.MSELoss("sum")
    x, y = numbers((16, 2), dtype), numbers((16, 2), dtype, seed=1)
    criterion(model(x), y)
    model.backward(criterion.backward())
    batch = model.flat_gradients.copy()
    model.zero_grad()
    for i in range(len(x)):
        criterion(model(x[i:i + 1]), y[i:i + 1])
        model.backward(criterion.backward())
    assert model.flat_gradients.tobytes() == batch.tobytes()
    model.zero_grad()
    for row, target in zip(x, y, strict=True):  # the report's samples are vectors
        criterion(model.forward(row), target)
        model.backward(criterion.backward())
    assert model.flat_gradients.tobytes() == batch.tobytes()


def test_gradients_accumulate_until_cleared():
    model, x, g = network(), numbers((7, 2)), numbers((7, 2), seed=1)
    model(x)
    model.backward(g)
    once = model.flat_gradients.copy()
    model.backward(g)
    np.testing.assert_allclose(model.flat_gradients, 2 * once, rtol=1e-5)
    model.zero_grad()
    assert not model.flat_gradients.any()


def test_a_prediction_does_not_depend_on_its_batch():
    model, x = network(), numbers((33, 2))
    whole = model(x)
    for i in range(33):
        assert model(x[i:i + 1]).tobytes() == whole[i].tobytes()


def test_train_and_eval_reach_all_modules():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    assert model.eval() is model and not any(module.training for module in model.modules())
    assert model.train() is model and all(module.training for module in model.modules())


# Dropout

def test_dropout_scales_what_it_keeps():
    module, x = nn.Dropout(0.25, generator=0), np.ones((100, 1000), np.float32)
    y = module(x)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    # 100,000 Bernoulli trials: four standard deviations
    assert abs((y == 0).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / y.size)
    np.testing.assert_array_equal(module.backward(x), y)


def test_dropout_in_evaluation_and_at_zero_is_the_identity():
    x = numbers((3, 4))
    for module in (nn.Dropout(0.9).eval(), nn.Dropout(0.0)):
        assert module(x) is x and module.backward(x) is x


def test_dropout_draws_anew_and_from_its_seed():
    x = np.ones((8, 8), np.float32)
    module = nn.Dropout(generator=5)
    first, second = module(x), module(x)
    assert (first != second).any()
    again = nn.Dropout(generator=np.random.default_rng(5))
    np.testing.assert_array_equal(again(x), first)
    minidl.manual_seed(1)
    own_stream = nn.Dropout()(x)
    minidl.manual_seed(1)
    np.testing.assert_array_equal(nn.Dropout()(x), own_stream)


def test_the_global_generator_is_not_touched():
    before = np.random.get_state()[1].tobytes()
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout())
    model(numbers((2, 3)))
    assert np.random.get_state()[1].tobytes() == before


@pytest.mark.parametrize("p", [-0.1, 1.5, float("inf"), float("nan")])
def test_dropout_outside_its_range(p):
    with pytest.raises(ValueError, match=r"Dropout: expected a probability 0 <= p <= 1, got"):
        nn.Dropout(p)


def test_dropout_of_integers():
    with pytest.raises(TypeError, match=r"Dropout\(p=0.5\): expected a float32 or float64 array, got int64"):
        nn.Dropout()(np.ones((2, 2), np.int64))


# State

def test_state_dict_has_copies():
    model = network()
    state = model.state_dict()
    assert {name: value.shape for name, value in state.items()} == {
        "0.weight": (5, 2), "0.bias": (5,), "2.weight": (2, 5), "2.bias": (2,)}
    state["0.bias"][:] = 7
    assert not (model[0].bias.data == 7).any()


def test_load_state_dict_copies_into_place():
    model, other = network(), nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 2))
    flat = other.flat_parameters
    state = model.state_dict()
    other.load_state_dict(state)
    np.testing.assert_array_equal(flat, model.flat_parameters)
    state["0.bias"][:] = 7
    np.testing.assert_array_equal(flat, model.flat_parameters)


@pytest.mark.parametrize("change, error, message", [
    (lambda s: s.pop("2.bias"), ValueError, r"load_state_dict: missing \['2.bias'\], unexpected nothing"),
    (lambda s: s.update(more=s["0.bias"]), ValueError,
     r"load_state_dict: missing nothing, unexpected \['more'\]"),
    (lambda s: s.update({"2.weight": s["2.weight"].T}), ValueError,
     r"load_state_dict: 2.weight: expected shape \(2, 5\), got \(5, 2\)"),
    (lambda s: s.update({"2.bias": s["2.bias"].astype(np.float64)}), TypeError,
     r"load_state_dict: 2.bias: expected dtype float32, got float64"),
    (lambda s: s.update({"2.bias": [[1], [2, 3]]}), ValueError, "inhomogeneous|2.bias"),
])
def test_load_state_dict_of_what_does_not_fit_changes_nothing(change, error, message):
    model = network()
    before = model.flat_parameters.copy()
    state = {name: value + 1 for name, value in model.state_dict().items()}
    change(state)
    with pytest.raises(error, match=message):
        model.load_state_dict(state)
    np.testing.assert_array_equal(model.flat_parameters, before)


def test_load_state_dict_of_a_file_name():
    with pytest.raises(TypeError, match="load_state_dict: expected arrays by their names, got str"):
        network().load_state_dict("weights.npz")


# Copies

@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
                         ids=["deepcopy", "pickle"])
def test_a_copy_is_equal_and_apart(duplicate):
    model = nn.Sequential(*network(), Scaled(2))
    x, g = numbers((4, 2)), numbers((4, 2), seed=1)
    y = model(x)
    model.backward(g)
    twin = duplicate(model)
    np.testing.assert_array_equal(twin(x), y)
    np.testing.assert_array_equal(twin.flat_gradients, model.flat_gradients)
    for parameter in twin.parameters():
        parameter.data += 1
    np.testing.assert_array_equal(model(x), y)
    assert np.shares_memory(twin.flat_parameters, twin[0].weight.data)


def test_a_copy_has_forgotten_the_forward():
    model = network()
    model(numbers((4, 2)))
    with pytest.raises(RuntimeError, match="backward called before forward"):
        copy.deepcopy(model).backward(numbers((4, 2)))


def test_a_copy_keeps_what_is_shared():
    twice = nn.Linear(3, 3)
    twin = copy.deepcopy(nn.Sequential(twice, twice))
    assert twin[0] is twin[1] and len(twin.parameters()) == 2


def test_the_copy_of_model_and_optimizer_trains_as_the_original():
    model, x, g = network(), numbers((4, 2)), numbers((4, 2), seed=1)
    optimizer = optim.Adam(model.parameters())
    twins = copy.deepcopy((model, optimizer))
    for m, o in ((model, optimizer), twins):
        m(x)
        m.backward(g)
        o.step()
    np.testing.assert_array_equal(model.flat_parameters, twins[0].flat_parameters)


# What it looks like

def test_repr_and_summary():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False),
                          nn.Sequential(nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(10, 2)))
    assert repr(model) == """Sequential(
  (0): Flatten(start_dim=1, end_dim=-1)
  (1): Linear(784, 10, bias=False)
  (2): Sequential(
    (0): LeakyReLU(negative_slope=0.2)
    (1): Dropout(p=0.1)
    (2): Linear(10, 2)
  )
)"""
    rows = [line.split() for line in model.summary().splitlines()]
    assert ["1", "Linear(784,", "10,", "bias=False)", "7,840"] in rows
    assert ["2.2", "Linear(10,", "2)", "22"] in rows and rows[-1] == ["total", "7,862"]
    assert repr(nn.MSELoss("sum")) == "MSELoss(reduction='sum')" and repr(nn.ReLU()) == "ReLU()"


# Bad input

@pytest.mark.parametrize("arguments, message", [
    ((0, 3), "in_features to be a positive integer, got 0"),
    ((3, -1), "out_features to be a positive integer, got -1"),
    ((2.5, 3), "in_features to be a positive integer, got 2.5"), (("2", 3), "in_features"),
])
def test_linear_of_bad_sizes(arguments, message):
    with pytest.raises(ValueError, match=f"Linear: expected {message}"):
        nn.Linear(*arguments)


def test_linear_of_a_dtype_without_kernels():
    with pytest.raises(TypeError, match="expected float32 or float64, got int32"):
        nn.Linear(2, 3, dtype=np.int32)
    with pytest.raises(TypeError, match="expected float32 or float64, got float16"):
        nn.Linear(2, 3, dtype=np.float16)


@pytest.mark.parametrize("x, error, message", [
    (numbers((64, 100)), ValueError,
     r"Linear\(784, 128\): expected input of shape \(N, 784\), got \(64, 100\)"),
    (numbers((64,)), ValueError, r"Linear\(784, 128\): expected input of shape \(N, 784\), got \(64,\)"),
    (np.array(1, np.float32), ValueError,
     r"Linear\(784, 128\): expected input of shape \(N, 784\), got \(\)"),
    (numbers((64, 784), np.float64), TypeError,
     r"Linear\(784, 128\): expected input of dtype float32, got float64"),
    (np.ones((64, 784), np.uint8), TypeError,
     r"Linear\(784, 128\): expected input of dtype float32, got uint8"),
    ([[1.0] * 784], TypeError, r"Linear\(784, 128\): expected input of dtype float32, got list"),
    (None, TypeError, r"Linear\(784, 128\): expected input of dtype float32, got NoneType"),
])
def test_linear_of_bad_input(x, error, message):
    with pytest.raises(error, match=message):
        nn.Linear(784, 128)(x)


@pytest.mark.parametrize("x, came", [
    (np.ones((2, 3), np.int64), "int64"), (np.ones((2, 3), np.float16), "float16"), ([1.0, 2.0], "list"),
    (1.0, "float"),
])
@pytest.mark.parametrize("name, settings", ACTIVATIONS)
def test_activation_of_bad_input(name, settings, x, came):
    with pytest.raises(TypeError, match=f"expected a float32 or float64 array, got {came}"):
        getattr(nn, name)(**settings)(x)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0), (2, 0, 4)])
@pytest.mark.parametrize("name, settings", ACTIVATIONS)
def test_activation_of_an_empty_array_is_empty(name, settings, shape):
    module = getattr(nn, name)(**settings)
    y = module(np.empty(shape, np.float32))
    assert y.shape == module.backward(y).shape == shape


@pytest.mark.parametrize("shape", [(), (4,)])
def test_flatten_of_too_few_axes(shape):
    with pytest.raises(ValueError, match=r"Flatten.*expected an input that has these axes.*got shape"):
        nn.Flatten()(np.ones(shape, np.float32))
    with pytest.raises(ValueError, match=r"Flatten.*in this order"):
        nn.Flatten(2, 1)(np.ones((2, 2, 2), np.float32))


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_softmax_along_an_axis_that_is_not_there(name):
    with pytest.raises(ValueError, match=r"out of bounds|dim"):
        getattr(nn, name)(dim=2)(numbers((2, 3)))


@pytest.mark.parametrize("module", [*every_module(), nn.Sequential(), Scaled(4)], ids=name_of)
def test_backward_before_forward(module):
    with pytest.raises(RuntimeError,
                       match=rf"^{type(module).__name__}\(.*\): backward called before forward"):
        copy.deepcopy(module).backward(numbers((2, 4)))


@pytest.mark.parametrize("module", every_module(), ids=name_of)
def test_gradient_of_another_shape_or_dtype(module):
    y = module(numbers((6, 4)))
    for shape in [(6, y.shape[1] + 1), (5, y.shape[1]), (y.size + 1,), ()]:
        with pytest.raises(ValueError, match=r"expected gradient of shape \(6, \d\), got \("):
            module.backward(np.ones(shape, np.float32))
    for wrong in (y.astype(np.float64), y.astype(np.int32), y.tolist(), None):
        with pytest.raises(TypeError,
                           match=r"expected gradient of dtype float32, got (float64|int32|list|NoneType)"):
            module.backward(wrong)
    assert all(parameter.grad is None and not parameter.gradient.any() for parameter in module.parameters())


def test_a_module_without_forward():
    with pytest.raises(NotImplementedError, match="Module defines no forward"):
        nn.Module()(numbers((2, 2)))
    with pytest.raises(NotImplementedError, match="ModuleList defines no forward"):
        nn.ModuleList()(numbers((2, 2)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout_of_everything(dtype):
    x, g = numbers((7, 5), dtype), numbers((7, 5), dtype, seed=1)
    module = nn.Dropout(1.0, generator=0)
    zeros = np.zeros_like(x)
    np.testing.assert_array_equal(module(x), zeros)
    np.testing.assert_array_equal(module.backward(g), zeros)
    np.testing.assert_array_equal(F.dropout(x, 1, generator=0), zeros)
    for drop in (module, lambda z: F.dropout(z, 1.0, generator=0)):
        tensor = minidl.tensor(x, requires_grad=True)
        drop(tensor).backward(g)
        np.testing.assert_array_equal(tensor.grad, zeros)
    assert module.eval()(x) is x


def test_a_captured_dropout_of_everything():
    x, y = numbers((7, 5)), np.arange(7) % 3
    model = nn.Sequential(nn.Linear(5, 4, generator=0), nn.Dropout(1.0, generator=0), nn.Linear(4, 3, generator=1))
    first = model[0].weight.data.copy()
    minidl.capture(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))(x, y)
    np.testing.assert_array_equal(model[0].weight.data, first)
    assert not model[0].weight.grad.any() and model[2].bias.grad.any()


def test_a_composition_of_operations_is_an_activation_by_its_row_and_its_class():
    def gate(x, beta=1.0):
        s = F.sigmoid(x * beta)
        return x * s, s

    def derivative(g, s, x, beta=1.0):
        return g * (s + beta * x * s * (1 - s))

    swish = F.Operation("swish", gate, derivative, settings=("beta",), saves=True, reads=("0",))

    class Swish(nn.activations.Activation):
        operation = swish

        def __init__(self, beta=1.0):
            self.settings = {"beta": beta}

    def make():
        minidl.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 5), Swish(1.5), nn.Linear(5, 3))
        return model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)

    (model, criterion, optimizer), (other, *rest) = make(), make()
    step, rng = minidl.capture(other, *rest), np.random.default_rng(0)
    for _ in range(5):
        x, y = rng.standard_normal((6, 4)).astype(np.float32), rng.integers(0, 3, 6)
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()
        assert step(x, y) == loss
    assert step.path == "compiled"
    np.testing.assert_array_equal(other.flat_parameters, model.flat_parameters)


@pytest.mark.parametrize("beta", [0, -1.0, np.nan])
def test_softplus_refuses_a_beta_that_is_not_above_zero(beta):
    with pytest.raises(ValueError, match="Softplus: expected beta above 0, got"):
        nn.Softplus(beta)
