"""The optimizers against PyTorch's, and what the flat layout must not change."""
from __future__ import annotations

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
from theirs import torch

from minidl.autograd import storage
from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Adadelta, Adam, AdamW, Optimizer, flat

SHAPES = [(5, 7), (7,), (), (3, 2, 4)]
EVERY = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (Adam, {"lr": 0.1, "weight_decay": 0.1}),
    (AdamW, {"lr": 0.1}),
    (Adadelta, {"weight_decay": 0.1}),
]


def arrays(seed=0, shapes=SHAPES, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def parameters(seed=0, shapes=SHAPES, dtype=np.float32):
    return [Parameter(a, f"p{i}", "F" if i % 2 else "C") for i, a in enumerate(arrays(seed, shapes, dtype))]


def set_gradients(params, seed):
    for p, g in zip(params, arrays(seed, [p.shape for p in params], params[0].dtype), strict=True):
        p.grad = g


def train(opt, params, seeds):
    for seed in seeds:
        set_gradients(params, seed)
        opt.step()


def bits(params):
    return [p.data.tobytes() for p in params]


def assert_near(mine, theirs, dtype):
    """Equal to 1e-12 (float64) or 1e-5 (float32) of the size of the array."""
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


def compare_with_torch(kind, settings, dtype, steps, groups=None):
    """Train twins on the same gradients; ``groups`` gives the settings of each half of the parameters."""
    ours = parameters(dtype=dtype)
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]

    def make(cls, params):
        if groups is None:
            return cls(params, **settings)
        return cls([{"params": params[:2], **groups[0]}, {"params": params[2:], **groups[1]}], **settings)

    opt, reference = make(kind, ours), make(getattr(torch.optim, kind.__name__), theirs)
    for seed in range(1, steps + 1):
        set_gradients(ours, seed)
        for p, t in zip(ours, theirs, strict=True):
            t.grad = torch.tensor(p.grad)
        opt.step()
        reference.step()
    for p, t in zip(ours, theirs, strict=True):
        assert_near(p.data, t.detach().numpy(), dtype)


def combinations(**choices):
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


SGD_SETTINGS = [
    s for s in combinations(momentum=[0, 0.9], dampening=[0, 0.3], weight_decay=[0, 0.1],
                            nesterov=[False, True], maximize=[False, True])
    if not s["nesterov"] or (s["momentum"] and not s["dampening"])
]
ADAM_SETTINGS = combinations(betas=[(0.9, 0.999), (0.5, 0.6), (0.0, 0.0)], eps=[1e-8, 1e-2],
                             weight_decay=[0, 0.1])
ADADELTA_SETTINGS = combinations(rho=[0.9, 0.0], eps=[1e-6, 1e-2], weight_decay=[0, 0.1])
ALL_SETTINGS = (
    [(SGD, s) for s in SGD_SETTINGS] + [(Adam, s) for s in ADAM_SETTINGS]
    + [(AdamW, s) for s in ADAM_SETTINGS] + [(Adadelta, s) for s in ADADELTA_SETTINGS]
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("steps", [1, 10])
@pytest.mark.parametrize(("kind", "settings"), ALL_SETTINGS)
def test_every_setting_against_torch(kind, settings, steps, dtype):
    compare_with_torch(kind, {"lr": 0.01, **settings}, dtype, steps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lr", [0, 1e-8, 1e3])
@pytest.mark.parametrize(("kind", "settings"), EVERY)
def test_absurd_rates_against_torch(kind, settings, lr, dtype):
    for steps in (1, 10):
        compare_with_torch(kind, {**settings, "lr": lr}, dtype, steps)


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, Adadelta])
def test_defaults_are_torchs(kind):
    compare_with_torch(kind, {}, np.float64, 10)


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, Adadelta])
def test_groups_against_torch(kind):
    compare_with_torch(kind, {"lr": 0.1}, np.float64, 10, groups=[{"lr": 0.01}, {"weight_decay": 0.2}])


@pytest.mark.parametrize(("kind", "settings"), EVERY)
def test_diverging_is_silent(kind, settings):
    params = parameters()
    opt = kind(params, **{**settings, "lr": 1e30})
    params[0].gradient[:] = 1e30
    params[1].gradient[:] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            opt.step()


