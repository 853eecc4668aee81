"""What scripts in PyTorch's idiom use beside operations: gradients as Tensors, hooks, named layers, new Tensors."""
from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from against_torch import compare, same_weights
from module_cases import numbers
from theirs import torch

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.autograd.values import Values
from minidl.optim.swa_utils import SWALR

# Gradients and values


def trained() -> nn.Linear:
    layer = nn.Linear(3, 2)
    layer(minidl.tensor(numbers((4, 3)))).pow(2).sum().backward()
    return layer


def test_gradients_have_a_tensors_methods():
    p = trained().weight
    before = np.array(p.grad)
    p.grad.data.clamp_(-0.5, 0.5)
    np.testing.assert_array_equal(p.grad, before.clip(-0.5, 0.5))
    assert p.grad is p.gradient and p.grad.data is p.grad and np.shares_memory(p.grad, p.store.gradients)
    np.testing.assert_allclose(p.grad.norm(2).item(), np.linalg.norm(p.grad), rtol=1e-6)
    assert p.grad.numel() == 6 and p.grad.dim() == 2 and p.grad.view(-1).shape == (6,)
    assert p.grad.detach().clone().cpu().numpy().tolist() == p.grad.tolist()
    assert p.grad.view(np.int32).dtype == np.int32
    p.grad.zero_()
    assert not p.grad.any()
    w = minidl.ones(3).requires_grad_()
    (w * w).sum().backward()
    w.grad.zero_()
    assert w.grad.tolist() == [0, 0, 0]
    with pytest.raises(AttributeError, match="'Values' object has no attribute 'nothing'"):
        _ = w.grad.nothing
    with pytest.raises(AttributeError):
        _ = w.grad._data
    assert type(w.grad + 1) is np.ndarray and type(copy.deepcopy(w.grad)) is Values
    assert type(pickle.loads(pickle.dumps(w.grad))) is np.ndarray and repr(w.grad) == repr(np.asarray(w.grad))


def test_values_change_in_place_and_count():
    p = trained().weight
    values, version = np.array(p.data), p._version
    p.data.add_(p.grad.data, alpha=-0.1)
    np.testing.assert_allclose(p.data, values - np.float32(0.1) * p.grad, rtol=1e-6)
    assert p._version == version + 1
    p.data.normal_(0, 0.02)
    p.data.uniform_(-1, 1)
    nn.init.normal_(p.data, 0, 3)
    nn.init.constant_(p.data, 2)
    assert p.data.tolist() == [[2, 2, 2]] * 2 and p._version == version + 5
    y = (p * p).sum()
    p.data.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_captured_step_clips_gradients_by_their_methods():
    def build():
        minidl.manual_seed(0)
        model = nn.Linear(3, 2)
        return model, optim.SGD(model.parameters(), lr=0.1)

    def step_of(model, optimizer):
        def step(x):
            optimizer.zero_grad()
            loss = (model(x) ** 2).sum()
            loss.backward()
            for p in model.parameters():
                p.grad.data.clamp_(-0.1, 0.1)
            optimizer.step()
            return loss
        return step

    one, two = build(), build()
    plain, captured = step_of(*one), minidl.capture(step_of(*two))
    for k in range(6):
        x = minidl.tensor(numbers((4, 3), seed=k))
        assert plain(x).item() == captured(x).item()
    assert captured.path == "compiled"
    np.testing.assert_array_equal(one[0].weight.data, two[0].weight.data)

    @minidl.capture
    def writes_values(x):
        loss = one[0](x).sum()
        one[0].weight.data.mul_(0.5)
        return loss

    with pytest.raises(minidl.CaptureError, match="takes a value out of a Tensor"):
        writes_values(x)


def test_state_dicts_hold_arrays_that_are_cloned_as_tensors():
    state = trained().state_dict()
    kept = {name: value.clone() for name, value in copy.deepcopy(state).items()}
    assert all(isinstance(value, np.ndarray) for value in state.values())
    layer = nn.Linear(3, 2)
    layer.load_state_dict(kept)
    np.testing.assert_array_equal(layer.weight.data, state["weight"])


