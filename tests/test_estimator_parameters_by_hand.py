"""Which values of the estimators' parameters are taken, which are refused and with what words, and their defaults."""
from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.utils import get_tags

import minidl
from minidl.estimators import MLPClassifier, MLPRegressor
from minidl.estimators.base import Perceptron, check_parameters
from minidl.training import Callback

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X = np.random.default_rng(0).normal(size=(30, 4))
Y = np.arange(30) % 3
POSITIVE_INTS = ("batch_size", "max_iter", "max_fun", "n_iter_no_change", "n_threads")
FROM_ZERO = ("alpha", "power_t", "tol", "max_seconds")
ABOVE_ZERO = ("learning_rate_init", "epsilon")
SHARES = ("momentum", "validation_fraction", "beta_1", "beta_2")
FLAGS = ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping")
TINY = np.nextafter(0, 1)


def told(name, value, kind=MLPRegressor):
    """What is said of a value; "" for nothing."""
    try:
        check_parameters(kind(**{name: value}))
    except ValueError as error:
        return str(error)
    return ""


def test_an_int_from_one():
    for name in POSITIVE_INTS:
        for value in (1, 2, np.int32(5), 10**9):
            assert told(name, value) == "", (name, value)
        for value in (0, -1, 1.0, 2.5, True, np.True_, "2"):
            expected = f"The {name!r} parameter of MLPRegressor must be an int >= 1. Got {value!r} instead."
            assert told(name, value) == expected


def test_a_number_from_zero():
    for name in FROM_ZERO:
        for value in (0, 0.0, TINY, np.float32(0.5), 3, 1e300, math.inf):
            assert told(name, value) == "", (name, value)
        for value in (-TINY, -1, math.nan, False, np.True_, "0", 1j):
            expected = f"The {name!r} parameter of MLPRegressor must be a number >= 0. Got {value!r} instead."
            assert told(name, value) == expected


def test_a_number_above_zero():
    for name in ABOVE_ZERO:
        for value in (TINY, 0.5, 2, math.inf):
            assert told(name, value) == "", (name, value)
        for value in (0, 0.0, -0.0, -TINY, -1, True, math.nan, "1"):
            expected = f"The {name!r} parameter of MLPRegressor must be a number > 0. Got {value!r} instead."
            assert told(name, value) == expected


def test_a_number_from_zero_to_one():
    for name in SHARES:
        for value in (0, 0.0, TINY, 0.5, 1, 1.0):
            assert told(name, value) == "", (name, value)
        for value in (-TINY, np.nextafter(1, 2), 2, -1, True, math.nan, None):
            expected = f"The {name!r} parameter of MLPRegressor must be a number >= 0 and <= 1. Got {value!r} instead."
            assert told(name, value) == expected


def test_a_flag():
    for name in FLAGS:
        for value in (True, False, np.True_, np.False_):
            assert told(name, value) == "", (name, value)
        for value in (0, 1, 1.0, None, "True"):
            expected = f"The {name!r} parameter of MLPRegressor must be one of True, False. Got {value!r} instead."
            assert told(name, value) == expected


@pytest.mark.parametrize("name, values", [("solver", ["adam", "sgd", "lbfgs"]),
                                          ("learning_rate", ["constant", "invscaling", "adaptive"])])
def test_a_word(name, values):
    for value in values:
        assert told(name, value) == ""
    for value in ("Adam", "", 3, None, b"sgd"):
        expected = (f"The {name!r} parameter of MLPClassifier must be one of {', '.join(map(repr, values))}. "
                    f"Got {value!r} instead.")
        assert told(name, value, MLPClassifier) == expected


def test_what_else_is_taken():
    assert told("batch_size", "auto") == told("n_iter_no_change", math.inf) == ""
    assert told("n_threads", None) == told("max_seconds", None) == ""
    assert "an int >= 1" in told("n_iter_no_change", -math.inf) and "an int >= 1" in told("max_iter", math.inf)


