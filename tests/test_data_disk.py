"""The disk, one-hot rows, random parts and normalization."""
from math import inf, nan, pi, sqrt

import numpy as np
import pytest

from minidl.data.disk import disk
from minidl.data.split import Normalizer, one_hot, split


def test_disk_labels_the_points_inside():
    points, labels = disk(2000, seed=0, dtype=np.float64)
    inside = [(x - 0.5) ** 2 + (y - 0.5) ** 2 <= 1 / (2 * pi) for x, y in points.tolist()]
    np.testing.assert_array_equal(labels, inside)
    assert points.shape == (2000, 2) and labels.dtype == np.int64
    assert points.min() >= 0 and points.max() <= 1


def test_disk_is_uniform_and_balanced():
    points, labels = disk(100_000, seed=1, dtype=np.float64)
    sigma = sqrt(1 / 12 / 100_000)
    np.testing.assert_allclose(points.mean(axis=0), 0.5, atol=5 * sigma)
    np.testing.assert_allclose(points.var(axis=0), 1 / 12, atol=0.002)
    assert abs(labels.mean() - 0.5) < 5 * 0.5 / sqrt(100_000)


def test_disk_repeats_with_a_seed_and_labels_do_not_depend_on_dtype():
    single, double = disk(500, seed=3), disk(500, seed=3, dtype=np.float64)
    assert single[0].dtype == np.float32
    np.testing.assert_array_equal(single[0], double[0].astype(np.float32))
    np.testing.assert_array_equal(single[1], double[1])
    assert (disk(500, seed=4)[0] != single[0]).any()


def test_disk_advances_a_generator_and_leaves_the_global_one_alone():
    before = np.random.get_state()[1].copy()
    generator = np.random.default_rng(0)
    assert (disk(10, seed=generator)[0] != disk(10, seed=generator)[0]).any()
    disk(10)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_disk_one_hot(dtype):
    rows, labels = disk(50, seed=5, one_hot=True, dtype=dtype)[1], disk(50, seed=5)[1]
    assert rows.dtype == dtype
    np.testing.assert_array_equal(rows, [[1 - label, label] for label in labels])


def test_disk_centre_and_radius():
    points, labels = disk(1000, seed=6, centre=(0, 0), radius=0.25, dtype=np.float64)
    np.testing.assert_array_equal(labels, np.linalg.norm(points, axis=1) <= 0.25)
    assert disk(1, seed=0, radius=2)[1].tolist() == [1]


@pytest.mark.parametrize(("error", "arguments", "match"), [
    (ValueError, {"n": 0}, "disk: expected n >= 1, got 0"),
    (ValueError, {"n": -3}, "disk: expected n >= 1, got -3"),
    (TypeError, {"n": 1.5}, "disk: expected n to be an int, got float"),
    (TypeError, {"n": True}, "disk: expected n to be an int, got bool"),
    (ValueError, {"radius": 0}, "disk: expected a finite radius > 0, got 0"),
    (ValueError, {"radius": -1.0}, "disk: expected a finite radius > 0, got -1.0"),
    (ValueError, {"radius": inf}, "disk: expected a finite radius > 0, got inf"),
    (ValueError, {"radius": nan}, "disk: expected a finite radius > 0, got nan"),
    (ValueError, {"centre": (0.5,)}, "disk: expected centre to be two finite numbers"),
    (ValueError, {"centre": 0.5}, "disk: expected centre to be two finite numbers"),
    (ValueError, {"centre": (0.5, nan)}, "disk: expected centre to be two finite numbers"),
    (TypeError, {"dtype": np.int64}, "disk: expected dtype float32 or float64, got int64"),
    (TypeError, {"seed": "0"}, "expected a seed"),
])
def test_disk_refuses(error, arguments, match):
    with pytest.raises(error, match=match):
        disk(**{"n": 5, **arguments})


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.uint64])
def test_one_hot(dtype):
    labels = np.array([2, 0, 1, 2], dtype)
    rows = one_hot(labels, 3)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert one_hot(labels, 300, np.float64).shape == (4, 300)


@pytest.mark.parametrize(("error", "labels", "classes", "match"), [
    (ValueError, [0, 3], 3, r"one_hot: expected labels in 0\.\.2, got 3"),
    (ValueError, [0, -1], 3, r"one_hot: expected labels in 0\.\.2, got -1"),
    (TypeError, [0.0, 1.0], 3, "one_hot: expected integer labels, got float64"),
    (TypeError, [True, False], 3, "one_hot: expected integer labels, got bool"),
    (ValueError, [[0], [1]], 3, r"one_hot: expected labels of shape \(N,\), got \(2, 1\)"),
    (ValueError, [0], 0, "one_hot: expected classes >= 1, got 0"),
    (TypeError, [0], 2.0, "one_hot: expected classes to be an int, got float"),
])
def test_one_hot_refuses(error, labels, classes, match):
    with pytest.raises(error, match=match):
        one_hot(labels, classes)


def test_one_hot_refuses_an_integer_dtype():
    with pytest.raises(TypeError, match="one_hot: expected dtype float32 or float64, got int32"):
        one_hot([0, 1], 2, np.int32)


@pytest.mark.parametrize(("n", "sizes", "counts"), [
    (10, (6, 4), [6, 4]),
    (10, (3, 2), [3, 2]),
    (10, (10,), [10]),
    (10, (0.8, 0.2), [8, 2]),
    (10, (0.7, 0.2, 0.1), [7, 2, 1]),
    (10, (0.1,) * 10, [1] * 10),
    (7, (0.5, 0.5), [4, 3]),
    (10, (1.0,), [10]),
    (10, (0.3,), [3]),
    (10, np.array([5, 5], np.int8), [5, 5]),
])
def test_split_into_disjoint_parts_of_the_same_samples(n, sizes, counts):
    points, labels = np.arange(2 * n).reshape(n, 2), np.arange(n)
    parts = split(points, labels, sizes=sizes, seed=0)
    assert [len(y) for _, y in parts] == counts
    for X, y in parts:
        np.testing.assert_array_equal(X, points[y])
    assert len({label for _, y in parts for label in y.tolist()}) == sum(counts)


