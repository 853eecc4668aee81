"""The reports' experiments: their tables, their protocol, and the same numbers wherever they run."""
import statistics
from dataclasses import replace

import numpy as np
import pytest

from minidl import data, nn
from minidl.papers import EXPERIMENTS, available, disk_2018, disk_batch_size, measured, reproduce
from minidl.papers.experiment import Experiment, Row
from minidl.papers.trial import DiskTrial
from minidl.papers.with_pytorch import PyTorchTrial
from minidl.recipe import Recipe

QUICK = Recipe(epochs=2, hidden=(5,))


def small(**trials):
    """An experiment of quick trials."""
    rows = [Row("I", name, name, "test_error", 50.0, 10.0) for name in trials]
    return Experiment("small", "nowhere", 3, trials, rows, lambda outcomes, folder: None)


def numbers(outcomes):
    return {name: [(outcome.train_error, outcome.test_error, outcome.history.iteration_loss,
                    [array.tobytes() for array in outcome.weights.values()]) for outcome in rounds]
            for name, rounds in outcomes["small"].items()}


def test_names_and_sizes_of_the_experiments():
    assert list(EXPERIMENTS) == ["disk-2018", "disk-modules", "disk-2019", "disk-batch-size"]
    assert [EXPERIMENTS[name].rounds for name in EXPERIMENTS] == [10, 5, 10, 10]
    assert [len(EXPERIMENTS[name].rows) for name in EXPERIMENTS] == [2, 14, 8, 16]


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_every_row_has_a_trial_and_stands_once(experiment):
    assert {row.trial for row in experiment.rows} <= experiment.trials.keys()
    assert experiment.needs.keys() <= experiment.trials.keys()
    assert len({(row.table, row.row) for row in experiment.rows}) == len(experiment.rows)


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_every_trial_can_be_built(experiment):
    for trial in experiment.trials.values():
        model = trial.recipe.build(1000, np.random.default_rng(0)).model
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        assert [layer.out_features for layer in linear] == [25, 25, 25, trial.recipe.outputs]


def test_measured_gives_mean_and_sample_deviation():
    class Outcome:
        def __init__(self, error):
            self.test_error = error

    errors = [1.0, 2.0, 4.5]
    result, = measured(small(a=None), {"a": [Outcome(error) for error in errors]})
    assert (result.mean, result.sd, result.rounds) == (statistics.mean(errors), statistics.stdev(errors), 3)
    assert measured(small(a=None), {"a": [Outcome(1.0)]})[0].sd is None
    assert measured(small(a=None), {}) == []


def test_same_numbers_in_processes_and_in_any_order():
    trials = {"a": DiskTrial(QUICK), "b": DiskTrial(replace(QUICK, dropout=0.5), normalize=False)}
    one = reproduce([small(**trials)], executor="serial", progress=False)
    other = reproduce([small(**dict(reversed(trials.items())))], executor="processes:2", progress=False)
    assert numbers(one) == numbers(other)


@pytest.mark.parametrize("trial", [DiskTrial(QUICK), DiskTrial(replace(QUICK, epochs=6, lr=3.0), select=True),
                                   DiskTrial(replace(QUICK, dropout=0.5, scheduler="cyclic"), centre=(0.0, 0.0))])
def test_many_rounds_have_the_outcomes_of_single_ones(trial):
    seeds = [(0, 1), (0, 2), 7]
    for many, seed in zip(trial.many(seeds), seeds, strict=True):
        single = trial(seed)
        for name in ("train_error", "test_error"):
            assert getattr(many, name) == getattr(single, name)
        assert many.history.iteration_loss == single.history.iteration_loss
        assert many.history.validation_loss == single.history.validation_loss
        for name in ("points", "labels", "predicted"):
            np.testing.assert_array_equal(getattr(many, name), getattr(single, name))
        assert {name: array.tobytes() for name, array in many.weights.items()} == {
            name: array.tobytes() for name, array in single.weights.items()}


def test_many_rounds_raise_the_error_of_one():
    trial = DiskTrial(replace(QUICK, loss="mse_sum", lr=1e6))
    with pytest.raises(FloatingPointError) as single:
        trial(0)
    with pytest.raises(FloatingPointError) as many:
        trial.many([0, 1])
    assert str(many.value) == str(single.value)


def test_rounds_differ_and_seeds_differ():
    experiments = [small(a=DiskTrial(QUICK))]
    runs = [numbers(reproduce(experiments, seed=seed, rounds=2, executor="serial", progress=False))
            for seed in (0, 1)]
    weights = [tuple(outcome[-1]) for run in runs for outcome in run["a"]]
    assert len(set(weights)) == 4