# Lists and names

def test_states_that_fit_in_part_are_loaded():
    model, state = nn.Linear(2, 3), nn.Linear(2, 3).state_dict()
    bias = np.array(model.bias.data)
    found = model.load_state_dict({"weight": state["weight"], "other": state["bias"]}, strict=False)
    assert found.missing_keys == ["bias"] and found.unexpected_keys == ["other"]
    np.testing.assert_array_equal(model.weight.data, state["weight"])
    np.testing.assert_array_equal(model.bias.data, bias)
    assert model.load_state_dict(state) == ([], [])


def test_next_takes_one_after_the_other():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert next(model.parameters()) is model[0].weight
    found = model.parameters()
    assert next(found) is model[0].weight and next(found) is model[0].bias
    assert list(found) == [model[1].weight, model[1].bias] and len(found) == 4
    assert next(iter(model.children())) is next(model.children()) is model[0] and next(model.modules()) is model
    assert next(model.buffers()) is model[1].running_mean
    assert [next(found), next(found)] == [model[1].weight, model[1].bias]
    with pytest.raises(StopIteration):
        next(found)
    assert sum(p.numel() for p in model.parameters()) == 15 and len(found + found) == 8


def test_layers_by_names():
    model = nn.Sequential(OrderedDict([("first", nn.Linear(2, 3)), ("act", nn.Tanh()), ("last", nn.Linear(3, 1))]))
    assert model.first is model[0] and list(model.state_dict()) == [
        "first.weight", "first.bias", "last.weight", "last.bias"]
    assert list(model[1:].state_dict()) == ["last.weight", "last.bias"] and "(act): Tanh()" in repr(model)
    assert getattr(nn.Sequential(nn.Tanh()), "0").title() == "Tanh()"
    model.append(nn.Tanh())
    model.insert(1, nn.Identity())
    assert [name for name, _ in model.named_children()] == ["first", "1", "act", "last", "3"]
    assert model.pop(1).title() == "Identity()"
    del model[-1]
    assert [name for name, _ in model.named_children()] == ["first", "act", "last"]
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert list(again.state_dict()) == list(model.state_dict())
    with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'second'"):
        _ = model.second
    with pytest.raises(KeyError, match="without dots"):
        nn.Sequential({"a.b": nn.Tanh()})
    with pytest.raises(TypeError, match="names of type str"):
        nn.Sequential({1: nn.Tanh()})
    X = numbers((8, 2))
    history = minidl.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), (X, X[:, :1].copy()), epochs=1,
                         progress=False)
    assert history.path == "compiled"


# Hooks

def hooked_steps(L, tensor, layers, change):
    """Gradients that a hook saw and that came out, with minidl or PyTorch."""
    seen = []

    def hook(module, grad_input, grad_output):
        seen.append([x if x is None else np.array(x.detach().numpy()) for x in (*grad_input, *grad_output)])
        return (grad_input[0] * 2,) if change else None

    model = L.Sequential(*layers(L))
    handle = model[1].register_full_backward_hook(hook)
    return model, handle, seen


