"""How the estimators train: settings, steps, schedules, stops, warnings and logs, each by its own rule."""
from __future__ import annotations

import functools
import math
import signal

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor

from minidl import nn, optim
from minidl.estimators import MLPClassifier, MLPRegressor, stochastic
from minidl.optim.lr_scheduler import LRScheduler
from minidl.training import Callback

QUIET = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X, CLASSES = RNG.normal(size=(40, 3)), np.arange(40) % 3
Y, TWO = X[:, 0] - X[:, 1] ** 2, np.arange(40) % 2


class Watch(Callback):
    def __init__(self, ends=0):
        self.ends, self.epochs, self.groups, self.logs, self.rates = ends, [], [], [], []

    def on_train_begin(self, model, optimizer, epochs):
        self.model, self.optimizer, self.last = model, optimizer, False
        self.epochs.append(epochs)
        self.groups.append([{name: value for name, value in group.items() if name != "params"}
                            for group in optimizer.param_groups])

    def on_epoch_end(self, epoch, logs):
        self.logs.append((epoch, logs))
        self.rates.append(self.optimizer.lr)
        return epoch == self.ends

    def on_train_end(self):
        self.last = True


class Steps(LRScheduler):
    """Counts the steps."""

    interval = "iteration"

    def __init__(self, optimizer, seen, action=None):
        super().__init__(optimizer)
        self.seen, self.action = seen, action

    def step(self, *given):
        self.seen.append(given)
        if self.action is not None:
            self.action()


def steps_of(kind=MLPRegressor, x=X, y=Y, weight=None, action=None, **settings):
    seen = []
    settings = {"max_iter": 1, "random_state": 0, "hidden_layer_sizes": (4,)} | settings
    estimator = kind(scheduler=lambda optimizer: Steps(optimizer, seen, action), **settings).fit(x, y, weight)
    assert set(seen) <= {()}
    return len(seen), estimator


# The optimizer

@QUIET
def test_settings_of_the_solvers():
    watch = Watch()
    given = {"callbacks": [watch], "max_iter": 1, "learning_rate_init": 0.25, "alpha": 0.0}
    MLPRegressor(beta_1=0.5, beta_2=0.75, epsilon=1e-3, **given).fit(X, Y)
    MLPRegressor(solver="sgd", momentum=0.5, **given).fit(X, Y)
    MLPRegressor(solver="sgd", momentum=0.5, nesterovs_momentum=False, **given).fit(X, Y)
    MLPRegressor(solver="sgd", momentum=0, **given).fit(X, Y)
    for groups in watch.groups:
        assert len(groups) == 2 and [group["lr"] for group in groups] == [0.25, 0.25]
    assert [(group["betas"], group["weight_decay"]) for group in watch.groups[0]] == [((0.5, 0.75), 0)] * 2
    assert [[(group["momentum"], group["nesterov"]) for group in groups] for groups in watch.groups[1:]] == [
        [(0.5, True)] * 2, [(0.5, False)] * 2, [(0, False)] * 2]


@QUIET
def test_a_warm_start_follows_all_settings_and_a_partial_fit_alpha_alone():
    watch = Watch()
    estimator = MLPRegressor(warm_start=True, max_iter=2, callbacks=[watch], random_state=0).fit(X, Y)
    estimator.set_params(beta_1=0.5, epsilon=0.125, learning_rate_init=0.5).fit(X, Y)
    assert [group["betas"] for group in watch.groups[1]] == [(0.5, 0.999)] * 2 and watch.rates[2:] == [0.5] * 2
    estimator.set_params(beta_1=0.25, learning_rate_init=0.75, alpha=0.0).partial_fit(X, Y)
    assert [group["betas"] for group in watch.groups[2]] == [(0.5, 0.999)] * 2 and watch.rates[4:] == [0.5]
    assert watch.groups[2][0]["weight_decay"] == 0 and watch.epochs == [2, 2, 1]
    estimator.set_params(optimizer="rmsprop", learning_rate_init=0.125).fit(X, Y)
    assert type(watch.optimizer) is optim.RMSprop and watch.rates[5:] == [0.125] * 2
    estimator.set_params(learning_rate_init=0.0625).fit(X, Y)
    assert watch.rates[7:] == [0.0625] * 2
    estimator.set_params(optimizer=None, solver="sgd").fit(X, Y)
    assert type(watch.optimizer) is optim.SGD