def test_trials_of_a_round_see_the_same_points():
    one, other = DiskTrial(QUICK)((0, 1)), DiskTrial(replace(QUICK, lr=0.5, hidden=(7,)))((0, 1))
    np.testing.assert_array_equal(one.points, other.points)


def test_an_outcome_counts_its_errors_and_keeps_points_as_drawn():
    outcome = DiskTrial(QUICK, centre=(0.0, 0.0))(3)
    assert outcome.points.min() >= 0 and outcome.points.max() <= 1
    inside = np.hypot(*outcome.points.astype(np.float64).T) <= 1 / np.sqrt(2 * np.pi)
    np.testing.assert_array_equal(outcome.labels, inside)
    assert outcome.test_error == pytest.approx(100 * np.mean(outcome.predicted != outcome.labels))


def test_select_ends_with_the_epoch_of_the_least_validation_loss():
    recipe = replace(QUICK, epochs=6, lr=3.0)  # too long a step: the last epoch is not the best
    chosen, last = DiskTrial(recipe, select=True)(1), DiskTrial(recipe)(1)
    losses = chosen.history.validation_loss
    assert losses == last.history.validation_loss
    best = int(np.argmin(losses)) + 1
    assert best < 6
    upto = DiskTrial(replace(recipe, epochs=best))(1)
    assert {name: array.tobytes() for name, array in upto.weights.items()} == {
        name: array.tobytes() for name, array in chosen.weights.items()}


def test_what_a_trial_raises_reaches_the_caller():
    with pytest.raises(FloatingPointError, match="the loss became"):
        reproduce([small(a=DiskTrial(replace(QUICK, loss="mse_sum", lr=1e6)))], executor="serial",
                  progress=False)


def test_trials_without_their_library_are_left_out():
    experiment = replace(small(a=DiskTrial(QUICK), b=DiskTrial(QUICK)), needs={"b": "no_such_library"})
    assert list(available(experiment)) == ["a"]
    outcomes = reproduce([experiment], rounds=1, executor="serial", progress=False)
    assert [result.row for result in measured(experiment, outcomes["small"])] == ["a"]


def test_progress_is_on_standard_error(capsys):
    reproduce([small(a=DiskTrial(QUICK))], rounds=1, executor="serial")
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("1/1  small")


def test_report_000_begins_and_ends_near_its_losses():
    losses = DiskTrial(disk_2018.RECIPE)((0, 0)).history.iteration_loss
    steps = len(losses) // disk_2018.RECIPE.epochs
    assert 500 < sum(losses[:steps]) < 800  # 648.19
    assert 60 < sum(losses[-steps:]) < 120  # 88.62


def test_report_004_sample_by_sample_has_the_bits_of_a_batch():
    """Its protocol: forward and backward for each sample, gradients added up, then a step."""
    built, twin = (disk_batch_size.RECIPE.build(16, np.random.default_rng(0)) for _ in range(2))
    X, labels = data.disk(16, seed=0)
    y = disk_batch_size.RECIPE.targets(labels)
    for _ in range(3):
        for x, t in zip(np.split(X, 16), np.split(y, 16), strict=True):
            built.criterion.forward(built.model.forward(x), t)
            built.model.backward(built.criterion.backward())
        twin.criterion.forward(twin.model.forward(X), y)
        twin.model.backward(twin.criterion.backward())
        for side in (built, twin):
            side.optimizer.step()
            side.optimizer.zero_grad()
    np.testing.assert_array_equal(built.model.flat_parameters, twin.model.flat_parameters)


def test_pytorch_trains_to_the_same_weights_within_rounding():
    pytest.importorskip("torch")
    recipe = replace(disk_batch_size.RECIPE, epochs=2, batch_size=16)
    ours, theirs = DiskTrial(recipe)((0, 0)), PyTorchTrial(recipe)((0, 0))
    for name, weight in ours.weights.items():
        np.testing.assert_allclose(weight, theirs.weights[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_figures_are_drawn(experiment, tmp_path):
    pytest.importorskip("matplotlib")
    quick = {name: DiskTrial(replace(trial.recipe, epochs=2), centre=trial.centre)
             for name, trial in experiment.trials.items()}
    outcomes = {name: [trial((0, round_)) for round_ in range(2)] for name, trial in quick.items()}
    experiment.figures(outcomes, tmp_path)
    expected = {"disk-2018": 1, "disk-modules": 3, "disk-2019": 2, "disk-batch-size": 1}
    assert len(list(tmp_path.glob("*.png"))) == expected[experiment.name]