# The reports' momentum.

def test_momentum_of_report_001():
    mu, lr = 0.8, 0.05
    params = parameters(dtype=np.float64)
    opt = SGD(params, lr=lr, momentum=mu)
    weights, velocity = [p.data.copy() for p in params], [np.zeros(p.shape) for p in params]
    for seed in range(1, 11):
        train(opt, params, [seed])
        for i, p in enumerate(params):
            velocity[i] = mu * velocity[i] + lr * p.grad
            weights[i] = weights[i] - velocity[i]
            assert_near(p.data, weights[i], np.float64)


def test_momentum_of_report_003():
    beta, lr = 0.8, 0.05
    params = parameters(dtype=np.float64)
    opt = SGD(params, lr=lr * (1 - beta), momentum=beta)
    weights, mean = [p.data.copy() for p in params], [np.zeros(p.shape) for p in params]
    for seed in range(1, 11):
        train(opt, params, [seed])
        for i, p in enumerate(params):
            mean[i] = beta * mean[i] + (1 - beta) * p.grad
            weights[i] = weights[i] - lr * mean[i]
            assert_near(p.data, weights[i], np.float64)


# Groups and settings.

@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, Adadelta])
def test_the_groups_are_where_the_settings_live(kind):
    params = parameters()
    opt = kind([{"params": params[:1], "lr": 0.5}, {"params": iter(params[1:])}], lr=0.25)
    assert [group["lr"] for group in opt.param_groups] == [0.5, 0.25]
    assert opt.param_groups[1]["params"] == params[1:]
    assert opt.lr == 0.5
    opt.lr = np.float32(0.125)
    assert [group["lr"] for group in opt.param_groups] == [0.125, 0.125]
    opt.param_groups[0]["lr"] = 0
    before = bits(params)
    train(opt, params, [1])
    assert bits(params)[0] == before[0]
    assert bits(params)[1] != before[1]


def test_parameters_may_come_from_a_generator():
    params = parameters()
    assert SGD(p for p in params).param_groups[0]["params"] == params


def test_settings_are_kept_as_python_numbers():
    opt = Adam(parameters(), lr=np.float64(0.1), betas=[np.float32(0.5), 0])
    assert type(opt.lr) is float
    assert opt.param_groups[0]["betas"] == (0.5, 0.0)


def test_momentum_can_be_turned_on_later():
    def run(momentum):
        params = parameters()
        opt = SGD(params, lr=0.1, momentum=momentum)
        return opt, params

    late, a = run(0)
    late.param_groups[0]["momentum"] = 0.9
    early, b = run(0.9)
    train(late, a, range(1, 4))
    train(early, b, range(1, 4))
    assert bits(a) == bits(b)


# Gradients.

@pytest.mark.parametrize("flag", [(), (True,), (False,)])
def test_zero_grad_is_pytorchs(flag):
    params = parameters()
    opt = SGD(params)
    set_gradients(params[1:], 1)
    arrays_before = [p.gradient for p in params]
    opt.zero_grad(*flag)
    assert params[0].grad is None
    for p, g in zip(params, arrays_before, strict=True):
        assert p.gradient is g and not g.any()
        if p is not params[0]:
            assert p.grad is (g if flag == (False,) else None)


@pytest.mark.parametrize(("kind", "settings"), [*EVERY, (SGD, {"maximize": True, "weight_decay": 0.1})])
def test_step_leaves_the_gradients_alone(kind, settings):
    params = parameters()
    opt = kind(params, **settings)
    set_gradients(params, 1)
    before = [p.grad.tobytes() for p in params]
    opt.step()
    assert [p.grad.tobytes() for p in params] == before


# The flat layout.

@pytest.mark.parametrize(("kind", "settings"), EVERY)
def test_parameters_stay_where_they_are(kind, settings):
    """An array that was taken from a parameter before there was an optimizer remains the parameter's."""
    params = parameters()
    taken = [(p.data, p.gradient) for p in params]
    moves = storage.moves()
    opt = kind([{"params": params[::2]}, {"params": params[1::2]}], **settings)
    train(opt, params, [1, 2])
    assert storage.moves() == moves
    for p, (data, gradient) in zip(params, taken, strict=True):
        assert p.data is data and p.gradient is gradient