@QUIET
@pytest.mark.parametrize("settings", [
    {"epsilon": 0.5}, {"epsilon": 0.5, "warm_start": True}, {"learning_rate": "invscaling", "learning_rate_init": 0.1},
    {"learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 1e-6, "n_iter_no_change": 1},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 1.5e-6, "n_iter_no_change": 1},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 6e-6, "n_iter_no_change": 1},
    {"solver": "sgd", "learning_rate_init": 1e-300, "tol": 0, "n_iter_no_change": 1},  # equally good is good enough
    {"solver": "sgd", "learning_rate_init": 1e-300, "tol": 0, "n_iter_no_change": 1, "early_stopping": True},
    {"solver": "sgd", "learning_rate_init": 1e-300, "tol": 1e-12, "n_iter_no_change": 2},
    {"n_iter_no_change": 1, "tol": 0, "early_stopping": True}, {"n_iter_no_change": 3, "tol": 0.05},
    {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 1e-30, "power_t": 140, "max_iter": 3},
    {"batch_size": 39}, {"batch_size": 1, "max_iter": 2},
    {"power_t": 2, "solver": "sgd", "learning_rate": "invscaling"}], ids=str)
def test_epochs_and_losses_are_scikit_learns(settings):
    for mine, theirs, y, weight in ((MLPRegressor, TheirRegressor, Y, np.linspace(0.5, 2, 40)),
                                    (MLPClassifier, TheirClassifier, TWO, None)):
        given = {"random_state": 3, "max_iter": 12, "hidden_layer_sizes": (4,), "shuffle": "tol" not in settings,
                 "validation_fraction": 0.25} | settings
        ours, expected = mine(**given), theirs(**given)
        for _ in range(2):
            ours.fit(X, y, weight)
            expected.fit(X, y, weight)
            assert ours.n_iter_ == expected.n_iter_
            if "warm_start" in settings:
                break  # whose moments go on here, and not there
        np.testing.assert_allclose(ours.loss_curve_, expected.loss_curve_, rtol=1e-9)
        for a, b in zip(ours.coefs_, expected.coefs_, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8)


@QUIET
def test_the_rates_of_a_solver_are_not_those_of_another_optimizer():
    """learning_rate is of solver="sgd" alone."""
    for settings in ({"optimizer": "sgd"}, {"optimizer": functools.partial(optim.SGD, lr=0.01)}):
        watch = Watch()
        MLPRegressor(solver="sgd", learning_rate="invscaling", learning_rate_init=0.01, max_iter=3, callbacks=[watch],
                     **settings).fit(X, Y)
        assert watch.rates == [0.01] * 3
    watch = Watch()
    MLPRegressor(optimizer=functools.partial(optim.SGD, lr=0.5), learning_rate_init=0.01, max_iter=1, callbacks=[watch],
                 warm_start=True).fit(X, Y).fit(X, Y)
    assert watch.rates == [0.5] * 2


@QUIET
def test_weights_decay_by_alpha_over_the_weight_of_the_batch():
    """Where nothing else moves them: one step of descent on weights of samples near zero."""
    x = np.zeros((40, 3))
    for weight, mass in ((None, 40), (np.full(40, 0.5), 20)):
        settings = {"hidden_layer_sizes": (), "solver": "sgd", "momentum": 0, "max_iter": 1, "random_state": 0}
        estimator = MLPRegressor(learning_rate_init=0.5, alpha=0.25, **settings).fit(x, np.zeros(40), weight)
        first = MLPRegressor(alpha=0, **settings).fit(x, np.zeros(40))
        np.testing.assert_allclose(estimator.coefs_[0], first.coefs_[0] * (1 - 0.5 * 0.25 / mass), rtol=1e-12)
        loss = first.loss_ + 0.25 / 2 * (first.coefs_[0] ** 2).sum() / mass
        assert estimator.loss_ == pytest.approx(loss, rel=1e-12)


@QUIET
def test_a_batch_without_weight_moves_nothing():
    weight = np.r_[np.zeros(20), np.ones(20)]
    given = {"solver": "sgd", "momentum": 0, "alpha": 0.25, "shuffle": False, "random_state": 0, "max_iter": 1}
    estimator = MLPRegressor(hidden_layer_sizes=(), batch_size=20, **given).fit(X, Y, weight)
    alone = MLPRegressor(hidden_layer_sizes=(), batch_size=20, **given).fit(X[20:], Y[20:])
    np.testing.assert_allclose(estimator.coefs_[0], alone.coefs_[0], rtol=1e-12)
    assert estimator.loss_ == pytest.approx(alone.loss_ / 2, rel=1e-12)  # the mean over all samples


@QUIET
@pytest.mark.parametrize("name, decay", [("adamw", 0.01), ("lion", 0.0), ("radam", 0.5 / 40), ("sgd", 0.5 / 40),
                                         ("rmsprop", 0.5 / 40), ("adamax", 0.5 / 40)])
def test_alpha_with_an_optimizer_by_name(name, decay):
    watch = Watch()
    MLPRegressor(optimizer=name, alpha=0.5, max_iter=1, callbacks=[watch], batch_size=40).fit(X, Y)
    assert [group.get("weight_decay") for group in watch.optimizer.param_groups] == [
        decay, watch.groups[0][1].get("weight_decay")]


@QUIET
def test_alpha_with_a_decay_of_ones_own():
    for given, decay in ((functools.partial(optim.Adam, weight_decay=0.125), 0.125),
                         (functools.partial(optim.RAdam, decoupled_weight_decay=True), 0.0),
                         (functools.partial(optim.RAdam, decoupled_weight_decay=False), 0.5 / 40)):
        watch = Watch()
        MLPRegressor(optimizer=given, alpha=0.5, max_iter=1, callbacks=[watch], batch_size=40).fit(X, Y)
        assert watch.optimizer.param_groups[0]["weight_decay"] == decay


@pytest.mark.parametrize("given", ["Optimizer", "lbfgs", "lr_scheduler", "adams", 3, lambda groups: 3,
                                   lambda groups: optim.LBFGS([p for group in groups for p in group["params"]])])
def test_an_optimizer_that_is_refused(given):
    with pytest.raises(ValueError, match=r"^optimizer: expected None, "):
        MLPRegressor(optimizer=given).fit(X, Y)


@pytest.mark.parametrize("given", [
    "step", "warnings", "LRScheduler_", 3, lambda optimizer: 3,
    lambda optimizer: optim.lr_scheduler.StepLR(optim.SGD([nn.Parameter(np.zeros(1))], lr=0.1), 1)])
def test_a_schedule_that_is_refused(given):
    with pytest.raises(ValueError, match=r"^scheduler: expected None, the name of a schedule of minidl.optim.lr_sched"):
        MLPRegressor(scheduler=given).fit(X, Y)


@QUIET
def test_a_schedule_goes_on_in_partial_fits_and_is_made_anew_by_a_warm_start():
    watch = Watch()
    halves = functools.partial(optim.lr_scheduler.ExponentialLR, gamma=0.5)
    estimator = MLPRegressor(scheduler=halves, max_iter=1, callbacks=[watch], learning_rate_init=1.0, warm_start=True)
    for _ in range(3):
        estimator.partial_fit(X, Y)
    assert watch.rates == [0.5, 0.25, 0.125]
    estimator.set_params(max_iter=2, scheduler=functools.partial(optim.lr_scheduler.ExponentialLR, gamma=0.25))
    estimator.fit(X, Y)
    assert watch.rates[3:] == [0.25, 0.0625]


# Steps

@QUIET
@pytest.mark.parametrize("count, given, expected", [
    (40, "auto", 1), (40, 40, 1), (40, 39, 2), (40, 13, 4), (40, 1, 40), (200, "auto", 1), (201, "auto", 2),
    (401, "auto", 3), (199, "auto", 1)])
def test_batches(count, given, expected):
    x = np.resize(X, (count, 3))
    assert steps_of(x=x, y=x[:, 0], batch_size=given)[0] == expected


@QUIET
@pytest.mark.parametrize("count, expected", [(33, 3), (34, 3), (35, 4), (32, 3), (2, 1)])
def test_a_last_batch_of_one_has_no_statistics(count, expected):
    assert steps_of(x=X[:count], y=Y[:count], normalization="batch", batch_size=min(count, 11))[0] == expected
    assert steps_of(x=X[:count], y=Y[:count], batch_size=min(count, 11))[0] == math.ceil(count / 11)


def test_a_batch_that_is_larger_than_the_data():
    with pytest.warns(UserWarning, match="clipped") as caught:
        assert steps_of(batch_size=41, tol=1e9, n_iter_no_change=1, max_iter=9)[0] == 3
    assert [warning.filename for warning in caught] == [__file__]


def test_the_time_is_over(monkeypatch):
    now = [5.0]
    monkeypatch.setattr(stochastic.time, "monotonic", lambda: now[0])

    def later():
        now[0] += 1

    assert steps_of(batch_size=10, max_iter=9, max_seconds=0, action=None)[0] == 1
    for seconds, expected in ((1, 1), (1.5, 2), (6, 6), (4, 4)):
        steps, estimator = steps_of(batch_size=10, max_iter=9, max_seconds=seconds, action=later)
        assert steps == expected and estimator.n_iter_ == math.ceil(expected / 4)
    watch = Watch()
    with pytest.warns(ConvergenceWarning):
        steps_of(batch_size=10, max_iter=2, callbacks=[watch], action=later)
    assert [logs["seconds"] for _, logs in watch.logs] == [4, 8]


def test_ctrl_c_between_two_steps():
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$") as caught:
        steps, estimator = steps_of(batch_size=10, action=lambda: signal.raise_signal(signal.SIGINT))
    assert (steps, estimator.n_iter_, estimator.loss_curve_) == (1, 0, [])
    assert [warning.filename for warning in caught] == [__file__]
    assert not estimator.module_.training


def test_the_last_epoch_warns():
    with pytest.warns(ConvergenceWarning) as caught:
        MLPRegressor(max_iter=3).fit(X, Y)
    assert [warning.filename for warning in caught] == [__file__]
    assert str(caught[0].message) == ("Stochastic Optimizer: Maximum iterations (3) reached and the optimization "
                                      "hasn't converged yet.")
    MLPRegressor(max_iter=1).partial_fit(X, Y)  # without a warning
    MLPRegressor(max_iter=9, callbacks=[Watch(2)]).fit(X, Y)


# What is held out, and what callbacks are told

@QUIET
def test_how_many_samples_are_held_out():
    settings = {"early_stopping": True, "max_iter": 1, "random_state": 0}
    MLPRegressor(validation_fraction=0.05, **settings).fit(X, Y)  # 2 of 40
    for fraction, count in ((0.05, 20), (0.02, 40)):  # 1
        with pytest.raises(ValueError, match=r"^The validation set is too small\. Increase 'validation_fraction' or"):
            MLPRegressor(validation_fraction=fraction, **settings).fit(X[:count], Y[:count])


@QUIET
@pytest.mark.parametrize("kind, y", [(MLPRegressor, Y), (MLPRegressor, np.c_[Y, 3 * X[:, 2]]), (MLPClassifier, CLASSES),
                                     (MLPClassifier, TWO)])
def test_what_callbacks_are_told(kind, y):
    watch = Watch()
    estimator = kind(hidden_layer_sizes=(4,), activation="tanh", early_stopping=True, validation_fraction=0.25,
                     random_state=0, max_iter=1, callbacks=[watch], solver="sgd").fit(X, y)
    (epoch, logs), = watch.logs
    assert epoch == 1 and watch.epochs == [1] and watch.last and watch.model is estimator.module_
    assert set(logs) == {"loss", "error", "lr", "seconds", "validation_loss", "validation_error", "validation_score"}
    assert logs["error"] is None and logs["lr"] == 0.001 and 0 <= logs["seconds"] < 60
    drawn = np.random.RandomState(0)
    for layer in estimator.coefs_:
        drawn.uniform(size=layer.shape)
        drawn.uniform(size=layer.shape[1])
    stratify = y if kind is MLPClassifier and estimator.n_outputs_ == 1 else None
    held_out = train_test_split(np.arange(40), random_state=drawn, test_size=0.25, stratify=stratify)[1]
    score = estimator.score(X[held_out], y[held_out])
    assert logs["validation_score"] == pytest.approx(score) and logs["loss"] == estimator.loss_
    if kind is MLPRegressor:
        d = estimator.predict(X[held_out]) - y[held_out]
        assert logs["validation_error"] is None
        assert logs["validation_loss"] == pytest.approx((d * d).mean() / 2)
    else:
        p = estimator.predict_proba(X[held_out])[np.arange(10), y[held_out]]
        assert logs["validation_error"] == pytest.approx(100 * (1 - score))
        assert logs["validation_loss"] == pytest.approx(-np.log(p).mean())


@QUIET
def test_what_callbacks_are_told_without_held_out_samples():
    watch = Watch()
    MLPClassifier(max_iter=2, callbacks=[watch]).fit(X, TWO)
    assert [epoch for epoch, _ in watch.logs] == [1, 2]
    for _, logs in watch.logs:
        assert set(logs) == {"loss", "error", "lr", "seconds", "validation_loss", "validation_error"}
        assert logs["validation_loss"] is logs["validation_error"] is logs["error"] is None


@QUIET
def test_who_waits_for_the_validation_is_told_before_anything_is_trained():
    for monitor in ("validation_loss", "validation_error"):
        watch = Watch()
        watch.monitor = monitor
        with pytest.raises(ValueError, match=f"^{monitor} is measured with early_stopping=True alone$"):
            MLPRegressor(callbacks=[watch]).fit(X, Y)
        assert not watch.epochs
        MLPRegressor(callbacks=[watch], early_stopping=True, max_iter=1).fit(X, Y)
    watch.monitor = "loss"
    MLPRegressor(callbacks=[watch], max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match=r"^callbacks: expected minidl's Callbacks, got 3$"):
        MLPRegressor(callbacks=[watch, 3]).fit(X, Y)


@QUIET
def test_a_schedule_that_reads_the_validation_without_callbacks():
    plateau = functools.partial(optim.lr_scheduler.ReduceLROnPlateau, patience=0, threshold=10.0, threshold_mode="abs")
    estimator = MLPRegressor(scheduler=plateau, early_stopping=True, max_iter=4, learning_rate_init=1.0, momentum=0.0,
                             solver="sgd", warm_start=True, random_state=0)
    watch = Watch()
    estimator.fit(X, Y).set_params(callbacks=[watch], max_iter=1, scheduler=None).fit(X, Y)
    assert watch.rates == [1.0]  # of the parameters again


# Weights of classes, and modes

@QUIET
def test_weights_of_classes_multiply_those_of_samples():
    weight = np.linspace(0.25, 2, 40)
    both = MLPClassifier(max_iter=3, random_state=0, class_weight={0: 2.0, 1: 3.0, 2: 0.5}).fit(X, CLASSES, weight)
    product = weight * np.array([2.0, 3.0, 0.5])[CLASSES]
    expected = MLPClassifier(max_iter=3, random_state=0).fit(X, CLASSES, product)
    assert both.loss_curve_ == expected.loss_curve_
    alone = MLPClassifier(max_iter=3, random_state=0, class_weight={0: 2.0, 1: 3.0, 2: 0.5}).fit(X, CLASSES)
    expected = MLPClassifier(max_iter=3, random_state=0).fit(X, CLASSES, product / weight)
    np.testing.assert_allclose(alone.loss_curve_, expected.loss_curve_, rtol=1e-12)


@QUIET
@pytest.mark.parametrize("early", [False, True])
def test_every_epoch_is_trained_in_training_mode(early):
    """With a dropout whose masks are drawn, the loss of each epoch is another, though nothing is learned."""
    settings = {"dropout": 0.5, "solver": "sgd", "learning_rate_init": 1e-300, "shuffle": False, "alpha": 0.0,
                "random_state": 0, "batch_size": 30}
    settings["hidden_layer_sizes"] = (5,)
    estimator = MLPRegressor(early_stopping=early, validation_fraction=0.25, max_iter=5, tol=1e-300, **settings)
    estimator.fit(X, Y)
    assert len(set(estimator.loss_curve_)) == 5 and not estimator.module_.training
    parts = MLPRegressor(**settings)
    for _ in range(5):
        assert not parts.partial_fit(X, Y).module_.training
    assert len(set(parts.loss_curve_)) == 5


@QUIET
def test_classes_of_several_calls():
    estimator = MLPClassifier(max_iter=1, warm_start=True).fit(X, CLASSES)
    for y in (TWO, CLASSES + 1, np.arange(40) % 4):
        with pytest.raises(ValueError, match=r"^warm_start can only be used where `y` has the same classes as in"):
            estimator.fit(X, y)
    estimator.set_params(warm_start=False).partial_fit(X, TWO)  # a part of the classes
    with pytest.raises(ValueError, match=r"^`y` has classes not in `self.classes_`. `self.classes_` has \[0 1 2\]"):
        estimator.partial_fit(X, np.arange(40) % 4)
    assert estimator.fit(X, TWO).classes_.tolist() == [0, 1]


@QUIET
def test_labels_in_parts():
    estimator = MLPClassifier(max_iter=1, random_state=0)
    Z = (X > 0).astype(int)
    for _ in range(2):
        assert estimator.partial_fit(X, Z, classes=[0, 1, 2]).predict(X).shape == (40, 3)
    assert estimator.n_outputs_ == 3 and estimator.t_ == 80 and estimator.n_iter_ == 1
    assert len(estimator.loss_curve_) == 2
