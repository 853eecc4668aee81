"""The parts of a training on a table, each against something independent."""
import json

import numpy as np
import pytest

from minidl.tables import Run, TableError, read
from minidl.tables import folder as run_folder
from minidl.tables.baseline import constant, linear
from minidl.tables.columns import Numeric
from minidl.tables.importance import permutation_importance
from minidl.tables.scores import of_classes, of_numbers
from minidl.tables.split import ranges, split_of, stratified
from minidl.tables.target import Amount, Classes
from minidl.tables.training import Choice, prepare, train

AMOUNT = Amount("y", 3.0, 2.0, "")
CLASSES = Classes("y", ("a", "b", "c"), False, "")


def generator():
    return np.random.default_rng(0)


@pytest.mark.parametrize("counts", [[50, 30, 20], [97, 2, 1], [1, 1, 98], [7, 7, 7], [20], [3, 300]])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_part_has_its_share_of_every_stratum(counts, share):
    strata = generator().permutation(np.repeat(np.arange(len(counts)), counts))
    rest, part = stratified(strata, np.arange(len(strata)), share, generator())
    assert sorted([*rest, *part]) == list(range(len(strata)))
    for stratum, count in enumerate(counts):
        held = np.count_nonzero(strata[part] == stratum)
        assert abs(held - share * count) < 1.01 and held < count
    assert abs(len(part) - share * len(strata)) <= len(counts)


def test_the_three_parts_hold_every_row_once_and_every_class():
    labels = np.repeat([0, 1, 2], [150, 40, 10])
    found = split_of(CLASSES, labels, generator())
    assert sorted(np.concatenate(found)) == list(range(200)) and [len(part) for part in found] == [128, 32, 40]
    assert all(set(labels[part]) == {0, 1, 2} for part in found)


def test_numbers_are_split_by_ranges():
    numbers = generator().exponential(size=200).astype(np.float32)
    assert np.bincount(ranges(numbers)).tolist() == [20] * 10
    found = split_of(AMOUNT, numbers, generator())
    assert np.bincount(ranges(numbers)[found.held_out]).tolist() == [4] * 10


def test_scores_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = generator()
    p, truth = rng.dirichlet([1, 1, 1], 100), rng.integers(0, 3, 100)
    expected = [100 * metrics.accuracy_score(truth, p.argmax(axis=1)),
                100 * metrics.balanced_accuracy_score(truth, p.argmax(axis=1)), metrics.log_loss(truth, p)]
    np.testing.assert_allclose(list(of_classes(p, truth).values()), expected)
    y, z = rng.standard_normal((2, 100))
    expected = [metrics.r2_score(y, z), metrics.root_mean_squared_error(y, z), metrics.mean_absolute_error(y, z)]
    np.testing.assert_allclose(list(of_numbers(z, y).values()), expected)


def test_a_sure_error_has_a_finite_log_loss_and_a_constant_truth_a_score():
    assert 700 < of_classes(np.array([[0.0, 1.0]]), np.array([0]))["log loss"] < 710
    assert of_numbers(np.ones(3), np.ones(3)) == {"R2": 0.0, "RMSE": 0.0, "mean error": 0.0}


def test_the_constant_baselines():
    assert constant(AMOUNT, np.array([1.0, 2.0, 6.0]), 2)[1].tolist() == [3, 3]
    assert constant(CLASSES, np.array([0, 0, 1, 0]), 1)[1].tolist() == [[0.75, 0.25, 0]]


@pytest.mark.parametrize("separable", [False, True])
def test_the_linear_baselines_are_those_of_scikit_learn(separable):
    models = pytest.importorskip("sklearn.linear_model")
    rng = generator()
    X = (rng.standard_normal((300, 5)) * [1, 2, 0.1, 1, 1]).astype(np.float32)
    X[:, 4] = 1.5 * X[:, 3]  # of which one alone would do
    truth = (X[:, :3] * (1 + 9 * separable) + rng.standard_normal((300, 3)) * (not separable)).argmax(axis=1)
    model = models.LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(X[:200].astype(float), truth[:200])
    np.testing.assert_allclose(linear(CLASSES, X[:200], truth[:200], X[200:]),
                               model.predict_proba(X[200:].astype(float)), atol=2e-5)
    y = X[:, 0] + rng.standard_normal(300) + 100
    ridge = models.Ridge(alpha=1.0).fit(X[:200].astype(float), y[:200])
    ours = linear(AMOUNT, X[:200], y[:200], X[200:])
    np.testing.assert_allclose(ours, ridge.predict(X[200:].astype(float)), atol=0.05)
    assert np.isfinite(ours).all()


def test_importance_is_the_fall_of_the_score():
    rng = generator()
    X = rng.standard_normal((500, 3)).astype(np.float32)
    columns = [Numeric(name, False, 0.0, 0.0, 1.0) for name in "abc"]
    truth = 2 * X[:, 1] + X[:, 2]
    found = permutation_importance(columns, X, lambda inputs: of_numbers(2 * inputs[:, 1] + inputs[:, 2], truth)["R2"],
                                   rng)
    assert [row["column"] for row in found] == ["b", "c", "a"] and found[2]["importance"] == 0
    np.testing.assert_allclose([row["importance"] for row in found], [1.6, 0.4, 0], atol=0.15)  # 2 w² / variance



def test_importance_of_scores_far_below_zero():
    """Whose squares are infinite: R² falls so low where a held-out value is of another order than the others."""
    columns, scores = [Numeric("a", False, 0.0, 0.0, 1.0)], iter([0.5, -1e198, -2e198, -1e198, -3e198, -1e198])
    found, = permutation_importance(columns, np.zeros((4, 1)), lambda inputs: next(scores), np.random.default_rng(0))
    assert found["importance"] == pytest.approx(1.6e198) and found["sd"] == pytest.approx(8e197)


