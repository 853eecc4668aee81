"""The optimizers' updates in float64 against their formulas, written here in NumPy a second time."""
from __future__ import annotations

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, RMSprop
from minidl.optim.group import Group

STEPS = 5
RNG = np.random.default_rng(0)
START, GRADIENTS = RNG.normal(size=(3, 4)), RNG.normal(size=(STEPS, 3, 4))


def sgd(w, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False):
    buffer = None
    for g in GRADIENTS:
        d = (-g if maximize else g) + weight_decay * w
        if momentum:
            buffer = d if buffer is None else momentum * buffer + (1 - dampening) * d
            d = d + momentum * buffer if nesterov else buffer
        w = w - lr * d
    return w


def adam(w, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled=False):
    m = v = np.zeros_like(w)
    for t, g in enumerate(GRADIENTS, 1):
        if decoupled:
            w = w - lr * weight_decay * w
        else:
            g = g + weight_decay * w
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        w = w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w


def adamw(w, weight_decay=1e-2, **settings):
    return adam(w, weight_decay=weight_decay, decoupled=True, **settings)


def adadelta(w, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0):
    u = v = np.zeros_like(w)
    for g in GRADIENTS:
        g = g + weight_decay * w
        v = rho * v + (1 - rho) * g * g
        delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * delta * delta
        w = w - lr * delta
    return w


def nadam(w, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3):
    m = v = np.zeros_like(w)
    product = 1.0
    for t, g in enumerate(GRADIENTS, 1):
        g = g + weight_decay * w
        now, following = (betas[0] * (1 - 0.5 * 0.96 ** (n * momentum_decay)) for n in (t, t + 1))
        product *= now
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        nesterov = following * m / (1 - product * following) + (1 - now) * g / (1 - product)
        w = w - lr * nesterov / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w


