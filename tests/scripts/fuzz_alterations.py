"""What may be altered between two steps, or in the middle of one: each is done to a plain and to a captured side alike.

alteration(side, rng): side has model, criterion, optimizer, x, y, index; rng gives both sides the same choices.
An alteration that does not apply, or that the library refuses itself, raises; the step must be right all the same.
"""
from __future__ import annotations

import copy
import random

import numpy as np
from fuzz_arrays import Odd, refuse

import minidl
from minidl import nn, optim
from minidl.autograd import storage
from minidl.autograd.parameter import Parameter
from minidl.autograd.tensor import Tensor

ALTERATIONS = {}


def alteration(function):
    ALTERATIONS[function.__name__] = function
    return function


def numbers(rng: random.Random, shape, dtype) -> np.ndarray:
    return np.random.default_rng(rng.randrange(1 << 30)).standard_normal(shape).astype(dtype)


def linears(side) -> list[nn.Linear]:
    return [module for module in side.model.modules() if isinstance(module, nn.Linear)]


def parameter(side, rng) -> Parameter:
    return rng.choice(side.model.parameters())


def group(side, rng) -> dict:
    return rng.choice(side.optimizer.param_groups)


def flat(side, rng):
    """Where the optimizer keeps the state of a group."""
    return rng.choice(list(side.optimizer._flats))


def new_parameter(side, rng, shape=None, **options) -> Parameter:
    shape = shape or rng.choice([(3,), (40, 50), (1,), (5000,)])
    made = Parameter(numbers(rng, shape, rng.choice((side.dtype, side.dtype, np.float64))), **options)
    if rng.random() < 0.7:
        made.grad = np.ones(shape, made.dtype)
    return made


# Values

@alteration
def values_written(side, rng):
    p = parameter(side, rng)
    p.data[...] = numbers(rng, p.shape, p.dtype)


@alteration
def values_assigned(side, rng):
    p = parameter(side, rng)
    p.data = numbers(rng, p.shape, p.dtype)


@alteration
def values_not_finite(side, rng):
    parameter(side, rng).data[...] = rng.choice((np.nan, np.inf))


@alteration
def gradient_written(side, rng):
    p = parameter(side, rng)
    p.grad = rng.choice((None, np.ones(p.shape, p.dtype)))


@alteration
def weights_loaded(side, rng):
    state = {name: numbers(rng, value.shape, value.dtype) for name, value in side.model.state_dict().items()}
    side.model.load_state_dict(state)


@alteration
def array_read_only(side, rng):
    p = parameter(side, rng)
    rng.choice((p.data, p.grad if p.grad is not None else p.data)).flags.writeable = False


@alteration
def array_resized(side, rng):
    """A Parameter's array is a view, which refuses; a Tensor's own is resized."""
    for module in linears(side):
        for value in (module.weight, module.bias):
            if value is not None:
                array = rng.choice((value.data, value.grad))
                size = rng.choice((0, 1, array.size * 3))
                if array.base is None:
                    array.resize(size, refcheck=False)


@alteration
def frozen(side, rng):
    p = parameter(side, rng)
    p.requires_grad = not p.requires_grad


@alteration
def zero_grad(side, rng):
    rng.choice((side.optimizer, side.model)).zero_grad()


# Modules

@alteration
def bias_strided(side, rng):
    module = rng.choice(linears(side))
    n = module.out_features
    lying = rng.choice((lambda a: a[::-1], lambda a: np.repeat(a, 2)[::2], lambda a: np.broadcast_to(a[:1], a.shape)))
    module.bias = Tensor(lying(numbers(rng, n, side.dtype)))
    module.bias.grad = rng.choice((np.zeros(n, side.dtype), lying(np.zeros(n, side.dtype)), None))


@alteration
def weight_strided(side, rng):
    module = rng.choice(linears(side))
    o, i = module.out_features, module.in_features
    lying = rng.choice((lambda a: a, lambda a: a.T.copy().T, np.flip, lambda a: a[:, ::-1].T.copy()[::-1].T,
                        lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2]))
    module.weight = Tensor(lying(numbers(rng, (o, i), side.dtype)))
    module.weight.grad = rng.choice((lying(np.zeros((o, i), side.dtype)), np.zeros((o, i), side.dtype), None))