@pytest.mark.parametrize("change", [False, True])
def test_backward_hooks_as_in_pytorch(change):

    def layers(L):
        return L.Linear(3, 4), L.Tanh(), L.Linear(4, 2)

    (mine, handle, seen), (theirs, their_handle, expected) = (
        hooked_steps(L, tensor, layers, change) for L, tensor in ((nn, minidl.tensor), (torch.nn, torch.tensor)))
    mine.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    X = numbers((5, 3))
    for _ in range(2):
        (mine(minidl.tensor(X)) ** 2).sum().backward()
        (theirs(torch.tensor(X)) ** 2).sum().backward()
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=2e-4, atol=1e-5)
        handle.remove()
        their_handle.remove()
    assert len(seen) == len(expected) == 1
    for a, b in zip(seen[0], expected[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6)


def test_backward_hooks_of_other_inputs_and_steps():
    class Two(nn.Module):
        def forward(self, a, b):
            return a * b, a + b

    seen = []
    module = Two()
    module.register_full_backward_hook(lambda m, i, o: seen.append((i, o)))
    a, b = (minidl.tensor(numbers(3, seed=k)).requires_grad_() for k in range(2))
    first, second = module(a, b)
    (first.sum() + 2 * second.sum()).backward()
    np.testing.assert_allclose(seen[0][0][0].data, b.data + 2)
    np.testing.assert_allclose(seen[0][0][1].data, a.data + 2)
    assert [y.tolist() for y in seen[0][1]] == [[1] * 3, [2] * 3]
    layer = nn.Linear(3, 2)  # whose input requires no gradient
    layer.register_full_backward_hook(lambda m, i, o: seen.append((i, o)))
    layer(minidl.tensor(numbers((4, 3)))).sum().backward()
    assert seen[1][0] == (None,) and seen[1][1][0].shape == (4, 2)
    with minidl.no_grad():
        layer(minidl.tensor(numbers((4, 3))))
    assert len(seen) == 2

    x = minidl.tensor(numbers((4, 3))).requires_grad_()
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        minidl.autograd.grad(layer(x).sum(), x, create_graph=True)


def test_a_captured_step_calls_backward_hooks_in_their_place():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    model[1].register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 2,))
    assert check_step(model, minidl.tensor(numbers((5, 3)))) == "compiled; in place: Tanh hook backward"
    model[1].register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(1))
    seen: list = []
    X = numbers((8, 3))
    history = minidl.fit(model, nn.MSELoss(), optim.SGD(model.parameters()), (X, X[:, :2].copy()), batch_size=4,
                         progress=False)
    assert history.path.startswith("plain: ") and len(seen) == 2


# Layers

@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("name, settings, shape", [
    ("Conv1d", {"padding": 2}, (2, 4, 7)), ("Conv2d", {"padding": (1, 2), "stride": 2}, (2, 4, 6, 7)),
    ("Conv2d", {"padding": "same", "dilation": (1, 2)}, (4, 6, 7))])
def test_padding_modes_as_in_pytorch(mode, name, settings, shape):
    settings = settings | {"padding_mode": mode, "groups": 2, "kernel_size": 3}
    ours, theirs = getattr(nn, name)(4, 6, **settings, dtype=np.float64), getattr(torch.nn, name)(4, 6, **settings)
    same_weights(ours, theirs.double())
    compare(ours, theirs, [numbers(shape, np.float64)])
    assert f"padding_mode={mode}" in repr(ours)
    assert check_step(ours, minidl.tensor(numbers(shape, np.float64))) == "compiled"


def check_step(module, *inputs) -> str:
    """The path of a captured step, which has the bits of the plain one."""
    def run(*x):
        module.zero_grad()
        y = module(*x)
        y = y[0] if isinstance(y, tuple) else y
        (y * y).sum().backward()
        return y

    captured = minidl.capture(run)
    for _ in range(5):
        expected, gradients = run(*inputs), [p.grad.tobytes() for p in module.parameters()]
        assert captured(*inputs).data.tobytes() == expected.data.tobytes()
        assert [p.grad.tobytes() for p in module.parameters()] == gradients
    return captured.path


@pytest.mark.parametrize(
    "settings", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False, "batch_first": True}], ids=str)
def test_projected_lstm_as_in_pytorch(settings):
    ours = nn.LSTM(3, 5, proj_size=2, **settings, dtype=np.float64)
    theirs = torch.nn.LSTM(3, 5, proj_size=2, **settings).double()
    same_weights(ours, theirs)
    x = numbers((4, 4, 3), np.float64)
    many = 4 if "bidirectional" in settings else 1
    hx = numbers((many, 4, 2), np.float64), numbers((many, 4, 5), np.float64, seed=1)
    compare(ours, theirs, [x])
    compare(ours, theirs, [x], {"hx": tuple(map(minidl.tensor, hx))}, {"hx": tuple(map(torch.from_numpy, hx))})
    assert check_step(ours, minidl.tensor(x)) == "compiled"
    assert "proj_size=2" in repr(ours)
    with pytest.raises(ValueError, match="expected a proj_size from 0 to hidden_size - 1"):
        nn.LSTM(3, 5, proj_size=5)


