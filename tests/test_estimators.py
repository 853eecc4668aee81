"""The estimators keep scikit-learn's contract: its checks, pipelines, searches, clones, pickles, shapes and dtypes."""
import copy
import pickle
import signal

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import minidl
from minidl.estimators import MLPClassifier, MLPRegressor
from minidl.training import Callback

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
NOT_HERE = ("pandas is not installed", "SCIPY_ARRAY_API is not set")  # reasons of checks that this machine skips
SOLVERS = ["adam", "sgd", "lbfgs"]


def scaled(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


IRIS, CANCER, DIABETES = scaled(load_iris), scaled(load_breast_cancer), scaled(load_diabetes)
DIABETES = DIABETES[0], StandardScaler().fit_transform(DIABETES[1].reshape(-1, 1)).ravel()


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks look after warnings themselves
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_check_estimator(kind):
    results = check_estimator(kind(), on_skip=None, on_fail=None)
    assert len(results) > 55
    wrong = {result["check_name"]: repr(result["exception"]) for result in results if result["status"] != "passed"
             and not (result["status"] == "skipped" and any(why in str(result["exception"]) for why in NOT_HERE))}
    assert not wrong


@pytest.mark.parametrize("mine, theirs", [(MLPClassifier, TheirClassifier), (MLPRegressor, TheirRegressor)])
def test_parameters_are_scikit_learns_with_their_defaults(mine, theirs):
    own, expected = mine().get_params(), theirs().get_params()
    assert expected.items() <= own.items()
    positional = theirs.__init__.__code__.co_varnames[:theirs.__init__.__code__.co_argcount]
    assert mine.__init__.__code__.co_varnames[:mine.__init__.__code__.co_argcount] == positional


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("mine, theirs, data", [
    (MLPClassifier, TheirClassifier, IRIS), (MLPClassifier, TheirClassifier, CANCER),
    (MLPRegressor, TheirRegressor, DIABETES)])
def test_attributes_are_scikit_learns(mine, theirs, data, solver, early):
    settings = {"solver": solver, "hidden_layer_sizes": (5, 4), "max_iter": 3, "early_stopping": early}
    fitted = [kind(random_state=0, **settings).fit(*data) for kind in (mine, theirs)]
    names = {name for name in vars(fitted[1]) if name.endswith("_") and not name.startswith("_")}
    for name in names:
        ours, value = (getattr(estimator, name) for estimator in fitted)
        assert type(ours) is type(value) or isinstance(ours, type(value)) or np.isscalar(value), name
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            assert [(x.shape, x.dtype) for x in ours] == [(x.shape, x.dtype) for x in value], name


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays(solver, dtype):
    X, y = IRIS
    classifier = MLPClassifier(solver=solver, max_iter=3, random_state=0).fit(X.astype(dtype), y)
    assert {x.dtype for x in classifier.coefs_ + classifier.intercepts_} == {np.dtype(dtype)}
    assert classifier.predict_proba(X).dtype == dtype and classifier.decision_function(X).dtype == dtype
    regressor = MLPRegressor(solver=solver, max_iter=3).fit(X.astype(dtype), X[:, :2])
    assert regressor.predict(X).dtype == dtype and regressor.predict(X).shape == (150, 2)


def test_labels_may_be_words():
    X, y = IRIS
    words = np.array(["setosa", "versicolor", "virginica"])[y]
    classifier = MLPClassifier(max_iter=300, random_state=0).fit(X, words)
    assert list(classifier.classes_) == ["setosa", "versicolor", "virginica"]
    assert classifier.score(X, words) > 0.95 and classifier.predict(X).dtype == words.dtype
    two = MLPClassifier(max_iter=100, random_state=0).fit(X, words == "setosa")
    assert two.score(X, words == "setosa") == 1 and two.predict(X).dtype == bool


def test_one_class_and_a_column():
    X, y = IRIS
    assert (MLPClassifier(max_iter=2).fit(X, np.full(150, "a")).predict(X) == "a").all()
    with pytest.warns(Warning, match="column-vector"):
        MLPClassifier(max_iter=2).fit(X, y[:, None])


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("solver", SOLVERS)
def test_sparse_input_gives_the_same(form, solver):
    X, y = IRIS
    dense, thin = (MLPClassifier(solver=solver, max_iter=4, random_state=0).fit(x, y) for x in (X, form(X)))
    for a, b in zip(dense.coefs_, thin.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(dense.predict_proba(X), thin.predict_proba(form(X)))
    early = [MLPRegressor(max_iter=4, random_state=0, early_stopping=True).fit(x, y) for x in (X, form(X))]
    np.testing.assert_array_equal(early[0].predict(X), early[1].predict(X))


def test_several_labels_a_sample():
    X, _ = CANCER
    Y = (X[:, :3] > 0).astype(int)
    classifier = MLPClassifier(max_iter=50, random_state=0).fit(X, Y)
    assert classifier.predict(X).shape == classifier.predict_proba(X).shape == Y.shape
    assert classifier.score(X, Y) > 0.8 and classifier.out_activation_ == "logistic"
    assert classifier.decision_function(X).shape == Y.shape
    thin = MLPClassifier(max_iter=50, random_state=0, early_stopping=True).partial_fit
    with pytest.raises(ValueError, match="early_stopping"):
        thin(X, Y, classes=[0, 1, 2])


def test_several_outputs():
    X, y = DIABETES
    regressor = MLPRegressor(max_iter=200, random_state=0).fit(X, np.c_[y, -y])
    assert regressor.n_outputs_ == 2 and regressor.score(X, np.c_[y, -y]) > 0.5
    both = MultiOutputClassifier(MLPClassifier(max_iter=20, random_state=0)).fit(X, X[:, :2] > 0)
    assert both.predict(X).shape == (442, 2)


def test_pipelines_and_searches():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(max_iter=150, random_state=0))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.9
    search = GridSearchCV(pipeline, {"mlpclassifier__hidden_layer_sizes": [(5,), (20, 10)],
                                     "mlpclassifier__activation": ["tanh", "gelu"]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.8 and search.best_estimator_.named_steps["mlpclassifier"].module_ is not None


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_copy_goes_on_as_the_original_would(copied, solver):
    X, y = IRIS
    classifier = MLPClassifier(solver=solver, random_state=0, dropout=0.2).partial_fit(X, y, classes=[0, 1, 2])
    other = copied(classifier)
    np.testing.assert_array_equal(classifier.predict_proba(X), other.predict_proba(X))
    for estimator in (classifier, other):
        estimator.partial_fit(X, y)
    for a, b in zip(classifier.coefs_, other.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, b)
    assert not hasattr(clone(classifier), "module_") and clone(classifier).get_params() == classifier.get_params()


def test_two_runs_and_any_number_of_threads_have_the_same_bits():
    X, y = CANCER
    runs = [MLPClassifier(hidden_layer_sizes=(200, 100), max_iter=5, random_state=3, n_threads=n).fit(X, y)
            for n in (1, 1, 2)]
    for other in runs[1:]:
        for a, b in zip(runs[0].coefs_ + runs[0].intercepts_, other.coefs_ + other.intercepts_, strict=True):
            np.testing.assert_array_equal(a, b)
    assert minidl.get_num_threads() == 1


def test_coefs_are_views_and_can_be_set():
    X, y = DIABETES
    regressor = MLPRegressor(max_iter=2, activation="tanh", random_state=0).fit(X, y)
    W, v = regressor.coefs_
    expected = np.tanh(X @ W + regressor.intercepts_[0]) @ v + regressor.intercepts_[1]
    np.testing.assert_allclose(regressor.predict(X), expected.ravel(), rtol=1e-10)
    regressor.coefs_[1][:] = 0
    assert (regressor.predict(X) == regressor.intercepts_[1]).all()
    regressor.coefs_, regressor.intercepts_ = [W, np.ones_like(v)], [np.zeros(100), np.full(1, 2.0)]
    np.testing.assert_allclose(regressor.predict(X), np.tanh(X @ W).sum(1) + 2, rtol=1e-10)
    with pytest.raises(AttributeError, match="before it is fitted"):
        _ = MLPRegressor().coefs_
    with pytest.raises(NotFittedError):
        MLPRegressor().predict(X)


def test_probabilities_and_decisions_agree():
    for X, y in (IRIS, CANCER):
        classifier = MLPClassifier(max_iter=20, random_state=0).fit(X, y)
        p = classifier.predict_proba(X)
        np.testing.assert_allclose(p.sum(1), 1)
        np.testing.assert_array_equal(classifier.classes_[p.argmax(1)], classifier.predict(X))
        np.testing.assert_allclose(classifier.predict_log_proba(X), np.log(p))
        decision = classifier.decision_function(X)
        if decision.ndim == 1:
            np.testing.assert_array_equal(decision > 0, classifier.predict(X))


def test_warnings_and_limits_of_the_iterations():
    X, y = IRIS
    for solver in SOLVERS:
        with pytest.warns(ConvergenceWarning, match=r"max_iter|\(3\)"):
            classifier = MLPClassifier(solver=solver, max_iter=3).fit(X, y)
        assert classifier.n_iter_ == 3
    with pytest.warns(ConvergenceWarning, match="max_fun=5"):
        MLPClassifier(solver="lbfgs", max_fun=5).fit(X, y)
    with pytest.warns(UserWarning, match="clipped"):
        MLPClassifier(batch_size=1000, max_iter=2).fit(X, y)


def test_verbose_prints_scikit_learns_lines(capsys):
    X, y = IRIS
    shown = []
    for kind in (MLPClassifier, TheirClassifier):
        kind(max_iter=4, verbose=True, early_stopping=True, n_iter_no_change=1, random_state=0).fit(X, y)
        kind(max_iter=9, verbose=True, solver="sgd", learning_rate="adaptive", tol=1, n_iter_no_change=1,
             random_state=0).fit(X, y)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] and "Setting learning rate" in shown[0]


WRONG = {
    "hidden_layer_sizes": [(0,), (-3, 4), (2.5,)], "activation": ["rely", 3, ["relu"], ["relu"] * 3],
    "solver": ["newton"], "alpha": [-1, "a"], "batch_size": [0, 2.5, "all"], "learning_rate": ["fast"],
    "learning_rate_init": [0, -1], "power_t": [-1], "max_iter": [0, 2.5], "shuffle": [3], "tol": [-1],
    "warm_start": ["yes"], "momentum": [2], "nesterovs_momentum": [None], "early_stopping": [1],
    "validation_fraction": [-0.1, 2], "beta_1": [-1], "beta_2": [3], "epsilon": [0], "n_iter_no_change": [0],
    "max_fun": [0], "dropout": [2, [0.1] * 5], "normalization": ["group"], "optimizer": ["newton", "LBFGS", 3],
    "scheduler": ["Step", 3], "callbacks": [[3]], "n_threads": [0], "max_seconds": [-1], "module": [3],
    "loss": ["log_los", 3],
}


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_parameter_is_a_value_error_that_names_it(kind, name, value):
    estimator = kind(hidden_layer_sizes=(4, 3)).set_params(**{name: value})
    with pytest.raises(ValueError, match=name if name != "dropout" else "(?i)dropout"):
        estimator.fit(*IRIS)


def test_every_parameter_has_a_wrong_value():
    checked_elsewhere = {"random_state", "verbose", "class_weight"}
    assert set(MLPClassifier().get_params()) == WRONG.keys() | checked_elsewhere


@pytest.mark.parametrize("solver", SOLVERS)
def test_data_that_diverge_are_named(solver):
    X, y = DIABETES
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        MLPRegressor(solver=solver).fit(X, y * 1e200)


def test_scores_are_scikit_learns():
    X, y = DIABETES
    weight = np.linspace(0, 1, len(y))
    regressor = MLPRegressor(max_iter=20, random_state=0).fit(X, y)
    assert regressor.score(X, y, weight) == r2_score(y, regressor.predict(X), sample_weight=weight)


def test_alpha_may_change_between_partial_fits():
    X, y = IRIS
    fitted = []
    for kind in (MLPClassifier, TheirClassifier):
        estimator = kind(random_state=0).partial_fit(X, y, classes=[0, 1, 2])
        for alpha in (5.0, 0.0, 1.0):
            estimator.set_params(alpha=alpha).partial_fit(X, y)
        fitted.append(estimator)
    for a, b in zip(fitted[0].coefs_, fitted[1].coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_the_number_of_outputs_stays():
    X, y = DIABETES
    regressor = MLPRegressor(max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="expected 1 outputs, as in the call before, got 2"):
        regressor.partial_fit(X, np.c_[y, y])
    assert regressor.n_outputs_ == 1 and regressor.partial_fit(X, y).predict(X).shape == (442,)


def test_ctrl_c_ends_the_training_with_a_warning():
    class Press(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                signal.raise_signal(signal.SIGINT)

    with pytest.warns(UserWarning, match="interrupted by user"):
        classifier = MLPClassifier(callbacks=[Press()]).fit(*IRIS)
    assert classifier.n_iter_ == 2 and classifier.predict(IRIS[0]).shape == (150,)


def test_weights_can_be_routed():
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False),
                                 MLPClassifier(max_iter=5, random_state=0).set_fit_request(sample_weight=True))
        weight = np.where(IRIS[1] == 0, 5.0, 1.0)
        routed = pipeline.fit(*IRIS, sample_weight=weight).named_steps["mlpclassifier"]
    direct = MLPClassifier(max_iter=5, random_state=0).fit(StandardScaler().fit_transform(IRIS[0]), IRIS[1], weight)
    assert routed.loss_curve_ == direct.loss_curve_


def test_weights_must_fit():
    X, y = IRIS
    for weight, words in ((np.ones(3), "shape"), (-np.ones(150), "(?i)negative"),
                          (np.zeros(150), "non-zero|zeros alone")):
        with pytest.raises(ValueError, match=words):
            MLPClassifier().fit(X, y, weight)


def test_partial_fit_needs_a_stochastic_solver_and_the_classes():
    X, y = IRIS
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    assert not hasattr(MLPRegressor(solver="lbfgs"), "partial_fit")
    with pytest.raises(ValueError, match="classes"):
        MLPClassifier().partial_fit(X, y)
    classifier = MLPClassifier().partial_fit(X[:50], y[:50], classes=[0, 1, 2])
    assert classifier.n_outputs_ == 3
    with pytest.raises(ValueError, match="classes"):
        classifier.partial_fit(X, y + 2)


@pytest.mark.parametrize("loss", ["log_loss", "MSELoss"])
def test_a_step_that_is_kept_between_partial_fits_gives_what_a_new_one_would(loss):
    """A copy by pickle has no step yet."""
    X, y = IRIS
    calls = [(X, y, None), (X[:31], y[:31], None), (sparse.csr_matrix(X), y, None), (X, y, np.linspace(0.1, 1, 150)),
             (X[::2], y[::2], np.linspace(0.1, 1, 75)), (X.astype(np.float32), y, None), (X, y, None)]
    classifier = MLPClassifier(random_state=0, loss=loss).partial_fit(X, y, classes=[0, 1, 2])
    for call in calls:
        other = pickle.loads(pickle.dumps(classifier)).partial_fit(*call)
        classifier.partial_fit(*call)
        assert other.loss_ == classifier.loss_
        for a, b in zip(classifier.coefs_, other.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
    assert classifier._kept is not None and classifier.fit(X, y)._kept is None
