"""Lists and dictionaries of modules, Flatten, Identity and Dropout: what each method does and refuses."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional, nn


def modules(n=4):
    return [nn.Linear(2, 2, generator=i) for i in range(n)]


@pytest.mark.parametrize("kind", [nn.ModuleList, nn.Sequential])
def test_a_list_of_modules(kind):
    a, b, c, d = modules()
    members = kind([a, b])
    assert list(members) == [a, b] and len(members) == 2 and len(kind()) == 0 and list(kind([])) == []
    assert members.append(c) is members and members.extend([d]) is members and list(members) == [a, b, c, d]
    assert members[1] is b and members[-1] is d
    assert type(members[1:3]) is kind and list(members[1:3]) == [b, c] and list(members[::-2]) == [d, b]
    assert members.pop() is d and members.pop(0) is a and list(members) == [b, c]
    assert members.insert(1, a) is None and list(members) == [b, a, c]
    members[0] = d
    del members[1]
    assert list(members) == [d, c]
    assert list(members.named_children()) == [("0", d), ("1", c)]
    assert list(members.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    for wrong in (lambda: members.append(1), lambda: members.insert(0, np.tanh), lambda: members.extend([c, None]),
                  lambda: members.__setitem__(0, "x")):
        with pytest.raises(TypeError, match=f"^{kind.__name__}: expected modules, got (int|ufunc|NoneType|str)$"):
            wrong()


def test_sequential_of_one_module_of_several_and_of_a_list():
    a, b, *_ = modules()
    assert list(nn.Sequential(a)) == [a] and list(nn.Sequential(a, b)) == [a, b]
    assert list(nn.Sequential([a, b])) == [a, b] and list(nn.Sequential(m for m in (a, b))) == [a, b]
    assert list(nn.Sequential(nn.Sequential(a), b)[0]) == [a]
    assert list(nn.Sequential([a])) == [a]


def test_a_dictionary_of_modules():
    a, b, c, _ = modules()
    members = nn.ModuleDict({"a": a})
    members["b"] = b
    assert members["a"] is a and list(members) == ["a", "b"] and len(members) == 2
    assert "a" in members and "c" not in members
    assert list(members.keys()) == ["a", "b"] and list(members.values()) == [a, b]
    assert list(members.items()) == [("a", a), ("b", b)] == list(members.named_children())
    assert list(members.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias"]
    members["a"] = c
    assert list(members.values()) == [c, b]
    del members["a"]
    assert list(members) == ["b"] and list(nn.ModuleDict([("x", a)]).items()) == [("x", a)]
    assert len(nn.ModuleDict()) == 0
    with pytest.raises(TypeError, match=r"^ModuleDict: expected modules, got int$"):
        members["c"] = 1
    assert list(members) == ["b"]


def test_sequential_there_and_back_and_no_further_than_there_are_parameters():
    x, g = np.array([[1.0, -2.0]]), np.array([[3.0, 5.0]])
    layer = nn.Linear(2, 2, dtype=np.float64)
    layer.weight.data, layer.bias.data = np.array([[1.0, 2], [3, 4]]), np.zeros(2)

    class Counted(nn.Tanh):
        calls = 0

        def backward(self, gradient):
            self.calls += 1
            return super().backward(gradient)

    first = Counted()
    model = nn.Sequential(first, layer, nn.ReLU())
    y = model.forward(x)
    h = np.tanh(x)
    np.testing.assert_allclose(y, np.maximum(h @ layer.weight.data.T, 0), rtol=1e-14)
    mask = y > 0
    np.testing.assert_allclose(model.backward(g), ((g * mask) @ layer.weight.data) * (1 - h * h), rtol=1e-12)
    np.testing.assert_allclose(layer.weight.grad, (g * mask).T @ h, rtol=1e-12)
    assert first.calls == 1
    layer.zero_grad()
    assert model.accumulate(g) is None
    np.testing.assert_allclose(layer.weight.grad, (g * mask).T @ h, rtol=1e-12)
    assert first.calls == 1  # nothing below needs it
    untrained = nn.Sequential(nn.Tanh())
    untrained.forward(h)
    assert untrained.accumulate(g) is None


def test_a_module_that_stands_in_a_sequence_twice_goes_back_through_both():
    tanh = nn.Tanh()
    x = np.array([0.5])
    model = nn.Sequential(tanh, tanh)
    model.forward(x)
    y = np.tanh(x)
    np.testing.assert_allclose(model.backward(np.ones(1)), (1 - np.tanh(y) ** 2) * (1 - y ** 2), rtol=1e-14)


@pytest.mark.parametrize("arguments, shape", [
    ((), (2, 60)), ((0,), (120,)), ((1, 2), (2, 12, 5)), ((-2,), (2, 3, 20)), ((0, -2), (24, 5)),
    ((1, 1), (2, 3, 4, 5)), ((3,), (2, 3, 4, 5)), ((2, 3), (2, 3, 20)), ((-4, -1), (120,))])
def test_flatten(arguments, shape):
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    module = nn.Flatten(*arguments)
    y = module.forward(x)
    assert y.shape == shape and y.ravel().tolist() == x.ravel().tolist()
    assert module.backward(y + 1).tolist() == (x + 1).tolist()
    assert module(minidl.tensor(x)).shape == shape
    start, end = (*arguments, *(1, -1)[len(arguments):])
    assert repr(module) == f"Flatten(start_dim={start}, end_dim={end})"
    with pytest.raises(ValueError, match=r"Flatten.*gradient"):
        module.backward(np.zeros((1, *shape)))
    with pytest.raises(TypeError, match=r"Flatten.*gradient"):
        module.backward(y.astype(np.float32))


@pytest.mark.parametrize("arguments, shape", [((), (3,)), ((2, 1), (1, 1, 1)), ((0, 2), (1, 1)), ((-3,), (1, 1)),
                                              ((2,), (1, 1)), ((0, -3), (1, 1))])
def test_flatten_of_axes_that_are_not_there(arguments, shape):
    with pytest.raises(ValueError, match=r"^Flatten\(.*\): expected an input that has these axes"):
        nn.Flatten(*arguments).forward(np.zeros(shape))


def test_identity():
    module, x = nn.Identity(), np.ones((2, 3))
    assert module.forward(x) is x and module.backward(x) is x
    with pytest.raises(ValueError, match=r"Identity.*gradient"):
        module.backward(np.ones((2, 2)))
    with pytest.raises(TypeError, match=r"Identity.*gradient"):
        module.backward(np.ones((2, 3), np.float32))


# Dropout

@pytest.mark.parametrize("p, scale", [(0.25, 4 / 3), (0.5, 2), (0.75, 4), (1, 0), (0, 1)])
def test_what_dropout_keeps(p, scale):
    """Kept is what the generator draws at or above p."""
    x, g = np.random.default_rng(1).normal(size=(20, 30)), np.random.default_rng(2).normal(size=(20, 30))
    kept = np.random.default_rng(0).random((20, 30)) >= p
    expected = np.where(kept, scale, 0.0)
    module = nn.Dropout(p, generator=0)
    np.testing.assert_allclose(module.forward(x), x * expected, rtol=1e-15)
    np.testing.assert_allclose(module.backward(g), g * expected, rtol=1e-15)
    np.testing.assert_allclose(functional.dropout(x, p, generator=0), x * expected, rtol=1e-15)
    t = minidl.tensor(x, requires_grad=True)
    functional.dropout(t, p, generator=0).backward(g)
    np.testing.assert_allclose(t.grad, g * expected, rtol=1e-15)
    assert repr(module) == f"Dropout(p={p})"


def test_dropout_passes_all_in_evaluation():
    x = np.ones((3, 3), np.float32)
    module = nn.Dropout().eval()
    assert module.forward(x) is x and module.backward(x) is x
    assert functional.dropout(x, training=False) is x and functional.dropout(x, 0) is x
    assert functional.dropout(x, 0.5, False) is x


def test_dropout_draws_by_default_from_minidls_own_stream():
    x = np.ones(100, np.float32)
    minidl.manual_seed(3)
    one = nn.Dropout()(x)
    minidl.manual_seed(3)
    assert one.tolist() == functional.dropout(x).tolist()
    kept = np.random.default_rng(3).random(100, dtype=np.float32) >= 0.5
    assert one.tolist() == (2 * kept).tolist() and one.dtype == np.float32


@pytest.mark.parametrize("p", [-0.01, 1.01, float("nan")])
def test_probabilities_that_are_none(p):
    with pytest.raises(ValueError, match=f"^Dropout: expected a probability 0 <= p <= 1, got {p}$"):
        nn.Dropout(p)
    with pytest.raises(ValueError, match=f"^dropout: expected a probability 0 <= p <= 1, got {p}$"):
        functional.dropout(np.ones(2), p)


@pytest.mark.parametrize("x", [np.ones(3, np.int64), [1.0, 2.0], np.ones(2, np.float16)])
def test_dropout_of_what_is_no_array_of_floats(x):
    for module in (nn.Dropout(), nn.Dropout().eval(), nn.Dropout(0)):
        with pytest.raises(TypeError, match=r"^Dropout\(p=.*\): "):
            module.forward(x)
    with pytest.raises(TypeError, match=r"^dropout: "):
        functional.dropout(x)


@pytest.mark.parametrize("convert", [np.asarray, minidl.tensor])
def test_a_sequential_calls_a_module_that_has_a_call_of_its_own(convert):
    class Called(nn.Module):
        def __call__(self, x):
            return super().__call__(x) + 1

        def forward(self, x):
            return x * 2

    y = nn.Sequential(Called(), Called())(convert(np.ones((1, 2), np.float32)))
    assert np.asarray(y.tolist()).tolist() == [[7, 7]]


@pytest.mark.parametrize("modules, reads", [
    ([nn.Tanh()], "y"), ([nn.Linear(2, 2)], "x"), ([nn.Linear(2, 2), nn.Tanh(), nn.Identity()], "xy"),
    ([nn.Identity(), nn.Linear(2, 2), nn.Identity(), nn.Sigmoid(), nn.Identity(), nn.Flatten()], "xy"),
    ([nn.Identity(), nn.Tanh(), nn.Linear(2, 2)], ""), ([nn.Identity(), nn.Flatten()], ""), ([], ""),
])
def test_what_the_backward_of_a_sequential_reads(modules, reads):
    """The input and the output of the whole, by the first and the last member that do more than pass them on."""
    assert nn.Sequential(modules).reads == reads


def test_a_forward_that_leaves_the_tape_gives_what_it_returns():
    class Twice(nn.Module):
        def forward(self, x):
            return x.data * 2

    assert Twice()(np.ones((1, 2), np.float32)).tolist() == [[2, 2]]
