"""The pictures: what is drawn, read back from the figure, and PNG files without pyplot."""
import inspect
import itertools
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from minidl import data, nn, plot
from minidl.sweep import Run, read, sweep
from minidl.training import History, LRFind

CURVES = {"training": [1.0, 0.5, 0.25], "validation": [1.1, 0.7, 0.6]}
MAKERS = [plot.loss_curves, plot.error_curves, plot.learning_rates]


def png(figure, tmp_path):
    plot.save(figure, tmp_path / "figure.png")
    return (tmp_path / "figure.png").read_bytes()


@pytest.mark.parametrize("maker", MAKERS)
def test_curves_show_the_values_with_title_labels_and_legend(maker, tmp_path):
    axes = maker(CURVES, title="A title")
    for line, (name, values) in zip(axes.lines, CURVES.items(), strict=True):
        assert line.get_label() == name
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert axes.get_title() == "A title" and axes.get_xlabel() == "epoch" and axes.get_ylabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(CURVES)
    assert png(axes, tmp_path).startswith(b"\x89PNG")


def test_errors_are_seen_from_zero_on():
    for axes in (plot.error_curves(CURVES, title=""), plot.learning_rates(CURVES, title=""),
                 plot.errors_by_setting([1, 2], {"a": ([5, 6], [1, 1])}, title="", xlabel="x")):
        assert axes.get_ylim()[0] == 0
    assert plot.accuracy(HISTORY).get_ylim()[0] > 0


def test_the_curves_differ_in_colour_and_style():
    axes = plot.loss_curves({str(i): [1.0] for i in range(10)}, title="")
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 10


@pytest.mark.parametrize("maker", MAKERS)
def test_curves_of_no_epoch_can_be_drawn(maker, tmp_path):
    png(maker({"training": []}, title=""), tmp_path)


def test_iterations_are_placed_within_epochs():
    axes = plot.learning_rates({"lr": [1, 2, 3, 4]}, title="", steps_per_epoch=2)
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [0.5, 1, 1.5, 2])


def test_every_point_is_drawn_once_and_the_wrong_ones_in_red(tmp_path):
    points, labels = data.disk(50, seed=0)
    predicted = labels.copy()
    predicted[:3] = 1 - labels[:3]
    axes = plot.classified(points, labels, predicted, title="points")
    outside, inside, wrong = axes.collections
    np.testing.assert_array_equal(wrong.get_offsets(), points[:3])
    np.testing.assert_array_equal(inside.get_offsets(), points[3:][labels[3:] == 1])
    np.testing.assert_array_equal(outside.get_offsets(), points[3:][labels[3:] == 0])
    red, green, blue, _ = wrong.get_facecolor()[0]
    assert red > 0.8 and green == blue == 0
    circle, = axes.lines
    radii = np.hypot(circle.get_xdata() - 0.5, circle.get_ydata() - 0.5)
    np.testing.assert_allclose(radii, 1 / np.sqrt(2 * np.pi))
    png(axes, tmp_path)


