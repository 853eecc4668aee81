"""What the estimators answer for known weights: classes, decisions, probabilities and numbers."""
from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy import sparse
from scipy.special import expit

from minidl.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X = np.random.default_rng(0).normal(size=(24, 3))
QUESTIONS = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [-0.5, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, -3.0, 2.0]])


def fitted(kind, y, W, b, **settings):
    """An estimator without hidden layers whose raw outputs are x W + b."""
    estimator = kind(hidden_layer_sizes=(), max_iter=1, random_state=0, **settings).fit(X, y)
    estimator.coefs_, estimator.intercepts_ = [np.asarray(W, float)], [np.asarray(b, float)]
    return estimator


def softmax(z):
    return np.exp(z) / np.exp(z).sum(1, keepdims=True)


def test_two_classes_by_one_output():
    estimator = fitted(MLPClassifier, np.where(X[:, 0] > 0, "yes", "no"), [[1], [1], [0]], [0])
    assert estimator.n_outputs_ == 1 and estimator.out_activation_ == "logistic"
    raw = np.array([0.0, 0.5, -0.5, 3.0, -3.0])
    np.testing.assert_array_equal(estimator.decision_function(QUESTIONS), raw)
    assert estimator.predict(QUESTIONS).tolist() == ["no", "yes", "no", "yes", "no"]  # 0 is no more than 0
    np.testing.assert_allclose(estimator.predict_proba(QUESTIONS), np.c_[1 - expit(raw), expit(raw)], rtol=1e-12)
    assert estimator.decision_function(QUESTIONS[1:2]).shape == (1,)
    assert estimator.predict_proba(QUESTIONS[1:2]).shape == (1, 2)
    assert estimator.predict(QUESTIONS[1:2]).tolist() == ["yes"]


def test_two_classes_by_two_outputs():
    estimator = fitted(MLPClassifier, X[:, 0] > 0, [[1, 2], [0.5, 1], [0, -4]], [0.25, 0.25], loss="CrossEntropyLoss")
    assert estimator.n_outputs_ == 2 and estimator.out_activation_ == "softmax"
    raw = QUESTIONS @ [[1, 2], [0.5, 1], [0, -4]] + 0.25
    np.testing.assert_allclose(estimator.decision_function(QUESTIONS), [0, 0.5, -0.5, 1.5, -9.5], atol=1e-12)
    assert estimator.predict(QUESTIONS).tolist() == [False, True, False, True, False]
    np.testing.assert_allclose(estimator.predict_proba(QUESTIONS), softmax(raw), rtol=1e-12)


