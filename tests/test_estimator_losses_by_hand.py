"""The losses of the estimators by their formulas: values, gradients, weights, penalties, what is reported."""
from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from minidl import Tensor, nn
from minidl.estimators import MLPClassifier, MLPRegressor, lbfgs
from minidl.estimators.losses import HalfSquares, LogisticLoss, loss_of, objective

QUIET = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
Z, X = RNG.normal(size=(6, 3)) * 3, RNG.normal(size=(20, 4))
BITS, COUNTS, NUMBERS = (Z > 1).astype(float), np.floor(np.abs(Z)), RNG.normal(size=(6, 3))
WEIGHT = np.array([0.0, 1.0, 2.0, 0.5, 3.0, 0.25])


def logistic(z, t):
    return -(t * np.log(expit(z)) + (1 - t) * np.log(expit(-z))), expit(z) - t


def half_squares(z, t):
    return (z - t) ** 2 / 2, z - t


def poisson(z, t):
    return np.exp(z) - t * z + t * np.log(np.where(t, t, 1)) - t, np.exp(z) - t


NAMED = {"log_loss": (logistic, BITS, "logistic"), "squared_error": (half_squares, NUMBERS, "identity"),
         "poisson": (poisson, COUNTS, "exp")}


@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("name", NAMED)
def test_a_loss_by_its_name(name, dtype, rtol):
    formula, target, out = NAMED[name]
    z, t = Z.astype(dtype), target.astype(dtype)
    values, slopes = formula(Z, target)
    found = objective(name, out, 3, False)
    assert found.loss == name and found.reported == (1 / 3 if name == "squared_error" else 1)
    assert float(found.criterion(z, t)) == pytest.approx(values.sum() / 6, rel=rtol)
    np.testing.assert_allclose(found.criterion.backward(), slopes / 6, rtol=20 * rtol, atol=1e-6 * (rtol > 1e-6))
    given = Tensor(z, requires_grad=True)
    loss = found.function(given, Tensor(t))
    loss.backward()
    assert loss.dtype == dtype and loss.item() == pytest.approx(values.sum() / 6, rel=rtol)
    np.testing.assert_allclose(given.grad, slopes / 6, rtol=20 * rtol, atol=1e-6 * (rtol > 1e-6))


@pytest.mark.parametrize("name", NAMED)
def test_a_loss_with_weights(name):
    formula, target, out = NAMED[name]
    values, slopes = formula(Z, target)
    found = objective(name, out, 3, True)
    assert found.loss == name and found.reported == (1 / 3 if name == "squared_error" else 1)
    expected = (WEIGHT[:, None] * values).sum() / WEIGHT.sum()
    assert float(found.criterion(Z, (target, WEIGHT))) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(found.criterion.backward(), WEIGHT[:, None] * slopes / WEIGHT.sum(), rtol=1e-12)
    assert found.function(Tensor(Z), (Tensor(target), Tensor(WEIGHT))).item() == pytest.approx(expected, rel=1e-12)
    assert float(found.criterion(Z, (target, 0 * WEIGHT))) == 0


@pytest.mark.parametrize("kind, formula, target", [
    (LogisticLoss, logistic, BITS), (HalfSquares, half_squares, NUMBERS)])
def test_a_loss_on_arrays_times_a_number(kind, formula, target):
    loss = kind()
    for dtype in (np.float32, np.float64):
        loss(Z.astype(dtype), target.astype(dtype))
        gradient = loss.backward(3.0)
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, formula(Z, target)[1] / 2, rtol=1e-4)
    with pytest.raises(RuntimeError):
        kind().backward()


def test_large_logits():
    loss = LogisticLoss()
    z, t = np.array([[800.0], [-800.0], [800.0], [-800.0], [0.0]]), np.array([[1.0], [0.0], [0.0], [1.0], [0.5]])
    assert loss(z, t) == pytest.approx((1600 + np.log(2)) / 5, rel=1e-14)
    assert loss.backward().tolist() == [[0.0], [0.0], [0.2], [-0.2], [0.0]]


def test_classes_have_the_cross_entropy():
    labels = np.arange(6) % 3
    found = objective("log_loss", "softmax", 3, False)
    each = np.log(np.exp(Z).sum(1)) - Z[np.arange(6), labels]
    assert found.loss == "log_loss" and found.reported == 1 and found.function is found.criterion
    assert float(found.criterion(Z, labels)) == pytest.approx(each.mean(), rel=1e-12)
    weighted = objective("log_loss", "softmax", 3, True)
    assert float(weighted.criterion(Z, (labels, WEIGHT))) == pytest.approx(WEIGHT @ each / WEIGHT.sum(), rel=1e-12)