def test_parameters_of_a_larger_store_stay_there():
    params = parameters()
    storage.flatten(params)
    moves, store = storage.moves(), params[0].store
    opt = SGD([{"params": params[::2]}, {"params": params[1::2]}])
    assert storage.moves() == moves
    train(opt, params, [1])
    assert all(p.store is store for p in params)


@pytest.mark.parametrize(("kind", "settings"), EVERY)
def test_the_layout_does_not_change_a_bit(kind, settings):
    together, apart, moved = parameters(), parameters(), parameters()
    storage.flatten(apart[::-1])
    train(kind(together, **settings), together, range(1, 6))
    train(kind(apart, **settings), apart, range(1, 6))
    opt = kind(moved, **settings)
    train(opt, moved, range(1, 3))
    storage.flatten([*parameters(seed=9), *moved[::-1]])
    train(opt, moved, range(3, 6))
    assert bits(together) == bits(apart) == bits(moved)


def test_zero_grad_follows_parameters_that_moved():
    params = parameters()
    opt = SGD(params)
    storage.flatten([*parameters(seed=9), *params])
    set_gradients(params, 1)
    opt.zero_grad()
    assert not any(p.gradient.any() for p in params)


@pytest.mark.parametrize("block", [1, 7, 16, 10_000])
@pytest.mark.parametrize(("kind", "settings"), EVERY)
def test_blocks_do_not_change_a_bit(kind, settings, block, monkeypatch):
    whole, cut = parameters(), parameters()
    train(kind(whole, **settings), whole, range(1, 5))
    monkeypatch.setattr(flat, "BLOCK", block)
    train(kind(cut, **settings), cut, range(1, 5))
    assert bits(whole) == bits(cut)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_around_the_real_block_size(extra):
    a = Parameter(arrays(shapes=[(2 * flat.BLOCK + extra,)])[0])
    before = a.data.copy()
    train(SGD([a], lr=0.5), [a], [1])
    np.testing.assert_array_equal(a.data, before - np.float32(0.5) * a.grad)


def test_an_empty_parameter_is_harmless():
    params = [Parameter(np.zeros((0, 3), np.float32)), Parameter(np.ones(2, np.float32))]
    params[1].gradient[:] = 1
    SGD(params, lr=1).step()
    assert params[1].data.tolist() == [0, 0]


# Saving and going on.

@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize(("kind", "settings"), EVERY)
def test_a_loaded_state_goes_on_bit_for_bit(kind, settings, steps):
    params = parameters()
    opt = kind([{"params": params[:2]}, {"params": params[2:], "lr": 0.02}], **settings)
    train(opt, params, range(1, steps + 1))
    state = pickle.loads(pickle.dumps(opt.state_dict()))
    copies = parameters()
    other = kind([{"params": copies[:2]}, {"params": copies[2:]}], lr=3)
    train(other, copies, [8])
    other.load_state_dict(state)
    for p, c in zip(params, copies, strict=True):
        c.data = p.data
    train(opt, params, range(5, 9))
    train(other, copies, range(5, 9))
    assert bits(params) == bits(copies)
    assert other.param_groups[1]["lr"] == 0.02


def test_a_state_is_plain():
    params = parameters()
    opt = Adam(params)
    train(opt, params, [1])
    state = opt.state_dict()
    assert state["state"][0].keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert state["state"][0]["exp_avg"].shape == (sum(p.data.size for p in params),)
    assert state["param_groups"] == [{"params": SHAPES, "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8,
                                      "weight_decay": 0.0, "amsgrad": False, "maximize": False}]


def test_states_are_copies():
    params = parameters()
    opt = Adam(params)
    train(opt, params, [1])
    state = opt.state_dict()
    saved = copy.deepcopy(state)
    opt.load_state_dict(state)
    train(opt, params, [2])
    np.testing.assert_equal(state, saved)