def test_three_classes():
    W = [[1, 2, 3], [0, 1, 0], [0, 0, 4]]
    estimator = fitted(MLPClassifier, np.arange(24) % 3 + 5, W, [0.1, 0, 0])
    raw = QUESTIONS @ W + [0.1, 0, 0]
    assert estimator.n_outputs_ == 3 and estimator.out_activation_ == "softmax"
    np.testing.assert_allclose(estimator.decision_function(QUESTIONS), raw, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(estimator.predict_proba(QUESTIONS), softmax(raw), rtol=1e-12)
    assert estimator.predict(QUESTIONS).tolist() == [5, 7, 5, 6, 7]
    assert estimator.predict(QUESTIONS[1:2]).tolist() == [7]
    assert estimator.decision_function(QUESTIONS[:1]).shape == (1, 3)


@pytest.mark.parametrize("count", [2, 3])
def test_labels(count):
    Y = (X[:, :count] > 0).astype(int)
    W = np.eye(3)[:, :count]
    estimator = fitted(MLPClassifier, Y, W, np.full(count, 0.25))
    raw = QUESTIONS[:, :count] + 0.25
    assert estimator.n_outputs_ == count and estimator.out_activation_ == "logistic"
    np.testing.assert_array_equal(estimator.predict(QUESTIONS), (raw > 0).astype(int))
    np.testing.assert_array_equal(estimator.decision_function(QUESTIONS), raw)
    np.testing.assert_allclose(estimator.predict_proba(QUESTIONS), expit(raw), rtol=1e-12)
    np.testing.assert_array_equal(estimator.predict(QUESTIONS[2:3]), (raw[2:3] > 0).astype(int))
    assert estimator.predict_proba(QUESTIONS[:1]).shape == (1, count)
    assert estimator.decision_function(QUESTIONS[:1]).shape == (1, count)
    assert estimator.score(QUESTIONS, estimator.predict(QUESTIONS)) == 1


@pytest.mark.parametrize("loss", ["log_loss", "CrossEntropyLoss"])
def test_one_class(loss):
    estimator = MLPClassifier((), max_iter=1, loss=loss).fit(X, np.full(24, "a"))
    assert estimator.n_outputs_ == (1 if loss == "log_loss" else 2)
    for sign in (-1, 1):
        estimator.intercepts_ = [sign * np.arange(float(estimator.n_outputs_)) + 3 * sign]
        assert estimator.predict(QUESTIONS).tolist() == ["a"] * 5


def test_logarithms_of_probabilities():
    estimator = fitted(MLPClassifier, X[:, 0] > 0, [[4000], [1], [0]], [0])
    found = estimator.predict_log_proba(QUESTIONS)  # without a warning of a logarithm of zero
    assert found[2].tolist() == [0, -np.inf] and found[0] == pytest.approx(np.log([0.5, 0.5]))


def test_numbers():
    one = fitted(MLPRegressor, X[:, 0], [[1], [2], [3]], [0.5])
    np.testing.assert_allclose(one.predict(QUESTIONS), QUESTIONS @ [1, 2, 3] + 0.5)
    assert one.predict(QUESTIONS[:1]).shape == (1,) and one.out_activation_ == "identity" and one.n_outputs_ == 1
    two = fitted(MLPRegressor, X[:, :2], np.eye(3)[:, :2], [1, 2])
    np.testing.assert_allclose(two.predict(QUESTIONS), QUESTIONS[:, :2] + [1, 2])
    assert two.predict(QUESTIONS[:1]).shape == (1, 2) and two.n_outputs_ == 2
    counts = fitted(MLPRegressor, np.arange(24), [[1], [2], [3]], [0.5], loss="poisson")
    np.testing.assert_allclose(counts.predict(QUESTIONS), np.exp(QUESTIONS @ [1, 2, 3] + 0.5))
    assert counts.out_activation_ == "exp"


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix])
def test_many_sparse_rows(form):
    x = np.random.default_rng(1).normal(size=(2500, 3)) * (np.arange(7500).reshape(2500, 3) % 3 == 0)
    number = fitted(MLPRegressor, X[:, 0], [[1], [2], [3]], [0.5])
    np.testing.assert_allclose(number.predict(form(x)), x @ [1, 2, 3] + 0.5)
    classes = fitted(MLPClassifier, np.arange(24) % 3, np.eye(3), np.zeros(3))
    np.testing.assert_array_equal(classes.decision_function(form(x)), x)


def test_a_column_is_one_output_with_a_warning():
    for kind, y in ((MLPClassifier, X[:, :1] > 0), (MLPRegressor, X[:, :1])):
        with pytest.warns(Warning, match="column-vector"):
            estimator = kind(max_iter=1).fit(X, y)
        assert estimator.predict(X).shape == (24,)


def test_numbers_that_are_not_floats_are_float64():
    for kind in (MLPClassifier, MLPRegressor):
        estimator = kind(max_iter=1).fit((10 * X).astype(int), np.arange(24) % 2)
        assert {array.dtype for array in estimator.coefs_} == {np.dtype(np.float64)}


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_held_out_rows_of_a_table_are_judged_without_a_word_on_its_names(kind):
    table = pytest.importorskip("pandas").DataFrame(X, columns=["a", "b", "c"])
    estimator = kind(max_iter=2, early_stopping=True, validation_fraction=0.2).fit(table, np.arange(24) % 2)
    assert estimator.feature_names_in_.tolist() == ["a", "b", "c"] and len(estimator.validation_scores_) == 2
    with pytest.warns(UserWarning, match="valid feature names"):
        estimator.predict(X)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_the_weights_of_several_calls(kind):
    """A fit from the start forgets what the one before has told."""
    estimator = kind(max_iter=3, early_stopping=True, validation_fraction=0.2, random_state=0)
    estimator.fit(X, np.arange(24) % 2)
    assert estimator.best_loss_ is None and len(estimator.validation_scores_) == 3
    estimator.set_params(early_stopping=False).fit(X, np.arange(24) % 2)
    assert estimator.best_loss_ == min(estimator.loss_curve_) and estimator.validation_scores_ is None
    assert estimator.best_validation_score_ is None
    estimator.set_params(solver="lbfgs").fit(X, np.arange(24) % 2)
    assert not {"loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_"} & vars(estimator).keys()
