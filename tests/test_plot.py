"""The pictures: what is drawn, read back from the figure, and PNG files without pyplot."""
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from minidl import data, plot

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
    png(axes, tmp_path)


def test_pyplot_stays_unimported():
    code = "import sys, minidl.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
