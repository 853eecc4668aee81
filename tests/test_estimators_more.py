"""What minidl's estimators have beyond scikit-learn's: layers, losses, optimizers, weights of classes, modules."""
import functools
import time

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.preprocessing import StandardScaler

import minidl
from minidl import nn, optim
from minidl.estimators import MLPClassifier, MLPRegressor
from minidl.estimators.networks import ACTIVATIONS
from minidl.training import Callback

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def scaled(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


IRIS, CANCER, DIABETES = scaled(load_iris), scaled(load_breast_cancer), scaled(load_diabetes)
DIABETES = DIABETES[0], (DIABETES[1] - DIABETES[1].mean()) / DIABETES[1].std()
LOSSES = [name for name in nn.__all__
          if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Loss) and name != "Loss"]
OF_RAW_OUTPUTS = [name for name in LOSSES if name not in ("BCELoss", "NLLLoss", "KLDivLoss")]  # these are of others
OPTIMIZERS = [name for name in optim.__all__ if isinstance(getattr(optim, name), type)
              and name not in ("LBFGS", "Optimizer")]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_activation(name, dtype):
    X, y = IRIS
    classifier = MLPClassifier((16,), activation=name, max_iter=60, learning_rate_init=0.01, random_state=0)
    classifier.fit(X.astype(dtype), y)
    assert classifier.loss_curve_[-1] < classifier.loss_curve_[0] and classifier.predict_proba(X).dtype == dtype


def test_all_activations_of_minidl_have_a_name():
    modules = {kind for part in (nn.activations, nn.smooth, nn.piecewise)
               for kind in (getattr(part, name) for name in part.__all__)
               if isinstance(kind, type) and kind is not nn.Threshold}  # which has no defaults
    assert modules <= set(ACTIVATIONS.values())


def test_a_layer_each():
    given = ["tanh", nn.GELU, nn.LeakyReLU(0.3), lambda: nn.ELU(0.5)]
    classifier = MLPClassifier((9, 8, 7, 6), activation=given, dropout=[0, 0.1, 0.0, 0.2],
                               normalization=[None, "batch", "layer", None], max_iter=50, random_state=0).fit(*IRIS)
    kinds = [type(module).__name__ for module in classifier.module_]
    assert kinds == ["Linear", "Tanh", "Linear", "BatchNorm1d", "GELU", "Dropout", "Linear", "LayerNorm", "LeakyReLU",
                     "Linear", "ELU", "Dropout", "Linear"]
    assert classifier.module_[8] is not given[2] and "slope=0.3" in str(classifier.module_[8])
    assert classifier.n_layers_ == 6 and classifier.score(*IRIS) > 0.8
    assert all(p.dtype == np.float64 for p in classifier.module_.parameters())
    assert clone(classifier).fit(*IRIS).loss_ == classifier.loss_


def test_dropout_and_normalization_act_in_training_alone():
    X, y = CANCER
    classifier = MLPClassifier(dropout=0.5, normalization="batch", max_iter=5, random_state=0).fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), classifier.predict_proba(X))
    np.testing.assert_allclose(classifier.predict_proba(X[:1]), classifier.predict_proba(X)[:1], rtol=1e-12)
    assert not classifier.module_.training


def test_a_last_batch_of_one_is_left_out_with_batch_normalization():
    X, y = CANCER
    MLPClassifier(normalization="batch", batch_size=10, max_iter=2).fit(X[:31], y[:31])


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("kind, data, name", [
    *[(MLPClassifier, data, name) for data in (IRIS, CANCER) for name in OF_RAW_OUTPUTS],
    *[(MLPRegressor, DIABETES, name) for name in OF_RAW_OUTPUTS
      if not getattr(nn, name).takes_labels and name != "BCEWithLogitsLoss"]])
def test_every_loss_by_name_and_as_an_object(kind, data, name, weighted):
    X, y = data
    weight = np.linspace(0.1, 2, len(X)) if weighted else None
    runs = [kind(max_iter=30, random_state=0, loss=loss).fit(X, y, weight) for loss in (name, getattr(nn, name)())]
    assert runs[0].loss_curve_ == runs[1].loss_curve_ and runs[0].loss_curve_[-1] < runs[0].loss_curve_[0]
    assert runs[0].score(X, y) > 0.3
    lbfgs = kind(max_iter=10, random_state=0, loss=name, solver="lbfgs").fit(X, y, weight)
    assert lbfgs.loss_ < runs[0].loss_curve_[0]


def test_the_usual_loss_by_its_parts():
    for data in (IRIS, CANCER):
        usual = MLPClassifier(max_iter=5, random_state=0).fit(*data)
        other = MLPClassifier(max_iter=5, random_state=0, loss="CrossEntropyLoss").fit(*data)
        assert other.out_activation_ == "softmax" and other.predict_proba(data[0]).shape[1] == len(usual.classes_)
        if len(usual.classes_) > 2:
            assert usual.loss_curve_ == other.loss_curve_
        else:
            np.testing.assert_array_equal(other.decision_function(data[0]) > 0, other.predict(data[0]) == 1)