@alteration
def weight_gradient_of_another_shape(side, rng):
    module = rng.choice(linears(side))
    name = rng.choice(("weight", "bias"))
    shape = (module.out_features, module.in_features)[:2 if name == "weight" else 1]
    replaced = Tensor(np.asfortranarray(numbers(rng, shape, side.dtype)), requires_grad=True)
    replaced.grad = np.zeros([rng.choice((0, 1, n - 1, n + 1)) for n in shape], side.dtype, order="F")
    setattr(module, name, replaced)


@alteration
def weight_replaced(side, rng):
    module = rng.choice(linears(side))
    name = rng.choice(("weight", "bias"))
    shape = (module.out_features, module.in_features)[:2 if name == "weight" else 1]
    if rng.random() < 0.3:
        shape = tuple(max(n + rng.choice((-1, 1)), 1) for n in shape)
    setattr(module, name, rng.choice((
        lambda: None, lambda: new_parameter(side, rng, shape), lambda: new_parameter(side, rng, shape, order="F"),
        lambda: Parameter(numbers(rng, shape, side.dtype), order="F"), lambda: numbers(rng, shape, side.dtype),
        lambda: "text"))())


@alteration
def attribute_deleted(side, rng):
    delattr(rng.choice(linears(side)), rng.choice(("weight", "bias")))


@alteration
def module_added(side, rng):
    minidl.manual_seed(5)
    made = rng.choice((nn.Tanh, nn.Identity, lambda: nn.Sequential(nn.ReLU()), lambda: nn.Dropout(0.4, generator=1),
                       lambda: nn.Linear(side.width, side.width, dtype=side.dtype), lambda: nn.Linear(2, 3), object))()
    side.model.insert(rng.randrange(len(side.model) + 1), made)


@alteration
def module_removed(side, rng):
    side.model.pop(rng.randrange(len(side.model)))


@alteration
def module_replaced(side, rng):
    minidl.manual_seed(6)
    i = rng.randrange(len(side.model))
    old = side.model[i]
    side.model[i] = copy.deepcopy(old) if rng.random() < 0.5 else nn.LeakyReLU(0.3)


@alteration
def module_twice(side, rng):
    side.model.append(rng.choice(list(side.model)))


@alteration
def module_settings(side, rng):
    for module in side.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rng.choice((0.0, 0.3, 0.9, "x", None, Odd(0.5, refuse)))
        elif hasattr(module, "settings"):
            for name in module.settings:
                module.settings[name] = rng.choice((0.2, -0.5, None, 1e300))


@alteration
def mode(side, rng):
    side.model.train(not side.model.training)


@alteration
def reduction(side, rng):
    side.loss.reduction = rng.choice(("mean", "sum", "none", "other", None))


# The optimizer's groups

@alteration
def parameter_added(side, rng):
    group(side, rng)["params"].append(new_parameter(side, rng))


@alteration
def parameter_of_the_model_added(side, rng):
    group(side, rng)["params"].append(parameter(side, rng))


@alteration
def parameter_removed(side, rng):
    members = group(side, rng)["params"]
    members.pop(rng.randrange(len(members)))


@alteration
def parameters_permuted(side, rng):
    rng.shuffle(group(side, rng)["params"])


@alteration
def parameters_replaced(side, rng):
    members = [new_parameter(side, rng) for _ in range(rng.randint(0, 3))]
    dict.__setitem__(group(side, rng), "params", rng.choice((members, tuple(members), None, [1, 2], list(reversed(
        group(side, rng)["params"])))))


@alteration
def group_added(side, rng):
    new = {**side.optimizer.param_groups[0], "params": [new_parameter(side, rng)]}
    if rng.random() < 0.5 and hasattr(side.optimizer, "add_param_group"):
        side.optimizer.add_param_group(new)
    else:
        side.optimizer.param_groups.append(new)


@alteration
def group_removed(side, rng):
    side.optimizer.param_groups.pop()


@alteration
def groups_replaced(side, rng):
    groups = side.optimizer.param_groups
    side.optimizer.param_groups = rng.choice((list(groups), tuple(groups), [dict(g) for g in groups], [], None,
                                              [{"params": [new_parameter(side, rng)]}]))


@alteration
def setting(side, rng):
    chosen = group(side, rng)
    chosen["lr"] = rng.choice((0.0, 0.02, 1.5))


@alteration
def setting_of_another_rule(side, rng):
    chosen = group(side, rng)
    name = rng.choice(sorted(set(chosen) - {"params"}))
    value = rng.choice((0.0, 0.5, True, False)) if name != "betas" else (0.5, rng.choice((0.0, 0.9)))
    chosen[name] = value