def adamax(w, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
    m = u = np.zeros_like(w)
    for t, g in enumerate(GRADIENTS, 1):
        g = g + weight_decay * w
        m, u = betas[0] * m + (1 - betas[0]) * g, np.maximum(betas[1] * u, abs(g) + eps)
        w = w - lr / (1 - betas[0] ** t) * m / u
    return w


def rmsprop(w, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
    v = mean = buffer = np.zeros_like(w)
    for g in GRADIENTS:
        g = g + weight_decay * w
        v, mean = alpha * v + (1 - alpha) * g * g, alpha * mean + (1 - alpha) * g
        buffer = momentum * buffer + g / (np.sqrt(v - mean**2 if centered else v) + eps)
        w = w - lr * buffer
    return w


def adagrad(w, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10):
    total = np.full_like(w, initial_accumulator_value)
    for t, g in enumerate(GRADIENTS):
        g = g + weight_decay * w
        total = total + g * g
        w = w - lr / (1 + t * lr_decay) * g / (np.sqrt(total) + eps)
    return w


RULES = {SGD: sgd, Adam: adam, AdamW: adamw, Adadelta: adadelta, NAdam: nadam, Adamax: adamax, RMSprop: rmsprop,
         Adagrad: adagrad}
CASES = [
    (NAdam, {}), (NAdam, {"lr": 0.5, "betas": (0.5, 0.75), "eps": 0.5, "weight_decay": 0.25, "momentum_decay": 3.0}),
    (Adamax, {}), (Adamax, {"lr": 0.5, "betas": (0.5, 0.25), "eps": 0.5, "weight_decay": 0.25}),
    (RMSprop, {}), (RMSprop, {"lr": 0.5, "alpha": 0.5, "eps": 0.5, "weight_decay": 0.25, "momentum": 0.75}),
    (RMSprop, {"lr": 0.5, "alpha": 0.5, "centered": True}),
    (Adagrad, {}), (Adagrad, {"lr": 0.5, "lr_decay": 0.25, "weight_decay": 0.25, "initial_accumulator_value": 0.5}),
    (SGD, {}), (SGD, {"lr": 0.5}), (SGD, {"lr": 0.5, "momentum": 0.75}), (SGD, {"lr": 0.5, "weight_decay": 0.25}),
    (SGD, {"lr": 0.5, "momentum": 0.75, "dampening": 0.25}), (SGD, {"lr": 0.5, "momentum": 0.75, "nesterov": True}),
    (SGD, {"lr": 0.5, "maximize": True}), (SGD, {"lr": 0.5, "maximize": True, "weight_decay": 0.25, "momentum": 0.5}),
    (SGD, {"lr": 0.5, "momentum": 1.5, "weight_decay": 0.125, "dampening": 2}),
    (Adam, {}), (Adam, {"lr": 0.5}), (Adam, {"lr": 0.5, "betas": (0.5, 0.75)}), (Adam, {"lr": 0.5, "eps": 0.5}),
    (Adam, {"lr": 0.5, "weight_decay": 0.25}), (Adam, {"lr": 0.5, "betas": (0, 0)}),
    (AdamW, {}), (AdamW, {"lr": 0.5}), (AdamW, {"lr": 0.5, "weight_decay": 0.25, "betas": (0.5, 0.75), "eps": 0.25}),
    (Adadelta, {}), (Adadelta, {"lr": 0.5}), (Adadelta, {"rho": 0.5}), (Adadelta, {"eps": 0.25}),
    (Adadelta, {"lr": 0.5, "rho": 0.25, "weight_decay": 0.25}), (Adadelta, {"rho": 0}),
]


def trained(optimizer, parameter):
    for g in GRADIENTS:
        optimizer.zero_grad()
        parameter.grad = g
        optimizer.step()
    return parameter.data


@pytest.mark.parametrize("kind, settings", CASES, ids=lambda x: str(x) if isinstance(x, dict) else x.__name__)
def test_five_steps(kind, settings):
    parameter = Parameter(START.copy())
    moved = trained(kind([parameter], **settings), parameter)
    np.testing.assert_allclose(moved, RULES[kind](START, **settings), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", RULES)
def test_groups_have_settings_of_their_own(kind):
    first, second = Parameter(START.copy()), Parameter(START.copy())
    optimizer = kind([{"params": [first]}, {"params": [second], "lr": 0.25}], lr=0.5)
    for g in GRADIENTS:
        first.grad, second.grad = g, g
        optimizer.step()
    for parameter, lr in ((first, 0.5), (second, 0.25)):
        np.testing.assert_allclose(parameter.data, RULES[kind](START, lr=lr), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", RULES)
def test_a_parameter_without_a_gradient_is_left_alone_and_counted_by_itself(kind):
    """One has a gradient at steps 0 and 1, then the other alone for five steps: each moves as if by itself."""
    settings = {"lr": 0.5, "weight_decay": 0.25, **({"momentum": 0.5, "dampening": 0.5} if kind is SGD else {})}
    first, second = Parameter(START.copy()), Parameter(START.copy())
    optimizer = kind([first, second], **settings)
    alone = Parameter(START.copy())
    its = kind([alone], **settings)
    for g in GRADIENTS[:2]:
        optimizer.zero_grad()
        first.grad = g
        optimizer.step()
        alone.grad = g
        its.step()
    assert second.data.tolist() == START.tolist()
    np.testing.assert_array_equal(first.data, alone.data)
    trained(optimizer, second)
    np.testing.assert_allclose(second.data, RULES[kind](START, **settings), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(first.data, alone.data)
    assert optimizer.state_dict()["state"][0]["step"] == [2, 5]


def test_a_parameter_that_joins_later_keeps_what_the_others_have():
    first, second = Parameter(START.copy()), Parameter(START.copy())
    optimizer = Adam([first], lr=0.5)
    half = GRADIENTS[:2]
    for g in half:
        first.grad = g
        optimizer.step()
    optimizer.param_groups[0]["params"].insert(0, second)
    first.grad = None
    trained(optimizer, second)
    np.testing.assert_allclose(second.data, adam(START, lr=0.5), rtol=1e-12)
    assert optimizer.state_dict()["state"][0]["step"] == [5, 2]
    for g in GRADIENTS[2:]:
        optimizer.zero_grad()
        first.grad = g
        optimizer.step()
    np.testing.assert_allclose(first.data, adam(START, lr=0.5), rtol=1e-12)


def test_a_group_that_is_added_has_the_defaults():
    first, second, third = (Parameter(START.copy()) for _ in range(3))
    optimizer = SGD([first], lr=0.5, momentum=0.25)
    optimizer.add_param_group({"params": [second]})
    optimizer.add_param_group({"params": [third], "lr": 0.125})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5, 0.125]
    assert [group["momentum"] for group in optimizer.param_groups] == [0.25] * 3
    assert optimizer.lr == 0.5
    optimizer.lr = 2
    assert [group["lr"] for group in optimizer.param_groups] == [2] * 3
    with pytest.raises(ValueError, match="each parameter once"):
        optimizer.add_param_group({"params": [second]})
    with pytest.raises(TypeError, match="SGD: expected a dict as a parameter group, got list"):
        optimizer.add_param_group([second])
    assert len(optimizer.param_groups) == 3


def test_zero_grad_both_ways():
    with_gradient, without = Parameter(START.copy()), Parameter(START.copy())
    optimizer = SGD([with_gradient, without])
    with_gradient.grad = START
    optimizer.zero_grad(set_to_none=False)
    assert with_gradient.grad is not None and not with_gradient.grad.any() and without.grad is None
    with_gradient.grad = START
    optimizer.zero_grad()
    assert with_gradient.grad is None and not with_gradient.gradient.any()
    assert SGD([without]).zero_grad(False) is None


def test_a_group_takes_all_or_nothing():
    optimizer = SGD([Parameter(START.copy())], lr=0.5)
    group = optimizer.param_groups[0]
    assert type(group) is Group
    for write in (lambda: group.update(lr=0.25, momentum=-1), lambda: group.update({"lr": 0.25, "speed": 1}),
                  lambda: group.__ior__({"lr": 0.25, "nesterov": 1})):
        with pytest.raises((TypeError, ValueError)):
            write()
        assert group["lr"] == 0.5
    group |= {"lr": 0.25}
    assert group["lr"] == 0.25 and group is optimizer.param_groups[0]
    group.update(lr=1, momentum=0.5)
    assert (group["lr"], group["momentum"]) == (1, 0.5)
    assert group.setdefault("lr", 7) == 1 and group["lr"] == 1
    with pytest.raises(ValueError, match="expected settings"):
        group.setdefault("speed", 7)
    for remove in (lambda: group.pop("lr"), group.popitem, group.clear, lambda: group.__delitem__("lr")):
        with pytest.raises(TypeError, match="SGD: expected the settings of a group to stay"):
            remove()
    assert set(group) == {"params", "lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"}


@pytest.mark.parametrize("name, value, kept", [
    ("lr", 0, 0.0), ("lr", 1, 1.0), ("momentum", 1, 1.0), ("momentum", np.float32(0.5), 0.5),
    ("nesterov", False, False), ("maximize", np.bool_(True), True), ("weight_decay", 0, 0.0)])
def test_what_sgd_takes(name, value, kept):
    got = SGD([Parameter(START.copy())], **{name: value}).param_groups[0][name]
    assert got == kept and type(got) is type(kept)


@pytest.mark.parametrize("kind, settings, error, message", [
    (SGD, {"lr": -1e-9}, ValueError, "SGD: expected lr >= 0 and finite, got -1e-09"),
    (SGD, {"lr": float("inf")}, ValueError, "SGD: expected lr >= 0 and finite, got inf"),
    (SGD, {"lr": float("nan")}, ValueError, "SGD: expected lr >= 0 and finite, got nan"),
    (SGD, {"lr": True}, TypeError, "SGD: expected lr to be a real number, got bool"),
    (SGD, {"nesterov": True}, ValueError, "expected momentum > 0 and dampening = 0 for nesterov"),
    (SGD, {"nesterov": True, "momentum": 0.5, "dampening": 0.5}, ValueError, "got momentum=0.5, dampening=0.5"),
    (Adam, {"betas": (0.5, 1)}, ValueError, r"Adam: expected betas in \[0, 1\), got 1"),
    (Adam, {"betas": (1, 0.5)}, ValueError, r"Adam: expected betas in \[0, 1\), got 1"),
    (Adam, {"betas": (-0.1, 0.5)}, ValueError, r"Adam: expected betas in \[0, 1\), got -0.1"),
    (Adam, {"betas": (0.5,)}, TypeError, "Adam: expected betas to be a pair of numbers"),
    (Adam, {"betas": 0.5}, TypeError, "Adam: expected betas to be a pair of numbers, got 0.5"),
    (Adadelta, {"rho": 1}, ValueError, r"Adadelta: expected rho in \[0, 1\), got 1"),
])
def test_what_is_refused(kind, settings, error, message):
    with pytest.raises(error, match=message):
        kind([Parameter(START.copy())], **settings)