# The whole, on small tables

def write(path, count=120, task="regression"):
    rng = generator()
    x, town = rng.standard_normal(count), rng.choice(["Oslo", "Bern", "Rome"], count)
    y = x ** 2 + (town == "Rome")
    lines = ["x,town,y", *(f"{a:.4f},{b},{c if task == 'regression' else 'high' if c > 1 else 'low'}"
                           for a, b, c in zip(x, town, y, strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def trained(tmp_path, **options):
    table = read(write(tmp_path / "t.csv", **options))
    return table, train(prepare(table, Choice("y")), seed=3)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_network_learns_what_a_linear_model_cannot(tmp_path, task):
    _, outcome = trained(tmp_path, task=task, count=400)
    assert outcome.preprocessing.target.task == task
    main = "R2" if task == "regression" else "accuracy %"
    constant, linear_model, network = (row[main] for row in outcome.scores)
    assert network > linear_model + (0.3 if task == "regression" else 5) and linear_model >= constant
    assert outcome.importance[0]["column"] == "x" and outcome.history.path == "compiled"


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path):
    table, outcome = trained(tmp_path)
    again = train(prepare(table, Choice("y")), seed=3)
    other = train(prepare(table, Choice("y")), seed=4)
    assert outcome.scores == again.scores and outcome.importance == again.importance
    assert outcome.scores != other.scores
    for name, array in outcome.model.state_dict().items():
        np.testing.assert_array_equal(array, again.model.state_dict()[name])


def test_the_held_out_rows_are_seen_in_no_way(tmp_path):
    """Other values in the rows that are held out change neither the weights nor the preprocessing."""
    table, outcome = trained(tmp_path)
    held = outcome.split.held_out
    table.column("x")[held] = "99"
    again = train(prepare(table, Choice("y")), seed=3)
    assert again.preprocessing == outcome.preprocessing
    for name, array in outcome.model.state_dict().items():
        np.testing.assert_array_equal(array, again.model.state_dict()[name])
    assert again.scores[0] == outcome.scores[0] and again.scores[2] != outcome.scores[2]


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_run_that_is_read_again_predicts_the_same(tmp_path, task):
    table, outcome = trained(tmp_path, task=task)
    run_folder.save(outcome, 3, tmp_path)
    run = Run.load(tmp_path)
    predicted = run.predict(table)
    np.testing.assert_array_equal(predicted[outcome.split.held_out], outcome.predicted)
    held_out = table.take(outcome.split.held_out)
    found = run.scores(held_out, run.predict(held_out))
    assert {"model": "network"} | found == outcome.scores[-1]
    assert run.scores(table.take(np.arange(3)), predicted[:3]) is not None
    del table.columns["y"]
    assert run.scores(table, predicted) is None
    if task == "classification":
        assert predicted.shape == (120, 2) and np.allclose(predicted.sum(axis=1), 1)


def test_rows_without_a_target_are_left_out_and_counted(tmp_path):
    path = write(tmp_path / "t.csv")
    path.write_text(path.read_text() + "1,Oslo,\n2,Bern,NA\n")
    assert prepare(read(path), Choice("y")).no_target == 2
    assert len(prepare(read(path), Choice("y")).table) == 120


def test_too_few_rows_are_an_error(tmp_path):
    with pytest.raises(TableError, match=r"t.csv: expected at least 20 rows with a 'y', got 15"):
        prepare(read(write(tmp_path / "t.csv", count=15)), Choice("y"))


def test_a_class_that_only_wrong_rows_have_is_no_class(tmp_path):
    path = write(tmp_path / "t.csv", task="classification")
    path.write_text(path.read_text() + "much,Oslo,never\n")
    prepared = prepare(read(path), Choice("y", skip_wrong=True))
    assert prepared.target.labels == ("high", "low") and len(prepared.table.wrong) == 1


# Damaged run folders

def damage(folder, name, change):
    path = folder / name
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


@pytest.mark.parametrize("change", [
    lambda folder: (folder / "preprocessing.json").unlink(),
    lambda folder: (folder / "weights.npz").write_bytes(b"PK"),
    lambda folder: (folder / "weights.npz").unlink(),
    lambda folder: (folder / "result.json").write_text("{}"),
    lambda folder: (folder / "result.json").write_text("[" * 100_000),
    lambda folder: damage(folder, "result.json", lambda r: r | {"recipe": r["recipe"] | {"hidden": [10 ** 9]}}),
    lambda folder: damage(folder, "result.json", lambda r: r | {"recipe": r["recipe"] | {"hidden": [3]}}),
    lambda folder: damage(folder, "result.json", lambda r: r | {"recipe": r["recipe"] | {"hidden": [9 ** 6] * 2}}),
    lambda folder: damage(folder, "result.json", lambda r: r | {"recipe": r["recipe"] | {"hidden": None}}),
    lambda folder: damage(folder, "result.json", lambda r: r | {"recipe": r["recipe"] | {"activation": "os.system"}}),
    lambda folder: damage(folder, "result.json", lambda r: r | {"recipe": r["recipe"] | {"dropout": "much"}}),
    lambda folder: damage(folder, "preprocessing.json", lambda p: p | {"columns": p["columns"][1:]}),
])
def test_a_damaged_run_is_an_error_that_names_it(tmp_path, change):
    _, outcome = trained(tmp_path)
    run_folder.save(outcome, 3, tmp_path)
    change(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=str(tmp_path)):
        Run.load(tmp_path)