@alteration
def setting_wrong(side, rng):
    chosen = group(side, rng)
    name = rng.choice(sorted(set(chosen) - {"params"}))
    dict.__setitem__(chosen, name, rng.choice((
        None, "text", 1 << 2000, float("nan"), 1j, (), (1,), (0.1, 0.2, 0.3), Odd(0.1, refuse), np.zeros(3),
        Tensor(0.1))))


@alteration
def setting_deleted(side, rng):
    chosen = group(side, rng)
    dict.__delitem__(chosen, rng.choice(sorted(chosen)))


# The optimizer's state

@alteration
def state_replaced(side, rng):
    state = flat(side, rng).state
    name = rng.choice(sorted(state))
    n = state[name].size
    state[name] = rng.choice((
        np.zeros(0, side.dtype), np.zeros(1, side.dtype), np.ones(n, side.dtype), np.ones(n + 7, side.dtype),
        np.ones(n, np.float16), np.zeros(2 * n, side.dtype)[::2], np.zeros(n, side.dtype)[::-1],
        np.zeros((n, 1), side.dtype),
        [0.0] * n, None, np.broadcast_to(np.zeros(1, side.dtype), n)))


@alteration
def state_resized(side, rng):
    state = flat(side, rng).state
    name = rng.choice(sorted(state))
    state[name] = own = np.array(state[name])
    own.resize(rng.choice((0, 1, own.size * 2)), refcheck=False)


@alteration
def state_read_only(side, rng):
    state = flat(side, rng).state
    state[rng.choice(sorted(state))].flags.writeable = False


@alteration
def state_deleted(side, rng):
    state = flat(side, rng).state
    rng.choice((state.clear, lambda: state.pop(rng.choice(sorted(state)))))()


@alteration
def state_written(side, rng):
    state = flat(side, rng).state
    state[rng.choice(sorted(state))][...] = 0.25


@alteration
def state_loaded(side, rng):
    side.optimizer.load_state_dict(side.optimizer.state_dict())


@alteration
def count_changed(side, rng):
    flat(side, rng).step = rng.choice((0, 5, -3, 1 << 70, None, "x"))


# Where things lie

@alteration
def storage_moved(side, rng):
    parameters = side.model.parameters()
    chosen = rng.choice((parameters, parameters[::-1], parameters[1:], parameters[:1]))
    rng.choice((lambda: storage.flatten([*nn.Linear(2, 2, dtype=side.dtype).parameters(), *chosen]),
                lambda: storage.flatten(chosen), lambda: side.model.flat_parameters,
                lambda: side.model[0].flat_parameters))()


@alteration
def second_optimizer(side, rng):
    parameters = side.model.parameters()
    side.kept = optim.Adam(rng.choice((parameters, parameters[::-1], parameters[:1])), lr=0.0)
    if rng.random() < 0.5:
        side.kept.step()


@alteration
def parameter_moved(side, rng):
    p = parameter(side, rng)
    store = storage.Store(p.numel() + rng.choice((0, 5)), p.dtype)
    p.move(store, 0)


# The batch

@alteration
def batch_written(side, rng):
    side.x[...] = numbers(rng, side.x.shape, side.x.dtype)


@alteration
def labels_written(side, rng):
    if side.y.dtype.kind == "i":
        side.y[...] = rng.choice((0, 1, -1, 1 << 40, -(1 << 62)))
    else:
        side.y[...] = 1


@alteration
def index_written(side, rng):
    side.index[...] = rng.choice((0, 1, -1, 1 << 40, -(1 << 62)))


@alteration
def batch_resized(side, rng):
    for a in rng.sample([side.x, side.y, side.index], 2):
        a.resize(rng.choice((0, 1)), refcheck=False)


# Others

@alteration
def threads(side, rng):
    minidl.set_num_threads(rng.choice((1, 2, 3)))


@alteration
def criterion_replaced(side, rng):
    if side.step is not None:
        side.step.criterion = rng.choice((None, nn.MSELoss("none"), side.criterion))


@alteration
def predicted(side, rng):
    side.model.predict(numbers(rng, (rng.choice((0, 1, 9, 300)), side.x.shape[1]), side.dtype))


@alteration
def copied(side, rng):
    copy.deepcopy(side.model)
    copy.deepcopy(side.optimizer)