def test_which_losses_are_taken():
    def own(z, t):
        return ((z - t) ** 2).mean()

    given = nn.HuberLoss(delta=0.5)
    assert loss_of("poisson", ("poisson",)) == "poisson" and loss_of(own, ()) is own
    assert type(loss_of("HuberLoss", ())) is nn.HuberLoss
    copied = loss_of(given, ())
    assert copied is not given and copied(Z, Z + 2) == given(Z, Z + 2)
    for wrong in ("poisson", "Loss", "Linear", "functional", "huberloss", "Module"):
        with pytest.raises(ValueError, match=r"^loss: expected 'a', 'b', the name of a loss of minidl.nn, a loss or a"):
            loss_of(wrong, ("a", "b"))
    for wrong in (3, None, nn.HuberLoss):
        with pytest.raises(ValueError, match=r"^loss: expected a name, a loss or a function of output and target, got"):
            loss_of(wrong, ("a",))


@QUIET
def test_counts_below_zero_are_refused():
    MLPRegressor("poisson", (), solver="lbfgs", max_iter=500).fit(X, np.arange(20))
    with pytest.raises(ValueError, match=r"^loss='poisson': expected targets >= 0$"):
        MLPRegressor(loss="poisson").fit(X, np.arange(20) - 1)


# L-BFGS

def trained(kind, y, weight=None, **settings):
    settings = {"hidden_layer_sizes": (3,), "activation": "tanh", "solver": "lbfgs", "random_state": 0, "alpha": 0.5,
                "max_iter": 1000} | settings
    return kind(**settings).fit(X, y, weight)


@QUIET
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("kind, y", [
    (MLPRegressor, X[:, 0]), (MLPRegressor, np.c_[X[:, 0], X[:, 1] ** 2, X[:, 3]]), (MLPClassifier, np.arange(20) % 3),
    (MLPClassifier, np.arange(20) % 2)])
def test_the_loss_at_the_end_and_its_gradient(kind, y, alpha, weighted):
    """loss_ is the mean of the losses and alpha / 2 Σ w² over the weights, per sample; its gradient is near zero."""
    weight = np.linspace(0.2, 2, 20) if weighted else None
    estimator = trained(kind, y, weight, alpha=alpha, max_iter=300)
    w = np.ones(20) if weight is None else weight
    (A, B), (a, b) = estimator.coefs_, estimator.intercepts_
    hidden = np.tanh(X @ A + a)
    raw = hidden @ B + b
    if kind is MLPRegressor:
        d = raw - y.reshape(20, -1)
        value = (w[:, None] * d * d).sum() / 2 / w.sum() / d.shape[1]
    elif raw.shape[1] == 1:
        each, d = logistic(raw, y[:, None])
        value = w @ each[:, 0] / w.sum()
    else:
        d = np.exp(raw) / np.exp(raw).sum(1, keepdims=True) - np.eye(3)[y]
        value = w @ (np.log(np.exp(raw).sum(1)) - raw[np.arange(20), y]) / w.sum()
    value += alpha / 2 * ((A * A).sum() + (B * B).sum()) / w.sum()
    assert estimator.loss_ == pytest.approx(value, rel=1e-9)
    if alpha:
        slope = hidden.T @ (w[:, None] * d) / w.sum() + alpha / w.sum() * B
        assert np.abs(slope).max() < 2e-4
        assert np.abs((w[:, None] * d).sum(0)).max() / w.sum() < 2e-4
    assert not estimator.module_.training


def test_what_lbfgs_is_told(monkeypatch):
    told, real = [], lbfgs.LBFGS

    def make(parameters, **settings):
        told.append(settings)
        return real(parameters, **settings)

    monkeypatch.setattr(lbfgs, "LBFGS", make)
    trained(MLPRegressor, X[:, 0], max_iter=np.int64(900), max_fun=1234, tol=0.5)
    assert told == [{"max_iter": 900, "max_eval": 1234, "tolerance_grad": 0.5, "tolerance_change": 2e-9,
                     "history_size": 10, "line_search_fn": "strong_wolfe"}]  # SciPy's


def test_which_limit_ended_lbfgs():
    def warned(**settings):
        with pytest.warns(ConvergenceWarning) as caught:
            estimator = trained(MLPRegressor, X[:, 0], tol=0, **settings)
        assert [warning.filename for warning in caught] == [__file__]
        return str(caught[0].message), estimator.n_iter_

    text = "lbfgs failed to converge: it stopped at {}. Increase it, or scale the data."
    assert warned(max_iter=3) == (text.format("max_iter=3"), 3)
    assert warned(max_iter=1, max_fun=1) == (text.format("max_iter=1"), 1)
    said, steps = warned(max_fun=4)
    assert said == text.format("max_fun=4") and 0 < steps <= 4
    assert trained(MLPRegressor, X[:, 0], tol=0.1).n_iter_ < 100  # no warning, which would be an error


@QUIET
def test_a_network_is_in_training_mode_while_lbfgs_trains():
    class Trained(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(4, 1, dtype=np.float64, generator=0)

        def forward(self, x):
            if not self.training:
                raise LookupError
            return self.inner(x)

    estimator = MLPRegressor(module=Trained().eval(), solver="lbfgs", max_iter=1).fit(X, X[:, 0])
    assert not estimator.module_.training