def spoil(path, value):
    def change(state):
        *parents, last = path
        for key in parents:
            state = state[key]
        if value is None:
            del state[last]
        else:
            state[last] = value
    return change


@pytest.mark.parametrize("change", [
    spoil(["state"], None),
    spoil(["param_groups"], None),
    spoil(["state", 1], None),
    spoil(["param_groups", 1], None),
    spoil(["state", 1, "exp_avg"], None),
    spoil(["state", 1, "exp_avg"], np.zeros(3, np.float32)),
    spoil(["state", 1, "exp_avg"], np.zeros(25, np.float64)),
    spoil(["state", 1, "other"], np.zeros(25, np.float32)),
    spoil(["state", 1, "step"], None),
    spoil(["state", 1, "step"], -1),
    spoil(["state", 1, "step"], 1.5),
    spoil(["param_groups", 1, "lr"], None),
    spoil(["param_groups", 1, "lr"], -1.0),
    spoil(["param_groups", 1, "betas"], (0.9, 1.0)),
    spoil(["param_groups", 1, "momentum"], 0.9),
    spoil(["param_groups", 1, "params"], [(), (24,)]),
    spoil(["param_groups", 1, "params"], None),
])
def test_a_wrong_state_changes_nothing(change):
    params = parameters()
    opt = Adam([{"params": params[:2]}, {"params": params[2:]}])
    train(opt, params, [1])
    before = opt.state_dict()
    state = opt.state_dict()
    state["state"][0]["exp_avg"][:] = 7
    state["param_groups"][0]["lr"] = 7.0
    change(state)
    with pytest.raises(ValueError, match=r"Adam.*: expected"):
        opt.load_state_dict(state)
    np.testing.assert_equal(opt.state_dict(), before)


def test_the_state_of_another_optimizer_is_refused():
    with pytest.raises(ValueError, match=r"Adam.load_state_dict: expected"):
        Adam(parameters()).load_state_dict(SGD(parameters()).state_dict())


def test_groups_can_be_pickled_and_copied():
    group = SGD(parameters(), lr=0.5).param_groups[0]
    for twin in (copy.deepcopy(group), pickle.loads(pickle.dumps(group))):
        assert twin["lr"] == 0.5
        with pytest.raises(ValueError, match="expected lr >= 0"):
            twin["lr"] = -1


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
@pytest.mark.parametrize(("kind", "settings"), EVERY)
def test_a_copy_of_parameters_and_optimizer_trains_the_copy(kind, settings, duplicate):
    params = parameters()
    opt = kind(params, **settings)
    train(opt, params, [1])
    before = bits(params)
    copies, other = duplicate((params, opt))
    train(other, copies, [2, 3])
    assert bits(params) == before
    train(opt, params, [2, 3])
    assert bits(params) == bits(copies)


# Bad input.

EVERY_KIND = pytest.mark.parametrize("kind", [SGD, Adam, AdamW, Adadelta])


@EVERY_KIND
@pytest.mark.parametrize("params", [[], iter([]), [{"params": []}]])
def test_no_parameters(kind, params):
    with pytest.raises(ValueError, match=f"{kind.__name__}: expected at least one parameter, got none"):
        kind(params)


def one():
    return Parameter(np.zeros(2, np.float32))


@EVERY_KIND
@pytest.mark.parametrize(("params", "got"), [
    (None, "NoneType"), (3, "int"), (one(), "Parameter"), ({"params": [one()]}, "str"),
    ([np.zeros(2, np.float32)], "ndarray"), ([(np.zeros(2), np.zeros(2))], "tuple"),
    ([one(), None], "NoneType"), ([{"lr": 0.1}], "NoneType"), ([{"params": one()}], "Parameter"),
    ([{"params": [3]}], "int"),
    ([{"params": [one()]}, one()], "dict"),
])
def test_not_parameters(kind, params, got):
    message = rf"{kind.__name__}: expected Parameters, such as model.parameters\(\).* got {got}"
    with pytest.raises(TypeError, match=message):
        kind(params)


