"""Members of a module by their names, hooks, casts and the device."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import minidl
from minidl import nn, optim

X = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
Y = X[:, :1] * X[:, 1:2]


def model():
    return nn.Sequential(nn.Linear(4, 5, generator=0), nn.Tanh(), nn.Sequential(nn.Linear(5, 1, generator=1)))


class Net(nn.Module):
    def __init__(self):
        self.inner = model()
        self.scale = nn.ParameterList([np.ones(1, np.float32), nn.Parameter(np.full(1, 0.5, np.float32))])
        self.register_buffer("seen", minidl.zeros(1))

    def forward(self, x):
        return self.inner(x) * self.scale[0] + self.scale[1]


def bits(module):
    return {name: value.tobytes() for name, value in module.state_dict().items()}


def test_apply_goes_bottom_up_and_returns_the_module():
    net, seen = Net(), []
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "Tanh", "Linear", "Sequential", "Sequential", "ParameterList", "Net"]

    def init(module):
        if isinstance(module, nn.Linear):
            nn.init.ones_(module.weight)

    net.apply(init)
    assert (net.inner[0].weight.data == 1).all() and (net.inner[2][0].weight.data == 1).all()


def test_members_by_name():
    net = Net()
    assert net.get_submodule("") is net and net.get_submodule("inner.2.0") is net.inner[2][0]
    assert net.get_parameter("inner.2.0.bias") is net.inner[2][0].bias
    assert net.get_parameter("scale.1") is net.scale[1] and net.get_buffer("seen") is net.seen
    for get, name in ((net.get_submodule, "inner.3"), (net.get_submodule, "seen"), (net.get_parameter, "seen"),
                      (net.get_parameter, "inner"), (net.get_buffer, "scale.0"), (net.get_buffer, "x")):
        with pytest.raises(AttributeError, match=f"no .*{name.split('.')[-1]}"):
            get(name)
    net.register_parameter("extra", nn.Parameter(np.zeros(2, np.float32)))
    net.register_parameter("none", None)
    net.add_module("last", nn.Tanh())
    assert "extra" in net.state_dict() and net.none is None and net.get_submodule("last") is net.last
    for name, value, error in ((3, None, TypeError), ("a.b", None, KeyError), ("forward", None, KeyError),
                               ("p", np.zeros(2), TypeError)):
        with pytest.raises(error, match="register_parameter"):
            net.register_parameter(name, value)
    with pytest.raises(TypeError, match="add_module: expected m to be a Module or None, got int"):
        net.add_module("m", 3)


def test_parameter_lists():
    net = Net()
    assert list(net.state_dict()) == ["seen", "inner.0.weight", "inner.0.bias", "inner.2.0.weight", "inner.2.0.bias",
                                      "scale.0", "scale.1"]
    assert len(net.scale) == 2 and len(net.scale[:1]) == 1 and net.scale[-1] is list(net.scale)[1]
    net.scale[-1] = np.full(1, 3, np.float32)
    assert net.scale[1].item() == 3
    by_name = nn.ParameterDict({"a": nn.Parameter(np.ones(2)), "b": np.zeros(1)})
    assert list(by_name) == ["a", "b"] == list(by_name.keys()) and "a" in by_name and len(by_name) == 2
    del by_name["a"]
    assert [name for name, _ in by_name.named_parameters()] == ["b"]
    with pytest.raises(KeyError):
        by_name["forward"] = np.zeros(1)
    with pytest.raises(TypeError, match="expected Parameters or arrays, got list"):
        nn.ParameterList([[1.0]])
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    history = minidl.fit(net, nn.MSELoss(), optimizer, (X, Y), epochs=2, progress=False)
    assert history.path == "compiled"


def trained(make, hook, captured):
    net = make()
    if hook is not None:
        hook(net)
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    history = minidl.fit(net, nn.MSELoss(), optimizer, (X, Y), epochs=5, batch_size=4, seed=1, progress=False,
                         captured=captured)
    return net, history


def double_output(net):
    net[0].register_forward_hook(lambda module, inputs, output: 2 * output)


def shift_input(net):
    net[2].register_forward_pre_hook(lambda module, inputs: (inputs[0] - 1,))
    net[1].register_forward_pre_hook(lambda module, inputs: inputs[0] * 0.5)


def of_the_whole(net):
    net.register_forward_hook(lambda module, inputs, output: output + inputs[0].sum(1, keepdim=True))


@pytest.mark.parametrize("hook", [double_output, shift_input, of_the_whole])
def test_hooks_run_compiled_with_the_same_bits(hook):
    (first, history), (second, plain) = (trained(model, hook, captured) for captured in (True, False))
    assert history.path == "compiled" and plain.path.startswith("plain")
    assert bits(first) == bits(second) and bits(first) != bits(trained(model, None, True)[0])
    x = X[:5]
    np.testing.assert_array_equal(first.predict(x), first(minidl.tensor(x)).detach().numpy())
    np.testing.assert_array_equal(first.predict(x), first(x))


def test_a_hook_that_has_come_or_gone_is_noticed_by_what_was_compiled():
    net, twin = model(), model()
    first, second = (optim.SGD(one.parameters(), lr=0.1) for one in (net, twin))
    step, criterion = minidl.capture(net, nn.MSELoss(), first), nn.MSELoss()
    handles: list = []

    def both():
        loss = step(X, Y)
        second.zero_grad()
        expected = criterion(twin(minidl.tensor(X)), minidl.tensor(Y))
        expected.backward()
        second.step()
        assert loss == expected.item() and bits(net) == bits(twin)
        np.testing.assert_array_equal(net.predict(X), twin(minidl.tensor(X)).detach().numpy())

    both()
    both()
    for one in (net, twin):
        handles.append(one[0].register_forward_hook(lambda module, inputs, output: 3 * output))
    both()
    both()
    for handle in handles:
        handle.remove()
    both()
    assert type(net[0]) is nn.Linear and "_forward_hooks" not in vars(net[0])
    both()


def test_the_order_of_hooks_handles_and_arguments():
    net, seen = nn.Linear(2, 2, generator=0), []
    first = net.register_forward_pre_hook(lambda module, inputs: seen.append(("pre", module is net, len(inputs))))
    net.register_forward_hook(lambda module, inputs, output: seen.append("second"))
    with net.register_forward_hook(lambda module, inputs, output: seen.append("first"), prepend=True):
        net(minidl.ones(1, 2))
        assert seen == [("pre", True, 1), "first", "second"]
    first.remove()
    first.remove()
    del seen[:]
    net(minidl.ones(1, 2))
    assert seen == ["second"] and isinstance(net, nn.Linear) and repr(net) == repr(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="expected a hook that can be called, got int"):
        net.register_forward_hook(3)


def test_a_hook_that_collects_runs_plain_and_says_so():
    seen = []
    _, history = trained(model, lambda net: net[1].register_forward_hook(
        lambda module, inputs, output: seen.append(output.detach())), True)
    assert history.path.startswith("plain: the function changes") and len(seen) >= 15


def twice(module, inputs, output):
    return 2 * output


def test_a_module_with_hooks_is_copied_and_pickled_with_them():
    net = model()
    expected = net(X)
    net[2].register_forward_hook(twice)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other(X), 2 * expected)
    assert bits(copy.deepcopy(net)) == bits(net)


def test_casts_in_place():
    net = Net()
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    for _ in range(3):
        minidl.fit(net, nn.MSELoss(), optimizer, (X, Y), progress=False)
    parameters, before = net.parameters(), net.state_dict()
    state = optimizer.state_dict()["state"][0]["exp_avg"].astype(float)
    assert net.double() is net and all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert {p.dtype for p in parameters} | {net.seen.dtype} == {np.dtype(np.float64)}
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    x = minidl.tensor(X).double()
    criterion = nn.MSELoss()
    criterion(net(x), minidl.tensor(Y).double()).backward()
    optimizer.step()
    assert optimizer.state_dict()["state"][0]["exp_avg"].dtype == np.float64
    gradients = np.concatenate([p.grad.ravel(order="K") for p in parameters])
    np.testing.assert_allclose(optimizer.state_dict()["state"][0]["exp_avg"], 0.9 * state + 0.1 * gradients, rtol=1e-12)
    assert optimizer.state_dict()["state"][0]["step"] == [4] * len(parameters)
    history = minidl.fit(net, criterion, optimizer, (X, Y), epochs=2, progress=False)
    assert history.path == "compiled"
    assert net.float().to(minidl.float32).to("cpu").to(minidl.device("cpu")).cpu() is net
    assert net(minidl.tensor(X)).dtype == np.float32 and net.predict(X).dtype == np.float32


def test_a_cast_is_noticed_by_what_was_compiled():
    net = model()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    step = minidl.capture(net, nn.MSELoss(), optimizer)
    step(X, Y)
    net.double()
    twin = model().double()
    twin.load_state_dict(net.state_dict())
    other = minidl.capture(twin, nn.MSELoss(), optim.SGD(twin.parameters(), lr=0.1))
    x, y = X.astype(np.float64), Y.astype(np.float64)
    assert step(x, y) == other(x, y) and bits(net) == bits(twin)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps", "cpu:1"])
def test_there_is_one_device(device):
    with pytest.raises(ValueError, match="expected 'cpu', the one that there is"):
        minidl.device(device)
    for to in (model().to, minidl.ones(2).to):
        with pytest.raises(TypeError, match=f"to: expected .* the device 'cpu', got '{device}'"):
            to(device)


def test_scripts_that_choose_a_device():
    device = minidl.device("cuda" if minidl.cuda.is_available() else "cpu")
    assert str(device) == "cpu" == device.type and device == minidl.ones(2).device == "cpu"
    assert repr(device) == "device(type='cpu')" and {device: 1}[minidl.device("cpu:0")] == 1
    net = model().to(device)
    assert net[0].weight.device == device
    x = minidl.ones(3, 4).to(device)
    assert net(x).device == device
    with pytest.raises(TypeError, match=r"Sequential\.to: expected float32, float64 or the device 'cpu', got 'fast'"):
        net.to("fast")
    with pytest.raises(TypeError, match="expected float32 or float64, got int64"):
        net.to(minidl.int64)
    with pytest.raises(TypeError, match="expected a name such as 'cpu', got 3"):
        minidl.device(3)


def test_a_cast_within_a_step_runs_it_plain_and_says_so():
    net = model()

    @minidl.capture
    def step(x):
        y = net.double()(x.double())
        net.float()
        return y

    first, second = step(X), step(X)
    assert step.path == "plain: Sequential.to() changes the dtype of parameters"
    np.testing.assert_array_equal(first.detach().numpy(), second.detach().numpy())