def test_a_loss_that_is_a_function():
    X, y = DIABETES
    half = MLPRegressor(max_iter=5, random_state=0).fit(X, y)
    own = MLPRegressor(max_iter=5, random_state=0, loss=lambda z, t: ((z - t) ** 2).mean() / 2).fit(X, y)
    np.testing.assert_allclose(half.loss_curve_, own.loss_curve_, rtol=1e-9)
    weight = np.linspace(0, 2, len(y))
    half.fit(X, y, weight)
    own = MLPRegressor(max_iter=5, random_state=0,
                       loss=lambda z, t, w: ((z - t) ** 2 * w.reshape(-1, 1)).sum() / w.sum() / 2).fit(X, y, weight)
    np.testing.assert_allclose(half.loss_curve_, own.loss_curve_, rtol=1e-9)
    with pytest.raises(TypeError, match="output, target and weight"):
        MLPRegressor(loss=lambda z, t: ((z - t) ** 2).mean()).fit(X, y, weight)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_by_name_and_as_a_function(name):
    rate = {"Adadelta": 1.0}.get(name, 0.01)
    runs = [MLPClassifier(max_iter=40, random_state=0, learning_rate_init=rate, optimizer=given).fit(*IRIS)
            for given in (name, name.lower(), functools.partial(getattr(optim, name), lr=rate))]
    assert runs[0].loss_curve_ == runs[1].loss_curve_ == runs[2].loss_curve_
    assert runs[0].loss_curve_[-1] < runs[0].loss_curve_[0]


def test_alpha_is_the_weight_decay_of_an_optimizer_that_has_none():
    def decay_of(**given):
        return MLPClassifier(max_iter=1, alpha=0.5, batch_size=150, **given).fit(*IRIS)._rates.optimizer.param_groups

    for group, expected in zip(decay_of(optimizer="rmsprop"), (0.5 / 150, 0), strict=True):
        assert group["weight_decay"] == expected
    assert decay_of(optimizer=functools.partial(optim.Adam, weight_decay=0.1))[0]["weight_decay"] == 0.1
    assert decay_of(optimizer="adamw")[0]["weight_decay"] == 0.01


def test_the_solvers_are_the_optimizers():
    """Without alpha, and epsilon at the same place, Adam is optim.Adam."""
    solver = MLPClassifier(max_iter=30, random_state=0, alpha=0).fit(*IRIS)
    named = MLPClassifier(max_iter=30, random_state=0, alpha=0, optimizer="adam").fit(*IRIS)
    np.testing.assert_allclose(solver.loss_curve_, named.loss_curve_, rtol=1e-4)


@pytest.mark.parametrize("given, rates", [
    (functools.partial(optim.lr_scheduler.StepLR, step_size=2, gamma=0.1), [1e-3, 1e-3, 1e-4, 1e-4, 1e-5]),
    (functools.partial(optim.lr_scheduler.ExponentialLR, gamma=0.5), [1e-3 / 2 ** i for i in range(5)]),
])
def test_a_schedule(given, rates):
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append(self.optimizer.lr)

        def on_train_begin(self, model, optimizer, epochs):
            self.optimizer = optimizer
            seen.append(optimizer.lr)

    MLPClassifier(max_iter=5, scheduler=given, callbacks=[Watch()]).fit(*IRIS)
    np.testing.assert_allclose(seen[:5], rates)


def test_a_schedule_by_name_and_one_that_reads_the_validation():
    MLPClassifier(max_iter=3, scheduler="LinearLR").fit(*IRIS)
    with pytest.raises(ValueError, match="early_stopping"):
        MLPClassifier(max_iter=3, scheduler="ReduceLROnPlateau").fit(*IRIS)
    classifier = MLPClassifier(max_iter=3, scheduler="ReduceLROnPlateau", early_stopping=True).fit(*IRIS)
    assert classifier._scheduler.best < 2


def test_callbacks_are_told_and_can_stop():
    class Told(Callback):
        def __init__(self):
            self.logs, self.ended = [], False

        def on_epoch_end(self, epoch, logs):
            self.logs.append(logs)
            return "enough" if epoch == 4 else None

        def on_train_end(self):
            self.ended = True

    for kind, data in ((MLPClassifier, CANCER), (MLPRegressor, DIABETES)):
        told = Told()
        estimator = kind(callbacks=[told], early_stopping=True, random_state=0).fit(*data)
        assert estimator.n_iter_ == len(told.logs) == 4 and told.ended
        assert [log["loss"] for log in told.logs] == estimator.loss_curve_
        assert [log["validation_score"] for log in told.logs] == estimator.validation_scores_
        assert all(log["validation_loss"] > 0 for log in told.logs)
        assert (told.logs[0]["validation_error"] is None) == (kind is MLPRegressor)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 5.0}])