def test_split_is_random_repeatable_and_copies():
    X = np.arange(100)
    (first,), (second,) = split(X, sizes=(50, 50), seed=1)
    assert sorted([*first, *second]) == X.tolist()
    assert first.tolist() != sorted(first)
    np.testing.assert_array_equal(split(X, sizes=(50, 50), seed=1)[0][0], first)
    assert (split(X, sizes=(50, 50), seed=2)[0][0] != first).any()
    first[:] = -1
    assert X.tolist() == list(range(100))


@pytest.mark.parametrize(("error", "sizes", "match"), [
    (ValueError, (6, 5), "split: expected sizes that sum to at most 10 samples"),
    (ValueError, (2**62, 2**62), "split: expected sizes that sum to at most 10 samples"),
    (ValueError, (0.8, 0.3), "split: expected fractions that sum to at most 1"),
    (ValueError, (inf,), "split: expected fractions that sum to at most 1"),
    (ValueError, (nan,), "split: expected sizes > 0"),
    (ValueError, (5, 0), "split: expected sizes > 0"),
    (ValueError, (-0.5, 0.5), "split: expected sizes > 0"),
    (ValueError, (), "split: expected sizes > 0"),
    (ValueError, (0.99, 0.01), "split: expected a sample in every part"),
    (TypeError, (5, 0.5), "split: expected sizes to be all ints or all floats"),
    (TypeError, (True,), "split: expected sizes to be all ints or all floats"),
])
def test_split_refuses_sizes(error, sizes, match):
    with pytest.raises(error, match=match):
        split(np.arange(10), sizes=sizes)


@pytest.mark.parametrize(("arrays", "match"), [
    ((np.zeros(10), np.zeros(9)), r"split: expected arrays of one length, got lengths \[10, 9\]"),
    ((), "split: expected arrays of at least one dimension"),
    ((np.float32(1),), "split: expected arrays of at least one dimension"),
    ((np.zeros(0),), "split: expected sizes that sum to at most 0 samples"),
])
def test_split_refuses_arrays(arrays, match):
    with pytest.raises(ValueError, match=match):
        split(*arrays, sizes=(5,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalizer_uses_the_training_set(dtype):
    random = np.random.default_rng(0)
    X, other = (random.normal(5, 3, (n, 4)).astype(dtype) for n in (200, 17))
    normalize = Normalizer().fit(X)
    result = normalize(X)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(result.std(axis=0, dtype=np.float64), 1, atol=1e-6)
    expected = (other.astype(np.float64) - X.mean(0, np.float64)) / X.std(0, np.float64)
    np.testing.assert_array_equal(normalize.transform(other), expected.astype(dtype))


@pytest.mark.parametrize("value", [0.1, -7.0, 1e30])
def test_normalizer_only_shifts_a_constant_column(value):
    X = np.stack([np.full(1001, value), np.arange(1001.0)], axis=1)
    normalize = Normalizer().fit(X)
    np.testing.assert_array_equal(normalize(X)[:, 0], 0)
    assert normalize.std[0] == 1


def test_normalizer_takes_one_row_strides_and_leaves_its_input_alone():
    X = np.arange(24.0).reshape(4, 6)
    X.flags.writeable = False
    columns = X[:, ::2]
    expected = Normalizer().fit(columns.copy())(columns)
    np.testing.assert_array_equal(Normalizer().fit(columns)(columns), expected)
    np.testing.assert_array_equal(Normalizer().fit(X[:1])(X[:1]), np.zeros((1, 6)))


@pytest.mark.parametrize("method", ["fit", "transform"])
@pytest.mark.parametrize(("error", "X", "match"), [
    (ValueError, np.zeros((0, 2)), r"Normalizer: expected a non-empty input .* got \(0, 2\)"),
    (ValueError, np.zeros((2, 0)), r"Normalizer: expected a non-empty input .* got \(2, 0\)"),
    (ValueError, np.zeros(2), r"Normalizer: expected a non-empty input of shape \(N, features\), got \(2,\)"),
    (ValueError, np.array([[1.0, nan]]), "Normalizer: expected finite values"),
    (ValueError, np.array([[1.0, inf]]), "Normalizer: expected finite values"),
    (TypeError, np.zeros((2, 2), np.uint8), "Normalizer: expected dtype float32 or float64, got uint8"),
    (TypeError, [[1.0, 2.0]], "Normalizer: expected a NumPy array, got list"),
])
def test_normalizer_refuses_and_keeps_its_state(method, error, X, match):
    normalize = Normalizer().fit(np.array([[0.0, 1.0], [2.0, 5.0]]))
    with pytest.raises(error, match=match):
        getattr(normalize, method)(X)
    assert (normalize.mean.tolist(), normalize.std.tolist()) == ([1, 3], [1, 2])


def test_normalizer_refuses_values_without_a_finite_deviation():
    with pytest.raises(ValueError, match="Normalizer: expected columns with a finite standard deviation"):
        Normalizer().fit(np.array([[1e308], [-1e308], [1e308]]))


def test_normalizer_refuses_other_columns_and_use_before_fit():
    with pytest.raises(RuntimeError, match="Normalizer: expected fit before transform"):
        Normalizer()(np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"Normalizer: expected input of shape \(N, 2\), got \(1, 3\)"):
        Normalizer().fit(np.zeros((1, 2)))(np.zeros((1, 3)))