def test_instance_norms_run_compiled():
    for module, shape in ((nn.InstanceNorm2d(3, affine=True, track_running_stats=True), (2, 3, 4, 5)),
                          (nn.InstanceNorm1d(3), (2, 3, 4))):
        if module.parameters():
            assert check_step(module, minidl.tensor(numbers(shape))) == "compiled"
    with pytest.raises(ValueError, match="expected more than one place"):
        nn.InstanceNorm1d(3)(minidl.zeros(2, 3, 1))
    with pytest.raises(ValueError, match=r"expected input of shape \(N, 3, L\) or \(3, L\)"):
        nn.InstanceNorm1d(3)(minidl.zeros(2, 4, 5))


@pytest.mark.parametrize("settings", [
    {"swa_lr": 0.05}, {"swa_lr": 0.05, "anneal_epochs": 4, "anneal_strategy": "linear"},
    {"swa_lr": 0.05, "anneal_epochs": 0}, {"swa_lr": [0.05, 0.2], "anneal_epochs": 3}], ids=str)
def test_swalr_as_in_pytorch(settings):
    rates = []
    for L, swa in ((minidl, SWALR), (torch, torch.optim.swa_utils.SWALR)):
        a, b = (L.nn.Linear(1, 1) for _ in range(2))
        optimizer = L.optim.SGD([{"params": list(a.parameters())}, {"params": list(b.parameters()), "lr": 0.3}], lr=0.1)
        scheduler = swa(optimizer, **settings)
        rates.append([[group["lr"] for group in optimizer.param_groups]])
        for _ in range(15):
            optimizer.step()
            scheduler.step()
            rates[-1].append([group["lr"] for group in optimizer.param_groups])
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-12)


# Tensors

def test_elements_are_assigned_to():
    made = []
    for L in (minidl, torch):
        x = L.zeros(4, 5)
        x[1, 2] = 5
        x[2:, 1] = L.tensor([1.0, 2.0])
        x[L.tensor([0, 3])] += 1
        x[x > 4] = -1
        x[0][3] = 7
        x[..., 4] = L.arange(4)
        made.append(x)
    assert made[0].tolist() == made[1].tolist()
    w = minidl.zeros(3).requires_grad_()
    with pytest.raises(RuntimeError, match="changes in place within no_grad"):
        w[0] = 1
    with pytest.raises(RuntimeError, match="changes in place within no_grad"):
        minidl.zeros(3)[0] = w.sum()
    x = minidl.ones(3)
    y = (w * x).sum()
    x[1] = 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    with minidl.no_grad():
        w[1] = 4
    assert w.tolist() == [0, 4, 0]
    state = minidl.zeros(3, 2)

    @minidl.capture
    def step(x, i):
        state[1] = x * 2
        state[i, 0] = 3
        return state.sum()

    for k in range(4):
        step(minidl.full((2,), float(k)), minidl.tensor([0, 2]))
        assert state.tolist() == [[3, 0], [2 * k, 2 * k], [3, 0]]