@EVERY_KIND
def test_the_same_parameter_twice(kind):
    p, q = parameters(shapes=[(2,), (3,)])
    for params in ([p, q, p], [{"params": [p]}, {"params": [q, p]}]):
        with pytest.raises(ValueError, match=f"{kind.__name__}: expected each parameter once"):
            kind(params)


@EVERY_KIND
def test_two_dtypes_in_a_group(kind):
    single, double = Parameter(np.zeros(2, np.float32)), Parameter(np.ones(2))
    with pytest.raises(ValueError, match="expected one dtype in a parameter group, got float32 and float64"):
        kind([single, double])
    opt = kind([{"params": [single]}, {"params": [double]}])
    train(opt, [single], [1])
    assert (single.dtype, double.dtype) == (np.float32, np.float64)


NAMES = [(kind, name) for kind in (SGD, Adam, AdamW, Adadelta) for name in kind.rules]
NUMBERS = [pair for pair in NAMES if pair[1] not in ("amsgrad", "nesterov", "maximize", "betas")]


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_numbers_out_of_range(kind, name, value):
    message = rf"{kind.__name__}: expected {name} (>= 0|in \[0, 1\)).*, got {value}"
    with pytest.raises(ValueError, match=message):
        kind(parameters(), **{name: value})


@pytest.mark.parametrize("value", ["0.1", None, True, 1j, np.ones(1), [0.1]])
@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_not_numbers(kind, name, value):
    with pytest.raises(TypeError, match=f"{kind.__name__}: expected {name} to be a real number, got"):
        kind(parameters(), **{name: value})


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_betas(kind):
    for betas in [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, np.nan)]:
        with pytest.raises(ValueError, match=rf"{kind.__name__}: expected betas in \[0, 1\), got"):
            kind(parameters(), betas=betas)
    for betas in [0.9, (0.9,), (0.9, 0.99, 0.999), "ab"]:
        with pytest.raises(TypeError, match=f"{kind.__name__}: expected betas to be a pair of numbers, got"):
            kind(parameters(), betas=betas)
    with pytest.raises(TypeError, match="expected betas to be a real number, got str"):
        kind(parameters(), betas=("a", 0.9))


def test_rho_of_one():
    with pytest.raises(ValueError, match=r"Adadelta: expected rho in \[0, 1\), got 1"):
        Adadelta(parameters(), rho=1)


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_needs_plain_momentum(settings):
    with pytest.raises(ValueError, match="SGD: expected momentum > 0 and dampening = 0 for nesterov"):
        SGD(parameters(), nesterov=True, **settings)


@pytest.mark.parametrize("name", ["nesterov", "maximize"])
def test_switches(name):
    with pytest.raises(TypeError, match=f"SGD: expected {name} to be True or False, got 'yes'"):
        SGD(parameters(), **{name: "yes"})


@EVERY_KIND
def test_settings_are_checked_where_they_are_written(kind):
    params = parameters()
    with pytest.raises(ValueError, match=f"{kind.__name__}: expected lr >= 0 and finite, got -2"):
        kind([{"params": params, "lr": -2}])
    with pytest.raises(ValueError, match=f"{kind.__name__}: expected settings lr, .*, got 'Lr'"):
        kind([{"params": params, "Lr": 2}])
    opt = kind(params)
    lr = opt.lr
    with pytest.raises(ValueError, match=r"expected lr >= 0 and finite, got -0\.1"):
        opt.lr = -0.1
    with pytest.raises(ValueError, match="expected lr >= 0 and finite, got nan"):
        opt.param_groups[0]["lr"] = np.nan
    assert opt.lr == lr


@EVERY_KIND
def test_a_refused_optimizer_moves_nothing(kind):
    params = parameters()
    stores = [p.store for p in params]
    with pytest.raises(ValueError, match="expected lr"):
        kind([{"params": params[:2]}, {"params": params[2:], "lr": -1}])
    assert all(p.store is store for p, store in zip(params, stores, strict=True))


def test_the_base_has_no_rule():
    with pytest.raises(NotImplementedError, match=r"Optimizer.update: expected a subclass to define it"):
        params = parameters()
        set_gradients(params, 1)
        Optimizer(params).step()
