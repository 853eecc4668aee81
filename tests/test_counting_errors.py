"""Which targets are classes, what an output says, and how wrong samples are counted: each rule with small numbers."""
from __future__ import annotations

import numpy as np
import pytest

from minidl import metrics
from minidl.training.epoch_mean import EpochMean, Evaluation

NONE = None


@pytest.mark.parametrize("target, classes", [
    (np.array([0, 2, 1]), [0, 2, 1]), (np.array([2, 3], np.uint8), [2, 3]), (np.array([True, False]), [1, 0]),
    (np.array([], np.int64), []),
    (np.array([-1, 1]), [0, 1]), (np.array([-1, -1]), [0, 0]), (np.array([-1, 0]), NONE), (np.array([-1, 2]), NONE),
    (np.array([0.0, 1.0]), [0, 1]), (np.array([1.0, 1.0]), [1, 1]), (np.array([-1.0, 1.0]), [0, 1]),
    (np.array([0.0, 2.0]), NONE), (np.array([0.5, 1.0]), NONE), (np.array([-1.0, 0.0]), NONE),
    (np.array([[0.0], [1.0]]), [0, 1]), (np.array([[-1], [1]]), [0, 1]), (np.array([[0], [2]]), NONE),
    (np.array([[0, 1], [1, 0]]), [1, 0]), (np.array([[0.0, 0, 1], [0, 1, 0]]), [2, 1]),
    (np.array([[1, 1], [1, 0]]), NONE), (np.array([[0, 0], [1, 0]]), NONE), (np.array([[0.5, 0.5]]), NONE),
    (np.array([[2, -1]]), NONE), (np.array([[-1.0, 1.0]]), NONE),
    (np.array([[[0.0], [1.0]]]), NONE), (np.array([[[0], [1]]]), NONE),
])
def test_classes_of_a_target(target, classes):
    got = metrics.classes(target)
    assert (None if got is None else got.tolist()) == classes
    if got is not None and target.dtype.kind not in "iub":
        assert got.dtype == np.intp


@pytest.mark.parametrize("target, coding", [
    ([0, 1], (0, 1)), ([0, 0], (0, 1)), ([1, 1], None), ([-1, 1], (-1, 1)), ([-1, -1], (-1, 1)), ([], None),
    ([[0.0], [1.0]], (0, 1)), ([[1.0], [-1.0]], (-1, 1))])
def test_coding_of_a_target(target, coding):
    assert metrics.coding(np.array(target)) == coding


def test_half_of_a_coding():
    assert metrics.decision_threshold(np.array([0, 1])) == 0.5 and metrics.decision_threshold(np.array([-1, 1])) == 0
    assert metrics.decision_threshold(np.array([1, 1]), (0, 1)) == 0.5
    assert metrics.decision_threshold(np.array([1, 1]), [-1, 1]) == 0
    with pytest.raises(ValueError, match=r"^decision_threshold: a target of ones alone"):
        metrics.decision_threshold(np.array([1]))
    with pytest.raises(ValueError, match=r"^me: expected a target of 0 and 1, got one of -1 and 1$"):
        metrics.decision_threshold(np.array([-1]), (0, 1), "me")
    with pytest.raises(ValueError, match=r"^me: expected coding \(0, 1\) or \(-1, 1\), got \(0, 2\)$"):
        metrics.decision_threshold(np.array([1]), (0, 2), "me")


def test_what_an_output_says():
    assert metrics.predicted(np.array([[0.5], [0.6]])).tolist() == [0, 1]  # on the threshold is below it
    assert metrics.predicted(np.array([0.0, 0.1]), 0.0).tolist() == [0, 1]
    assert metrics.predicted(np.array([[1.0, 3.0], [2.0, 2.0]])).tolist() == [1, 0]  # the first of two
    assert metrics.predicted(np.arange(12.0).reshape(1, 3, 4)).tolist() == [[2, 2, 2, 2]]
    assert metrics.predicted(np.array([[0.6]])).dtype == np.intp
    assert [metrics.one_unit(np.zeros(shape)) for shape in ((3,), (3, 1), (3, 2), ())] == [True, True, False, True]