MADE = [
    lambda L: L.empty(2, 3).shape, lambda L: L.empty_like(L.ones(2)).shape, lambda L: L.randint(5, (2, 3)).shape,
    lambda L: L.randint(3, 4, (2,)).tolist(), lambda L: sorted(L.randperm(6).tolist()),
    lambda L: L.normal(0.0, 1.0, (2, 3)).shape, lambda L: L.normal(L.zeros(3), L.ones(3)).shape,
    lambda L: L.as_tensor([1, 2]).tolist(), lambda L: (L.is_tensor(L.ones(1)), L.is_tensor([1])),
    lambda L: [x.tolist() for x in L.meshgrid(L.arange(2), L.arange(3), indexing="ij")],
    lambda L: [x.tolist() for x in L.meshgrid(L.arange(2), L.arange(3), indexing="xy")],
    lambda L: (L.allclose(L.ones(2), L.ones(2) + 1e-7), L.equal(L.ones(2), L.zeros(2))),
    lambda L: L.zeros(2, device="cpu", dtype=L.long).tolist(), lambda L: L.ones(2, device=L.device("cpu")).tolist(),
    lambda L: L.full((2,), 1.0, dtype=L.float32).tolist(), lambda L: L.tensor([1.5], device="cpu").tolist(),
    lambda L: L.ones(2).to(L.device("cpu"), L.float64).sum().item(), lambda L: L.ones(2).to(L.zeros(1).long()).tolist(),
    lambda L: L.ones(2).type(L.long).tolist(), lambda L: L.tensor([1.7]).int().tolist(),
    lambda L: L.tensor([0, 2]).bool().tolist(), lambda L: L.ones(3).new_zeros(2, 2).tolist(),
    lambda L: L.ones(3).new_full((2,), 3.0).tolist(), lambda L: L.ones(3).new_ones(2).tolist(),
    lambda L: (~(L.arange(4) > 1) | (L.arange(4) == 3)).tolist(), lambda L: (L.arange(5) % 2 == 0).tolist(),
    lambda L: ((L.arange(4) > 1) & (L.arange(4) < 3) ^ (L.arange(4) == 0)).tolist(),
    lambda L: (L.arange(5) // 2).tolist(), lambda L: [10, 20, 30][L.tensor(1)],
    lambda L: L.nonzero(L.tensor([0, 3, 0, 4])).tolist(), lambda L: L.tensor([1, 2, 2]).bincount().tolist(),
    lambda L: L.unique(L.tensor([3, 1, 3])).tolist(), lambda L: L.count_nonzero(L.tensor([3, 0, 3])).item(),
    lambda L: [x.tolist() for x in L.unique(L.tensor([3, 1, 3]), return_inverse=True, return_counts=True)],
    lambda L: L.isnan(L.tensor([1.0, L.nan, L.inf])).tolist(),
    lambda L: L.isinf(L.tensor([1.0, L.nan, L.inf])).tolist(),
    lambda L: L.isfinite(L.tensor([1.0, L.nan])).tolist(), lambda L: round(L.pi, 10),
    lambda L: L.logical_and(L.tensor([True, False]), L.tensor([True, True])).tolist(),
    lambda L: L.logical_not(L.tensor([True, False])).tolist(), lambda L: L.tensor([4.0]).sqrt_().tolist(),
    lambda L: L.tensor([[1, 2]]).expand_as(L.zeros(3, 2)).tolist(), lambda L: L.ones(4).reshape_as(L.zeros(2, 2)).shape,
    lambda L: L.tensor([1, 2]).tile(2, 2).tolist(), lambda L: L.tensor([1.0, -2.0]).relu_().tolist(),
    lambda L: L.ones(2, 3).nelement() + L.ones(2).ndimension(), lambda L: L.tensor([2.0]).add(1, alpha=3).tolist(),
    lambda L: (L.ones(1).is_floating_point(), L.ones(1).is_cuda, L.ones(2, 2).is_contiguous()),
    lambda L: L.tensor([5.0, -5.0]).clip(-1, 1).tolist(), lambda L: L.numel(L.ones(2, 3)),
    lambda L: L.isclose(L.ones(2), L.tensor([1.0, 1.1])).tolist(), lambda L: L.eq(L.ones(2), 1).tolist(),
    lambda L: L.detach(L.ones(2).requires_grad_()).requires_grad,
    lambda L: L.ones(2, dtype=L.float64).new_tensor([1, 2]).tolist(),
    lambda L: [x.tolist() for x in L.median(L.tensor([[3.0, 1.0, 2.0, 5.0]]), 1)],
]


@pytest.mark.parametrize("make", MADE)
def test_made_as_in_pytorch(make):
    found, expected = make(minidl), make(torch)
    assert found == (tuple(expected) if isinstance(expected, torch.Size) else expected)


def test_gradients_are_switched_on_and_off():
    w = minidl.ones(1).requires_grad_()

    @minidl.enable_grad()
    def again(depth):
        return again(depth - 1) if depth else w * 2

    with minidl.no_grad():
        assert not (w * 2).requires_grad and again(2).requires_grad and not minidl.is_grad_enabled()
        with minidl.set_grad_enabled(True):
            assert (w * 2).requires_grad
        assert not (w * 2).requires_grad
    with minidl.inference_mode():
        assert not (w * 2).requires_grad
    minidl.set_grad_enabled(False)
    assert not (w * 2).requires_grad
    minidl.set_grad_enabled(True)
    assert (w * 2).requires_grad and minidl.is_grad_enabled()


@pytest.mark.parametrize("call", [
    lambda: minidl.zeros(2, device="cuda"), lambda: minidl.ones(2).cuda(), lambda: minidl.tensor([1], device="cuda"),
    lambda: minidl.ones(2).to(device="cuda"), lambda: minidl.randint(3, (2,), device="cuda"),
    lambda: F.pad(minidl.ones(2), (1,)), lambda: F.pad(minidl.ones(2), (1, 1), mode="mirror"),
    lambda: F.pad(minidl.ones(2), (2, 0), mode="reflect"), lambda: F.pad(minidl.ones(2), (3, 0), mode="circular"),
    lambda: F.pad(minidl.ones(2), (-2, -1)), lambda: F.pad(minidl.ones(2), (1, 0), "replicate", 3.0),
    lambda: minidl.ones(2).narrow(0, 1, 2), lambda: minidl.ones(2, 2, 2).t(), lambda: minidl.ones(2).mm(minidl.ones(2)),
    lambda: minidl.meshgrid(minidl.ones(2), indexing="zz"), lambda: minidl.ones(2, 2, 2).diag(),
    lambda: nn.Embedding(2, 2, scale_grad_by_freq=True)])
def test_errors(call):
    with pytest.raises(ValueError, match=r"expected|nothing is left|not divided|takes at most"):
        call()


STEPS = {
    "sin": lambda x: x.sin(), "cos": lambda x: x.cos(), "log1p": lambda x: (x * x).log1p(),
    "expm1": lambda x: x.expm1(),
    "square": lambda x: x.square(), "rsqrt": lambda x: (x * x + 1).rsqrt(), "floor": lambda x: x.floor() * x,
    "remainder": lambda x: x % 0.7, "logsumexp": lambda x: x.logsumexp(1), "roll": lambda x: x.roll(1, 1),
    "pad": lambda x: F.pad(x, (1, 2), mode="reflect"), "circular": lambda x: F.pad(x, (1, 2), mode="circular"),
    "replicate": lambda x: F.pad(x, (1, 2), mode="replicate"), "zeros": lambda x: F.pad(x, (1, 2), value=2.0),
    "diag": lambda x: x[:3, :3].diag(), "movedim": lambda x: x.movedim(0, 1), "unbind": lambda x: x.unbind(1)[1] * 2,
    "mv": lambda x: x.mv(x[0]), "dot": lambda x: x[0].dot(x[1]), "trace": lambda x: x[:3, :3].trace(),
    "logical": lambda x: x * ((x > 0) & ~(x > 1)).float(), "new_zeros": lambda x: x + x.new_ones(4),
}


@pytest.mark.parametrize("name", STEPS)
def test_captured_steps_have_the_bits_of_plain_ones(name):
    w = nn.Parameter(numbers((5, 4)))

    def step(x):
        w.zero_grad()
        y = STEPS[name](w * x)
        (y * y).sum().backward()
        return y

    captured = minidl.capture(step)
    for k in range(5):
        x = minidl.tensor(numbers((5, 4), seed=k))
        expected, gradient = step(x).data.tobytes(), w.grad.tobytes()
        assert captured(x).data.tobytes() == expected and w.grad.tobytes() == gradient
    assert captured.path == "compiled"


@pytest.mark.parametrize("name", ["nonzero", "unique", "bincount", "masked_select"])
def test_what_takes_its_shape_from_values_is_refused_in_a_captured_step(name):
    @minidl.capture
    def step(x):
        return x.masked_select(x > 0) if name == "masked_select" else getattr(x, name)()

    with pytest.raises(minidl.CaptureError, match=name):
        step(minidl.tensor([1, 2, 0]))