def test_errors_by_setting_has_a_bar_for_each_deviation(tmp_path):
    errors = {"train": ([1.0, 2.0], [0.1, 0.2]), "test": ([1.5, 3.0], [0.3, 0.4])}
    axes = plot.errors_by_setting([4, 128], errors, title="errors", xlabel="batch size")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["4", "128"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train", "test"]
    left, right = [container.lines[0].get_xdata() for container in axes.containers]
    np.testing.assert_allclose(left + right, [0, 2], atol=1e-12)  # on both sides of its setting
    assert (left < right).all() and right[0] < 0.1
    png(axes, tmp_path)


def test_pyplot_stays_unimported():
    code = "import sys, minidl.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# Functions of what one has: a History, a classifier, weights, a range test, a sweep

HISTORY = History(loss=[1.0, 0.5, 0.25], error=[50.0, 20.0, 10.0], validation_loss=[1.1, None, 0.6],
                  validation_error=[55.0, None, 15.0], lr=[0.1] * 3, seconds=[0.5, 1.0, 1.5])
WITHOUT = History(loss=[3.0], error=[None], validation_loss=[None], validation_error=[None], lr=[0.1], seconds=[0.1])
RNG = np.random.default_rng(0)
POINTS, LABELS = data.disk(60, seed=0)
FOUND = LRFind()
for rate in np.geomspace(1e-5, 1, 50):
    FOUND._add(float(rate), float(1 / (1 + rate / 1e-2) + 2 * max(0.0, rate - 0.3)))


class Circle:
    """What is within the disk; as an estimator, it predicts labels."""

    def predict(self, X):
        return (((X - 0.5) ** 2).sum(axis=1) < 1 / (2 * np.pi)).astype(int)


def runs_of(values, **others):
    return [Run({"a": a}, seed, {"best_dev_accuracy": value} | others, None, 0.1)
            for a, several in values.items() for seed, value in enumerate(several)]


CALLS = {
    "accuracy": lambda ax: plot.accuracy(HISTORY, ax=ax),
    "accuracy_curves": lambda ax: plot.accuracy_curves(CURVES, title="t", ax=ax),
    "by_seconds": lambda ax: plot.by_seconds({"a": ([0.1, 1], [90, 95])}, title="t", ylabel="y", ax=ax),
    "calibration_curve": lambda ax: plot.calibration_curve(LABELS, RNG.random(60), ax=ax),
    "classified": lambda ax: plot.classified(POINTS, LABELS, LABELS, title="t", ax=ax),
    "confusion_matrix": lambda ax: plot.confusion_matrix(LABELS, LABELS, ax=ax),
    "decision_regions": lambda ax: plot.decision_regions(Circle(), POINTS, LABELS, resolution=20, ax=ax),
    "error_curves": lambda ax: plot.error_curves(CURVES, title="t", ax=ax),
    "errors_by_setting": lambda ax: plot.errors_by_setting([1], {"a": ([1], [2])}, title="t", xlabel="x", ax=ax),
    "learning_rates": lambda ax: plot.learning_rates(CURVES, title="t", ax=ax),
    "loss": lambda ax: plot.loss(HISTORY, ax=ax),
    "loss_curves": lambda ax: plot.loss_curves(CURVES, title="t", ax=ax),
    "lr_find": lambda ax: plot.lr_find(FOUND, ax=ax),
    "misclassified": lambda ax: plot.misclassified(RNG.random((60, 8, 8)), LABELS, 1 - LABELS, title="t", ax=ax),
    "sweep": lambda ax: plot.sweep(runs_of({1: [0.5]}, best_epoch=1), ax=ax),
    "weights": lambda ax: plot.weights(nn.Linear(16, 5), ax=ax),
}


def test_every_function_has_a_call_here():
    assert sorted([*CALLS, "save"]) == plot.__all__


@pytest.mark.parametrize("name", CALLS)
def test_every_function_takes_and_returns_axes(name, tmp_path):
    assert inspect.signature(getattr(plot, name)).parameters["ax"].default is None
    made = CALLS[name](None)
    assert isinstance(made, Axes)
    first = png(made, tmp_path)
    given = Figure().subplots(1, 2)[1]
    assert CALLS[name](given) is given
    assert first.startswith(b"\x89PNG") and png(given, tmp_path).startswith(b"\x89PNG")


def lines(axes):
    return {line.get_label(): line.get_ydata().tolist() for line in axes.lines}


def test_loss_and_accuracy_of_one_history():
    axes = plot.loss(HISTORY)
    np.testing.assert_equal(lines(axes), {"training": [1.0, 0.5, 0.25], "validation": [1.1, np.nan, 0.6]})
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--"] and axes.get_yscale() == "log"
    np.testing.assert_equal(lines(plot.accuracy(HISTORY)), {"training": [50, 80, 90], "validation": [45, np.nan, 85]})
    assert list(lines(plot.loss(WITHOUT, log=False))) == ["training"]


def test_values_over_seconds_are_marks_or_curves():
    values = {"a": ([0.1, 1.0], [90, 95]), "b": ([0.5], [80])}
    marks, curves = plot.by_seconds(values, title="t", ylabel="y"), plot.by_seconds(values, title="t", ylabel="y",
                                                                                    curves=True)
    assert [dots.get_offsets().tolist() for dots in marks.collections] == [[[0.1, 90], [1, 95]], [[0.5, 80]]]
    assert lines(curves) == {"a": [90, 95], "b": [80]} and curves.get_yscale() == curves.get_xscale() == "log"
    assert marks.get_xscale() == "log" and marks.get_yscale() == "linear"


def test_several_histories_have_a_colour_each():
    axes = plot.loss({"a": HISTORY, "b": WITHOUT}, by="seconds")
    assert list(lines(axes)) == ["a, training", "a, validation", "b, training"]
    a, validation, b = axes.lines
    assert a.get_color() == validation.get_color() != b.get_color()
    np.testing.assert_array_equal(a.get_xdata(), HISTORY.seconds)
    assert "seconds" in axes.get_xlabel()


def test_the_confusion_matrix_counts():
    truth, found = RNG.integers(0, 4, 200), RNG.integers(0, 4, 200)
    counts = np.array([[np.sum((truth == i) & (found == j)) for j in range(4)] for i in range(4)])
    percent = {"true": 100 * counts / counts.sum(1, keepdims=True), "pred": 100 * counts / counts.sum(0),
               "all": counts / 2}
    for normalize, numbers in [(None, counts), *percent.items()]:
        axes = plot.confusion_matrix(truth, found, normalize=normalize)
        for (i, j), text in zip(itertools.product(range(4), repeat=2), axes.texts, strict=True):
            assert text.get_position() == (j, i) and text.get_text() == f"{numbers[i, j]:.0f}"
    axes = plot.confusion_matrix(["b", "a"], ["b", "b"], labels=["b", "a", "c"], names=["B", "A", "C"])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["B", "A", "C"]
    assert [text.get_text() for text in axes.texts] == ["1", "0", "0", "1", "0", "0", "0", "0", "0"]


def test_the_calibration_curve_is_scikit_learns():
    calibration = pytest.importorskip("sklearn.calibration")
    p = RNG.random(1000)
    y = (RNG.random(1000) < p ** 2).astype(int)
    right, sure = calibration.calibration_curve(y, p, n_bins=7)
    line = plot.calibration_curve(y, p, n_bins=7).lines[1]
    np.testing.assert_allclose(line.get_xdata(), sure)
    np.testing.assert_allclose(line.get_ydata(), right)


def test_calibration_of_several_classes_is_that_of_the_predicted_one():
    rows = np.array([[0.9, 0.1, 0.0], [0.1, 0.88, 0.02], [0.3, 0.35, 0.35], [0.2, 0.2, 0.6]])
    axes = plot.calibration_curve([0, 0, 1, 2], {"net": rows}, n_bins=5)
    diagonal, line = axes.lines
    np.testing.assert_allclose(line.get_xdata(), [0.35, 0.6, 0.89])
    np.testing.assert_allclose(line.get_ydata(), [1, 1, 0.5])
    error = (0.65 + 0.4 + 2 * 0.39) / 4
    assert line.get_label() == f"net, calibration error {error:.3f}" and diagonal.get_ydata().tolist() == [0, 1]
    assert axes.get_xlim() == axes.get_ylim() and axes.get_xlim()[0] < 0 and axes.get_xlim()[1] > 1


@pytest.mark.parametrize("kind", ["estimator", "one unit", "two units"])
def test_decision_regions_are_what_the_model_predicts(kind):
    units = 1 if kind == "one unit" else 2
    model = Circle() if kind == "estimator" else nn.Sequential(nn.Linear(2, units, generator=1))
    axes = plot.decision_regions(model, POINTS, LABELS, resolution=30, threshold=0.1)
    mesh = axes.collections[0]
    assert mesh.get_clim() == (-0.5, 1.5)  # a colour of its own for each class
    pale = np.array(mesh.get_cmap().colors)
    np.testing.assert_allclose(pale, 0.65 + 0.35 * np.array([to_rgb(colour) for colour in plot.COLOURS[:2]]))
    x1, x2 = mesh.get_coordinates()[:-1, :-1, 0], mesh.get_coordinates()[:-1, :-1, 1]
    half = np.array([x1[0, 1] - x1[0, 0], x2[1, 0] - x2[0, 0]]) / 2
    grid = np.stack([x1.ravel() + half[0], x2.ravel() + half[1]], axis=1)
    output = model.predict(grid.astype(np.float32))
    expected = output if kind == "estimator" else output.ravel() > 0.1 if units == 1 else output.argmax(axis=1)
    assert np.mean(mesh.get_array().ravel() == expected) > 0.99  # a cell's centre, to a rounding
    drawn = sum(len(dots.get_offsets()) for dots in axes.collections if isinstance(dots, PathCollection))
    assert drawn == len(POINTS) and f"of {len(POINTS)} wrong" in axes.get_legend().get_title().get_text()


def test_labels_of_both_signs_are_told_by_the_sign_of_one_unit():
    model = nn.Linear(2, 1, generator=0)
    signs = np.where(model.predict(POINTS.astype(np.float32)).ravel() > 0, 1, -1)
    axes = plot.decision_regions(model, POINTS, signs, resolution=20)
    assert axes.get_legend().get_title().get_text() == f"0 of {len(POINTS)} wrong"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [str(sign) for sign in np.unique(signs)]


@pytest.mark.parametrize(("layer", "settings", "shape"), [
    (lambda: nn.Linear(16, 5), {}, (2 * 4 + 1, 3 * 4 + 2)),          # five pictures of 4 by 4, three in a row
    (lambda: nn.Linear(12, 5), {}, (5, 12)),                         # no square: the matrix
    (lambda: nn.Linear(12, 4), {"image_shape": (2, 6)}, (2 * 2 + 1, 2 * 6 + 1)),
    (lambda: nn.Linear(27, 4), {"image_shape": (3, 3, 3)}, (7, 7, 3)),
    (lambda: nn.Conv2d(1, 6, 5), {}, (2 * 5 + 1, 3 * 5 + 2)),
    (lambda: nn.Conv2d(3, 4, 5), {}, (11, 11, 3)),
    (lambda: nn.Conv2d(2, 3, 5), {}, (3 * 5 + 2, 2 * 5 + 1)),        # a filter a row, a channel a column
    (lambda: nn.Conv1d(2, 3, 5), {}, (3, 10)),
    (lambda: nn.LSTM(3, 4), {}, (16, 3)),
    (lambda: nn.Linear(16, 100), {"limit": 4}, (9, 9)),
])
def test_weights_are_pictures_where_they_have_their_shape(layer, settings, shape):
    axes = plot.weights(nn.Sequential(nn.ReLU(), layer()), **settings)
    image, = axes.images
    assert image.get_array().shape == shape
    assert len(axes.figure.axes) == 1 + (shape[-1] != 3 or len(shape) == 2)  # a bar, but not beside colours


@pytest.mark.parametrize("columns", [4, 8, 16])
def test_a_wide_picture_has_the_area_of_a_square_one(columns):
    axes = plot.weights(nn.Linear(16, 16), columns=columns)
    (width, height), shape = axes.figure.get_size_inches(), axes.images[0].get_array().shape
    assert (width - 1) * (height - 0.4) == pytest.approx(25)  # without the bar, and the title
    assert (width - 1) / (height - 0.4) == pytest.approx(shape[1] / shape[0])


def test_the_pictures_are_the_rows_of_the_weight():
    model = nn.Linear(9, 2)
    image = plot.weights(model).images[0].get_array()
    np.testing.assert_array_equal(image[:, :3], model.weight.data[0].reshape(3, 3))
    np.testing.assert_array_equal(image[:, 4:], model.weight.data[1].reshape(3, 3))
    assert image.mask[:, 3].all()


def test_the_range_test_shows_its_suggestion():
    axes = plot.lr_find(FOUND)
    raw, smoothed, dot = axes.lines
    assert raw.get_ydata().tolist() == FOUND.loss and smoothed.get_ydata().tolist() == FOUND.smoothed
    assert list(dot.get_xdata()) == [FOUND.suggestion()] and axes.get_xscale() == "log"
    assert len(plot.lr_find(FOUND, suggest=False).lines) == 2


def test_a_sweep_is_read_from_its_folder_and_shows_any_number(tmp_path):
    runs = sweep(task_of_a_sweep, [{"a": 1}, {"a": 2}], seeds=range(2), executor="serial", progress=False,
                 path=tmp_path / "sweep.jsonl")
    assert read(tmp_path) == read(tmp_path / "sweep.jsonl") == list(runs)
    axes = plot.sweep(tmp_path, value="seconds_taken", ascending=True)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a 2", "a 1"]  # the least on top
    assert axes.get_xlabel() == "seconds taken" and len(axes.figure.axes) == 1
    (tmp_path / "other.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="expected the file of a sweep"):
        plot.sweep(tmp_path / "other.jsonl")


def task_of_a_sweep(settings, seed):
    return {"seconds_taken": settings["a"] + 0.1 * seed}


@pytest.mark.parametrize(("call", "message"), [
    (lambda: plot.loss(HISTORY, by="minute"), "loss: expected by to be one of epoch, seconds, got 'minute'"),
    (lambda: plot.loss(History()), "loss: expected a history with loss or validation_loss, got none"),
    (lambda: plot.accuracy(WITHOUT), "accuracy: expected a history with error"),
    (lambda: plot.loss([1.0]), "loss: expected a History"),
    (lambda: plot.confusion_matrix([0], [0, 1]), "as many labels as predictions, got 1 and 2"),
    (lambda: plot.confusion_matrix([0, 2], [0, 1], labels=[0, 1]), r"expected labels of \[0, 1\], got 2"),
    (lambda: plot.confusion_matrix([0, 1], [0, 1], names=["a"]), "expected 2 names, got 1"),
    (lambda: plot.confusion_matrix([0], [0], normalize="rows"), "expected normalize to be one of"),
    (lambda: plot.calibration_curve([0, 1], [0.5, 2.0]), "logits need softmax or sigmoid first"),
    (lambda: plot.calibration_curve([0, 1], [0.5]), "expected labels"),
    (lambda: plot.decision_regions(Circle(), np.zeros((3, 4))), r"expected X of shape \(N, 2\), got \(3, 4\)"),
    (lambda: plot.decision_regions(Circle(), POINTS, LABELS[1:]), "expected 60 labels, got 59"),
    (lambda: plot.weights(nn.Tanh()), "expected a model with a weight of two axes or more, got Tanh"),
    (lambda: plot.weights(nn.Linear(12, 2), image_shape=(3, 3)), r"of 12 numbers, got \(3, 3\)"),
    (lambda: plot.sweep(runs_of({1: [0.5]}), value="loss"), "expected results with 'loss', got none"),
])
def test_wrong_arguments(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