def test_class_weights_are_weights_of_samples(class_weight):
    X, y = CANCER
    by_class = MLPClassifier(max_iter=5, random_state=0, class_weight=class_weight).fit(X, y)
    counts = np.bincount(y)
    values = len(y) / (2 * counts) if class_weight == "balanced" else np.array([1.0, 5.0])
    by_sample = MLPClassifier(max_iter=5, random_state=0).fit(X, y, values[y])
    np.testing.assert_allclose(by_class.loss_curve_, by_sample.loss_curve_, rtol=1e-12)
    both = MLPClassifier(max_iter=5, random_state=0, class_weight=class_weight).fit(X, y, np.linspace(0, 1, len(y)))
    assert both.loss_curve_ != by_class.loss_curve_
    words = np.array(["no", "yes"])[y]
    if class_weight != "balanced":
        class_weight = {"no": 1.0, "yes": 5.0}
    other = MLPClassifier(max_iter=5, random_state=0, class_weight=class_weight).fit(X, words)
    assert other.loss_curve_ == by_class.loss_curve_


def test_class_weights_move_the_decision():
    X, y = CANCER
    rare = MLPClassifier((), max_iter=100, random_state=0, class_weight={0: 50.0, 1: 1.0}).fit(X, y)
    common = MLPClassifier((), max_iter=100, random_state=0, class_weight={0: 1.0, 1: 50.0}).fit(X, y)
    assert rare.predict(X).mean() < common.predict(X).mean()


class Residual(nn.Module):
    def __init__(self, features, outputs):
        self.inner, self.out = nn.Linear(features, features), nn.Linear(features, outputs)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return self.out(x + self.drop(minidl.tanh(self.inner(x))))


def test_a_network_of_ones_own():
    minidl.manual_seed(0)
    X, y = IRIS
    made = [MLPClassifier(module=given, max_iter=100, random_state=0, learning_rate_init=0.01).fit(X, y)
            for given in (Residual, nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 3)))]
    for classifier in made:
        assert classifier.score(X, y) > 0.95 and classifier.n_layers_ == 3
        assert classifier.coefs_[-1].shape[1] == 3 and classifier.coefs_[0].dtype == np.float32
        again = clone(classifier).fit(X, y)
        if classifier.module is not Residual:  # what the function draws is minidl's stream's
            assert again.loss_curve_ == classifier.loss_curve_
    module = made[1].module
    before = module.flat_parameters.copy()
    made[1].fit(X, y)
    np.testing.assert_array_equal(module.flat_parameters, before)
    assert MLPRegressor(module=Residual, max_iter=50).fit(*DIABETES).predict(DIABETES[0]).shape == (442,)


def test_max_seconds_ends_the_training():
    X, y = CANCER
    begin = time.monotonic()
    classifier = MLPClassifier(max_iter=10**6, tol=0, n_iter_no_change=10**6, max_seconds=0.3).fit(X, y)
    assert 0.3 <= time.monotonic() - begin < 5 and classifier.n_iter_ > 1


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_warm_start_keeps_the_optimizers_state(solver):
    X, y = IRIS
    settings = {"solver": solver, "random_state": 0, "shuffle": False, "alpha": 0.1}
    whole = MLPClassifier(max_iter=10, **settings).fit(X, y)
    halves = MLPClassifier(max_iter=5, warm_start=True, **settings)
    halves.fit(X, y).fit(X, y)
    np.testing.assert_allclose(halves.loss_curve_, whole.loss_curve_, rtol=1e-12)
    assert halves.n_iter_ == 5 and halves.t_ == 1500
    halves.set_params(learning_rate_init=0.5).fit(X, y)
    assert halves._rates.optimizer.lr == 0.5
    with pytest.raises(ValueError, match="same classes"):
        halves.fit(X[:100], y[:100])
    cold = MLPClassifier(max_iter=5, **settings)
    assert cold.fit(X, y).loss_curve_ == cold.fit(X, y).loss_curve_


def test_a_loss_of_log_probabilities_has_a_network_that_gives_them():
    X, y = IRIS
    minidl.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax())
    settings = {"max_iter": 100, "random_state": 0, "learning_rate_init": 0.02}
    classifier = MLPClassifier(module=module, loss="NLLLoss", **settings).fit(X, y)
    usual = MLPClassifier(module=nn.Sequential(module[0]), **settings).fit(X, y)
    np.testing.assert_allclose(classifier.loss_curve_, usual.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(classifier.predict_proba(X), usual.predict_proba(X), atol=1e-4)


def test_a_custom_module_may_run_in_place():
    class Doubled(nn.Module):
        def forward(self, x):
            return 2 * x

        def backward(self, gradient):
            return 2 * gradient

    X, y = CANCER
    minidl.manual_seed(0)
    make = functools.partial(nn.Sequential, nn.Linear(30, 8), Doubled(), nn.Tanh(), nn.Linear(8, 1))
    assert MLPClassifier(module=make(), max_iter=30, random_state=0).fit(X, y).score(X, y) > 0.9
