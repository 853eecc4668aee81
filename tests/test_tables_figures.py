"""The pictures of a training on a table, read back: points, shares, bars, their order, texts and lengths of names."""
from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from minidl import plot
from minidl.tables import figures
from minidl.tables.target import Amount, Classes
from minidl.training.history import History

AMOUNT = Amount("price", 2.0, 1.5, "")
CLASSES = Classes("kind of customer", ("no", "yes, with an extraordinarily long label"), False, "")
NUMBERS = [{"true": "1.5", "prediction": "1"}, {"true": "-2", "prediction": "4.5"}, {"true": "3", "prediction": "3"}]
LABELS = [{"true": CLASSES.labels[i], "prediction": CLASSES.labels[j]} for i, j in [(0, 0), (0, 1), (1, 1), (1, 1)]]
COLUMNS = [{"column": f"column {i}", "importance": 30.0 - i, "sd": i / 10} for i in range(25)]


def texts(labels) -> list[str]:
    return [label.get_text() for label in labels]


def test_predictions_against_the_true_numbers():
    ax = figures.against_true([1.5, -2.0, 3.0], [1.0, 4.5, 3.0], "a title", "price")
    points, = ax.collections
    np.testing.assert_array_equal(points.get_offsets(), [(1.5, 1.0), (-2.0, 4.5), (3.0, 3.0)])
    line, = ax.lines
    assert list(line.get_xdata()) == list(line.get_ydata()) == [-2.0, 4.5]  # of both, so that no point is outside
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("a title", "true price", "predicted price")
    assert sorted(texts(ax.get_legend().get_texts())) == ["predicted = true", "rows (3)"]
    assert ax.get_aspect() in (1.0, "equal")


def test_confusion_of_classes():
    ax = figures.confusion(LABELS, CLASSES, "a title")
    assert [int(text.get_text().split()[0]) for text in ax.texts if text.get_text()[:1].isdigit()] == [1, 1, 0, 2]
    assert (ax.get_title(), ax.get_xlabel()) == ("a title", "predicted kind of customer")
    assert ax.get_ylabel() == "true kind of customer"
    names = [figures._short(label, 14) for label in CLASSES.labels]
    assert texts(ax.get_xticklabels()) == texts(ax.get_yticklabels()) == names


@pytest.mark.parametrize("target, unit", [(AMOUNT, "fall of R²"), (CLASSES, "fall of accuracy (percentage points)")])
@pytest.mark.parametrize("count", [1, 3, 20, 25])
def test_importance_of_columns(target, unit, count):
    ax = figures.importance(COLUMNS[:count], target)
    shown = COLUMNS[:min(count, 20)]
    assert [bar.get_width() for bar in ax.patches] == [row["importance"] for row in shown]
    assert [bar.get_y() + bar.get_height() / 2 for bar in ax.patches] == pytest.approx(range(len(shown)))
    assert texts(ax.get_yticklabels()) == [row["column"] for row in shown] and ax.yaxis_inverted()
    whiskers = [segment for part in ax.collections for segment in part.get_segments()]
    for row, (left, right) in zip(shown, whiskers, strict=True):
        assert (left[0], right[0]) == pytest.approx((row["importance"] - row["sd"], row["importance"] + row["sd"]))
    assert ax.get_xlabel() == unit and ax.get_title() == "Permutation importance of columns"
    assert list(ax.lines[-1].get_xdata()) == [0, 0]
    assert ax.figure.get_size_inches()[1] > 0.3 * len(shown)  # room for each name


@pytest.mark.parametrize("target, held_out, main, name, title", [
    (AMOUNT, NUMBERS, "R2", "predicted.png", "Held-out rows: R² 0.8124"),
    (CLASSES, LABELS, "accuracy %", "confusion.png", "Held-out rows: accuracy 81.24 %")])
def test_pictures_of_a_training(target, held_out, main, name, title, tmp_path, monkeypatch):
    drawn = {}

    def saved(ax, path, save=plot.save):
        drawn[path.name] = ax
        save(ax, path)

    monkeypatch.setattr(plot, "save", saved)
    history = History()
    history.loss, history.validation_loss = [3.0, 2.0], [4.0, 1.0]
    score = {"R2": 0.81239, "accuracy %": 81.239}[main]
    result = {"scores": [{main: 1.0}, {main: score}], "importance": COLUMNS[:2]}
    paths = figures.draw(target, result, history, held_out, tmp_path)
    assert paths == [tmp_path / "loss.png", tmp_path / "importance.png", tmp_path / name]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert drawn[name].get_title() == title and drawn["loss.png"].get_title() == "Loss"
    lines = {line.get_label(): list(line.get_ydata()) for line in drawn["loss.png"].lines}
    assert lines == {"training": [3.0, 2.0], "validation": [4.0, 1.0]}
    if target is AMOUNT:
        np.testing.assert_array_equal(drawn[name].collections[0].get_offsets(), [(1.5, 1), (-2, 4.5), (3, 3)])


@pytest.mark.parametrize("length", [2, 5, 6, 14])
def test_long_names_lose_their_middle(length):
    text = "abcdefghijklmnopqrstuvwxyz"
    assert figures._short(text[:length], length) == text[:length]
    cut = figures._short(text, length)
    assert len(cut) == length
    first, _, last = cut.partition("…")
    assert text.startswith(first) and text.endswith(last) and 0 <= len(last) - len(first) <= 1
    assert figures._short("$5 or $6", 20) == r"\$5 or \$6"