@pytest.mark.parametrize("output, target, coding, error", [
    ([[0.2], [0.7], [0.9], [0.1]], [0, 1, 0, 1], None, 50), ([[-0.2], [0.2]], [[-1], [1]], None, 0),
    ([[0.2], [0.7]], [1, 1], (0, 1), 50), ([[0.2], [0.7]], [1, 1], (-1, 1), 0),
    ([[1, 2], [3, 4], [6, 5], [1, 0]], [1, 1, 1, 1], None, 50), ([[1, 2], [2, 1]], [[0, 1], [0, 1]], None, 50)])
def test_error_rate(output, target, coding, error):
    got = metrics.error_rate(np.array(output), np.array(target), coding)
    assert got == error and type(got) is float


def test_the_error_of_what_is_no_class():
    with pytest.raises(ValueError, match="error_rate: expected labels or one-hot rows as target, got other numbers"):
        metrics.error_rate(np.zeros((2, 1)), np.array([0.5, 2]))


# EpochMean

def test_sums_over_batches():
    labels = np.array([0, 1, 2, 1])
    mean = EpochMean("evaluate", labels)
    output = np.array([[9.0, 0, 0], [9, 0, 0], [9, 0, 0], [0, 9, 0]])
    first, second = np.array([2, 0, 1]), np.array([3])
    assert mean.count_wrong(output[first], first) == 2 and mean.count_wrong(output[second], second) == 0
    mean.add(1.0, 2, 3)
    mean.add(5.0, 0, 1)
    assert (mean.samples, mean.loss, mean.wrong) == (4, 8.0, 2)
    assert mean.result() == Evaluation(2.0, 50.0)
    mean.clear()
    assert (mean.samples, mean.loss, mean.wrong) == (0, 0.0, 0)


@pytest.mark.parametrize("target, output, wrong", [
    ([[0.0], [1.0]], [[0.4], [0.6]], 0), ([[0.0], [1.0]], [[0.6], [0.4]], 2), ([[0.0], [1.0]], [[0.6], [0.6]], 1),
    ([[-1.0], [1.0]], [[0.4], [0.6]], 1), ([[-1.0], [1.0]], [[-0.1], [0.1]], 0)])
def test_one_unit_is_read_by_the_coding(target, output, wrong):
    assert EpochMean("fit", np.array(target)).count_wrong(np.array(output), np.arange(2)) == wrong


def test_ones_alone():
    ones, output, index = np.ones((2, 1)), np.array([[0.4], [0.6]]), np.arange(2)
    quiet = EpochMean("fit", ones)
    assert quiet.count_wrong(output, index) == 0 and quiet.truth is None
    quiet.add(1.0, 0, 2)
    assert quiet.result() == Evaluation(1.0, None)
    with pytest.raises(ValueError, match=r"^evaluate: a target of ones alone"):
        EpochMean("evaluate", ones, asks=True).count_wrong(output, index)
    assert EpochMean("evaluate", ones, (0, 1), asks=True).count_wrong(output, index) == 1
    assert EpochMean("evaluate", ones, (-1, 1), asks=True).count_wrong(output, index) == 0
    assert EpochMean("evaluate", np.array([1, 1]), asks=True).count_wrong(np.array([[1.0, 2], [2, 1]]), index) == 1


def test_targets_that_are_no_classes():
    for mean in (EpochMean("fit", np.array([[0.5], [2.0]])), EpochMean("fit", np.array([0, 1]), classes=False),
                 EpochMean("fit", np.array([0.5, 2.0]), (0, 1))):
        assert mean.truth is None and mean.coding is None
        assert mean.count_wrong(np.ones((2, 1)), np.arange(2)) == 0
        mean.add(3.0, 0, 2)
        assert mean.result() == Evaluation(3.0, None)


def test_a_label_at_each_place():
    labels = np.array([[0, 1], [1, 1], [0, 0]])
    output = np.zeros((3, 2, 2))
    output[:, 1] = [[-1, 1], [-1, 1], [-1, -1]]  # says 0 1, 0 1, 0 0
    mean, index = EpochMean("fit", labels), np.arange(3)
    wrong = mean.count_wrong(output, index)
    assert wrong == 1 and mean.labels == 2
    mean.add(1.0, wrong, 3)
    assert mean.result().error == pytest.approx(100 / 6)
    assert mean.count_wrong(output[1:2], index[1:2]) == 1
    for target in (labels.astype(float), np.array([0, 1, 1]), np.array([[0, 1, 1]] * 3)):
        other = EpochMean("fit", target)
        assert other.count_wrong(output, index) == 0 and other.truth is None and other.labels == 1
