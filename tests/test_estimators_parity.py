"""In float64, with one random_state, the estimators do what scikit-learn's do: the same network after each epoch."""
import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.preprocessing import StandardScaler

from minidl.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
MINE = {TheirClassifier: MLPClassifier, TheirRegressor: MLPRegressor}
RNG = np.random.default_rng(0)


def scaled(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


X, Y = scaled(load_diabetes)
Y = (Y - Y.mean()) / Y.std()
DATA = {
    "several classes": (TheirClassifier, scaled(load_iris)),
    "two classes": (TheirClassifier, scaled(load_breast_cancer)),
    "labels": (TheirClassifier, (X, (X[:, :3] > 0).astype(int))), "numbers": (TheirRegressor, (X, Y)),
    "several outputs": (TheirRegressor, (X, np.c_[Y, Y ** 2, X[:, 0]])),
}
SETTINGS = [
    {}, {"alpha": 0.0}, {"alpha": 1.0}, {"hidden_layer_sizes": (20, 10, 5)}, {"hidden_layer_sizes": ()},
    {"hidden_layer_sizes": 7}, {"activation": "tanh"}, {"activation": "logistic"}, {"activation": "identity"},
    {"batch_size": 16}, {"batch_size": 33, "shuffle": False}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
    {"early_stopping": True, "validation_fraction": 0.3}, {"tol": 1e-1, "n_iter_no_change": 2, "max_iter": 50},
    {"solver": "sgd"}, {"solver": "sgd", "nesterovs_momentum": False}, {"solver": "sgd", "momentum": 0.0},
    {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1, "power_t": 0.2},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.05, "tol": 0.02, "n_iter_no_change": 1,
     "max_iter": 40},
    {"solver": "sgd", "learning_rate": "adaptive", "early_stopping": True, "n_iter_no_change": 1, "tol": 0.1},
]


def alike(mine, theirs, rtol=1e-9):
    assert mine.n_iter_ == theirs.n_iter_ and mine.t_ == theirs.t_
    assert mine.out_activation_ == theirs.out_activation_ and mine.n_layers_ == theirs.n_layers_
    for ours, expected in zip(mine.coefs_ + mine.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=rtol, atol=1e-10)
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=rtol)
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=rtol)
    for name in ("best_loss_", "best_validation_score_", "validation_scores_"):
        ours, expected = getattr(mine, name), getattr(theirs, name)
        assert (ours is None) == (expected is None), name
        if expected is not None:
            np.testing.assert_allclose(ours, expected, rtol=rtol, err_msg=name)


def both(kind, **settings):
    return [make(**{"random_state": 1, "max_iter": 8, **settings}) for make in (MINE[kind], kind)]


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("data", DATA)
def test_fit(data, settings, weighted):
    kind, (x, y) = DATA[data]
    weight = np.random.default_rng(0).random(len(x)) * 3 if weighted else None
    mine, theirs = both(kind, **settings)
    alike(mine.fit(x, y, weight), theirs.fit(x, y, weight))
    np.testing.assert_allclose(mine.predict(x), theirs.predict(x), rtol=1e-8)
    if kind is TheirClassifier:
        np.testing.assert_allclose(mine.predict_proba(x), theirs.predict_proba(x), rtol=1e-8)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_poisson(weighted):
    counts = RNG.poisson(np.exp(Y))
    weight = RNG.random(len(Y)) if weighted else None
    mine, theirs = both(TheirRegressor, loss="poisson")
    alike(mine.fit(X, counts, weight), theirs.fit(X, counts, weight))
    np.testing.assert_allclose(mine.predict(X), theirs.predict(X), rtol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("data", DATA)
def test_partial_fit(data, solver):
    kind, (x, y) = DATA[data]
    mine, theirs = both(kind, solver=solver)
    for rows in (slice(0, 90), slice(30, 150), slice(0, 150)):
        known = np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])
        classes = {"classes": known} if kind is TheirClassifier else {}
        alike(mine.partial_fit(x[rows], y[rows], **classes), theirs.partial_fit(x[rows], y[rows], **classes))


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 0.02), (np.float64, 1e-8)])
def test_digits_in_both_dtypes(dtype, rtol):
    x, y = load_digits(return_X_y=True)
    mine, theirs = both(TheirClassifier, max_iter=12)
    mine.fit(x.astype(dtype), y)
    theirs.fit(x.astype(dtype), y)
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=rtol)


@pytest.mark.parametrize("data", DATA)
def test_lbfgs_ends_as_low(data):
    """The line searches differ; of a convex problem, without hidden layers, the ends are the same."""
    kind, (x, y) = DATA[data]
    mine, theirs = both(kind, solver="lbfgs", hidden_layer_sizes=(), alpha=1.0, max_iter=2000, tol=1e-8)
    mine.fit(x, y)
    theirs.fit(x, y)
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-5)
    for ours, expected in zip(mine.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(ours, expected, atol=0.02)
    mine, theirs = both(kind, solver="lbfgs", max_iter=60)
    assert mine.fit(x, y).loss_ < 2 * theirs.fit(x, y).loss_ + 1e-3


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("data", DATA)
def test_weights_are_repeats(data, solver):
    kind, (x, y) = DATA[data]
    times = np.random.default_rng(0).integers(0, 3, len(x))
    settings = {"solver": solver, "batch_size": 10_000, "max_iter": 5, "random_state": 0, "shuffle": False}
    with pytest.warns(UserWarning) if solver != "lbfgs" else pytest.warns(Warning):
        a = MINE[kind](**settings).fit(x, y, times)
    with pytest.warns(Warning):
        b = MINE[kind](**settings).fit(np.repeat(x, times, axis=0), np.repeat(y, times, axis=0))
    for ours, expected in zip(a.coefs_, b.coefs_, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9)