OWN = {"dropout": 0.0, "normalization": None, "optimizer": None, "scheduler": None, "callbacks": None,
       "n_threads": None, "max_seconds": None, "module": None}
THEIRS = {"hidden_layer_sizes": (100,), "activation": "relu", "solver": "adam", "alpha": 1e-4, "batch_size": "auto",
          "learning_rate": "constant", "learning_rate_init": 1e-3, "power_t": 0.5, "max_iter": 200, "shuffle": True,
          "random_state": None, "tol": 1e-4, "verbose": False, "warm_start": False, "momentum": 0.9,
          "nesterovs_momentum": True, "early_stopping": False, "validation_fraction": 0.1, "beta_1": 0.9,
          "beta_2": 0.999, "epsilon": 1e-8, "n_iter_no_change": 10, "max_fun": 15000}


@pytest.mark.parametrize("kind, more", [(MLPClassifier, {"loss": "log_loss", "class_weight": None}),
                                        (MLPRegressor, {"loss": "squared_error"})])
def test_the_defaults(kind, more):
    assert kind().get_params() == OWN | THEIRS | more


def test_every_parameter_is_kept_as_it_is_given():
    for kind in (MLPClassifier, MLPRegressor):
        given = {name: object() for name in kind().get_params()}
        assert kind(**given).get_params() == given


def test_tags():
    tags = get_tags(MLPClassifier()), get_tags(MLPRegressor())
    assert [tag.input_tags.sparse for tag in tags] == [True, True]
    assert tags[0].classifier_tags.multi_label and tags[1].target_tags.multi_output
    assert [tag.estimator_type for tag in tags] == ["classifier", "regressor"]


def test_a_kind_of_data_has_to_be_given_by_a_subclass():
    class Bare(MLPRegressor):
        _encoded = Perceptron._encoded

    class Unjudged(MLPRegressor):
        _score = Perceptron._score

    with pytest.raises(NotImplementedError):
        Bare().fit(X, Y)
    with pytest.raises(NotImplementedError):
        Unjudged(early_stopping=True).fit(X, Y)


def test_the_number_of_threads_is_that_of_fit_and_predict_alone():
    seen = []

    class Look(Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append(minidl.get_num_threads())

    class Counted(minidl.nn.Module):
        def __init__(self, features, outputs):
            self.inner = minidl.nn.Linear(features, outputs, generator=0)

        def forward(self, x):
            seen.append(minidl.get_num_threads())
            return self.inner(x)

    before = minidl.get_num_threads()
    MLPRegressor(max_iter=1, callbacks=[Look()]).fit(X, Y)
    assert seen == [before]
    try:
        estimator = MLPRegressor(max_iter=1, n_threads=2, callbacks=[Look()], module=Counted).fit(X, Y)
        assert seen[-1] == 2 and minidl.get_num_threads() == before
        seen.clear()
        estimator.predict(X)
        assert set(seen) == {2} and minidl.get_num_threads() == before
        with pytest.raises(ValueError, match="loss: expected"):
            estimator.set_params(loss="none").fit(X, Y)
        with pytest.raises(ValueError, match="callbacks"):
            estimator.set_params(loss="squared_error", callbacks=[3]).fit(X, Y)
        assert minidl.get_num_threads() == before
    finally:
        minidl.set_num_threads(before)


def test_attributes_before_a_fit_are_named():
    for name in ("coefs_", "intercepts_"):
        for kind in (MLPClassifier, MLPRegressor):
            with pytest.raises(AttributeError) as caught:
                getattr(kind(), name)
            assert str(caught.value) == f"'{kind.__name__}' object has no attribute '{name}' before it is fitted"
            with pytest.raises(AttributeError) as caught:
                setattr(kind(), name, [])
            assert str(caught.value) == f"'{kind.__name__}' object has no attribute '{name}' before it is fitted"
