"""Distributions and random choices: against PyTorch's formulas, and counted."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import numbers
from theirs import torch

import minidl
from minidl import distributions
from minidl import functional as F

POSITIVE = np.exp(numbers((3, 4), np.float64, seed=1))
SHARES = 1 / (1 + np.exp(-numbers((3, 4), np.float64)))
CASES = [  # name, parameters by their names, values
    ("Normal", {"loc": numbers((3, 4), np.float64), "scale": POSITIVE}, numbers((3, 4), np.float64, seed=2)),
    ("Normal", {"loc": numbers(4, np.float64), "scale": POSITIVE}, numbers((2, 3, 4), np.float64, seed=2)),
    ("Categorical", {"logits": numbers((3, 4), np.float64)}, np.array([0, 3, 1])),
    ("Categorical", {"logits": numbers((3, 4), np.float64)}, np.array([[0, 3, 1], [2, 2, 0]])),
    ("Categorical", {"probs": POSITIVE}, np.array([1, 1, 2])),
    ("Categorical", {"probs": POSITIVE[0]}, np.array([1, 1, 2])),
    ("Bernoulli", {"logits": numbers((3, 4), np.float64)}, (numbers((3, 4), np.float64, seed=5) > 0) * 1.0),
    ("Bernoulli", {"probs": SHARES}, (numbers((3, 4), np.float64, seed=5) > 0) * 1.0),
]
ATTRIBUTES = {"Normal": ["mean", "variance", "stddev"], "Categorical": ["probs", "logits"],
              "Bernoulli": ["mean", "variance", "probs", "logits"]}


def made(name: str, settings: dict, L, tensor):
    """A distribution, and its parameters, which require gradients."""
    leaves = {key: tensor(value.copy()).requires_grad_() for key, value in settings.items()}
    return getattr(L, name)(**leaves), list(leaves.values())


def test_every_distribution_has_a_case():
    kinds = {name for name in distributions.__all__ if name[0].isupper()}
    assert kinds - {"Distribution"} == {name for name, *_ in CASES} == set(ATTRIBUTES)


@pytest.mark.parametrize("name, settings, value", CASES, ids=str)
def test_as_in_pytorch(name, settings, value):
    mine, leaves = made(name, settings, distributions, minidl.tensor)
    theirs, their_leaves = made(name, settings, torch.distributions, torch.tensor)
    assert mine.batch_shape == tuple(theirs.batch_shape)
    for part in (lambda d, v: d.log_prob(v), lambda d, v: d.entropy(),
                 *[lambda d, v, key=key: getattr(d, key) for key in ATTRIBUTES[name]]):
        y, expected = part(mine, minidl.tensor(value)), part(theirs, torch.from_numpy(value))
        np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
        if not expected.requires_grad:
            continue
        weights = numbers(y.shape, np.float64, seed=7)
        mine_g = minidl.autograd.grad(y, leaves, weights, retain_graph=True, allow_unused=True)
        their_g = torch.autograd.grad(expected, their_leaves, torch.from_numpy(np.asarray(weights)), retain_graph=True,
                                      allow_unused=True)
        for a, b in zip(mine_g, their_g, strict=True):
            wanted = 0 if b is None else b.numpy()
            np.testing.assert_allclose(0 if a is None else a.numpy(), wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name, settings, value", [CASES[0], CASES[2], CASES[4], CASES[6]], ids=str)
def test_divergences_as_in_pytorch(name, settings, value):
    other = {key: array[::-1].copy() for key, array in settings.items()}
    found = distributions.kl_divergence(*[made(name, one, distributions, minidl.tensor)[0]
                                          for one in (settings, other)])
    expected = torch.distributions.kl_divergence(*[made(name, one, torch.distributions, torch.tensor)[0]
                                                   for one in (settings, other)])
    np.testing.assert_allclose(found.data, expected.detach().numpy(), rtol=1e-10)
    with pytest.raises(NotImplementedError, match="no formula for"):
        distributions.kl_divergence(distributions.Normal(0, 1), distributions.Bernoulli(0.5))


@pytest.mark.parametrize("name, settings, value", CASES, ids=str)
def test_samples_have_the_probabilities(name, settings, value):
    minidl.manual_seed(0)
    d, leaves = made(name, settings, distributions, minidl.tensor)
    drawn = d.sample((20000,))
    assert drawn.shape == (20000, *d.batch_shape) and not drawn.requires_grad
    if name == "Categorical":
        assert drawn.dtype == np.int64
        drawn = F.one_hot(drawn, d.count).double()
        np.testing.assert_allclose(drawn.mean(0).data, d.probs.detach().data, atol=0.02)
        return
    np.testing.assert_allclose(drawn.mean(0).data, d.mean.detach().data, atol=0.03 * float(d.stddev.max()) + 0.01)
    np.testing.assert_allclose(drawn.std(0).data, d.stddev.detach().data, rtol=0.05, atol=0.01)
    if d.has_rsample:
        d.rsample((5,)).sum().backward()
        assert all(leaf.grad is not None for leaf in leaves)
        np.testing.assert_allclose(leaves[0].grad.sum(), 5 * np.prod(d.batch_shape))


def test_choices_have_their_weights():
    weights = minidl.tensor([[0.0, 1.0, 3.0, 0.0], [5.0, 0.0, 0.0, 5.0]])
    found = F.multinomial(weights, 20000, replacement=True, generator=0)
    assert found.shape == (2, 20000) and found.dtype == np.int64
    counts = np.stack([np.bincount(row, minlength=4) for row in found.numpy()]) / 20000
    np.testing.assert_allclose(counts, [[0, 0.25, 0.75, 0], [0.5, 0, 0, 0.5]], atol=0.02)
    pairs = F.multinomial(weights, 2, generator=0)
    assert sorted(pairs[0].tolist()) == [1, 2] and sorted(pairs[1].tolist()) == [0, 3]
    first = [F.multinomial(minidl.tensor([1.0, 2.0, 7.0]), 2, generator=k)[0].item() for k in range(2000)]
    np.testing.assert_allclose(np.bincount(first) / 2000, [0.1, 0.2, 0.7], atol=0.04)
    assert set(F.bernoulli(minidl.tensor([0.0, 1.0]).repeat(50), generator=0).tolist()) == {0.0, 1.0}
    assert isinstance(F.multinomial(np.array([1.0, 1.0]), 1, generator=0), np.ndarray)


@pytest.mark.parametrize("call, message", [
    (lambda: F.multinomial(minidl.tensor([1.0, 0.0]), 2), "expected 2 weights above 0 in each row, got 1"),
    (lambda: F.multinomial(minidl.tensor([0.0, 0.0]), 1, True), "expected 1 weights above 0"),
    (lambda: F.multinomial(minidl.tensor([1.0, -1.0]), 1), "finite weights of at least 0"),
    (lambda: F.multinomial(minidl.zeros(1, 1, 1), 1), "expected weights of shape"),
    (lambda: F.bernoulli(minidl.tensor([1.5])), "probabilities within"),
    (lambda: F.one_hot(minidl.tensor([3]), 3), "expected labels from 0 to 2, got 3"),
    (lambda: distributions.Normal(0.0, 0.0), "expected a scale above 0"),
    (lambda: distributions.Normal(float("nan"), 1.0), "expected a loc of numbers"),
    (lambda: distributions.Bernoulli(1.5), "expected probabilities within"),
    (lambda: distributions.Categorical([0.0, 0.0]), "expected finite probabilities"),
    (lambda: distributions.Categorical(logits=[float("nan")]), "expected logits that are numbers"),
    (lambda: distributions.Categorical(), "expected either probs or logits, got neither"),
    (lambda: distributions.Bernoulli(0.5, 0.5), "expected either probs or logits, got both")])
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_hot():
    labels = minidl.tensor([[0, 2], [1, 1]])
    expected = np.eye(3, dtype=np.int64)[labels.data]
    for found in (F.one_hot(labels), F.one_hot(labels, 3), F.one_hot(labels, num_classes=3)):
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found.data, expected)
    assert F.one_hot(labels, 5).shape == (2, 2, 5) and isinstance(F.one_hot(labels.data, 3), np.ndarray)
    with pytest.raises(TypeError, match="one_hot: expected integers"):
        F.one_hot(minidl.tensor([1.0]), 3)


def test_a_captured_step_draws_anew_with_the_bits_of_a_plain_one():
    @minidl.capture
    def captured(loc, logits, labels):
        normal = distributions.Normal(loc, F.exp(loc))
        chosen = distributions.Categorical(logits=logits)
        action = chosen.sample()
        coin = distributions.Bernoulli(logits=logits).sample()
        return (normal.rsample() + normal.log_prob(loc * 2) + normal.entropy(), chosen.log_prob(action), action, coin,
                F.multinomial(F.softmax(logits, -1), 2), F.one_hot(labels, 4), chosen.entropy())

    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal(3), rng.standard_normal((5, 4)), rng.integers(0, 4, 3)) for _ in range(6)]
    runs = []
    for step in (captured, captured.function if hasattr(captured, "function") else captured.__wrapped__):
        minidl.manual_seed(3)
        runs.append([[x.data.tobytes() for x in step(*map(minidl.tensor, batch))] for batch in batches])
    assert runs[0] == runs[1] and captured.path == "compiled"
    assert len({found[0] for found in runs[0]}) == 6
