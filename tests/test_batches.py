"""Every sample exactly once an epoch, in an order of its own each time."""
import numpy as np
import pytest

from minidl import random
from minidl.data.batches import Batches

SIZES = [(1, 1), (7, 8), (8, 8), (9, 8), (16, 8), (17, 8), (1000, 33), (5, 1)]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("count", "batch_size"), SIZES)
def test_an_epoch_has_every_sample_once(count, batch_size, shuffle):
    batches = Batches(count, batch_size, shuffle=shuffle, generator=0)
    for _ in range(3):
        epoch = list(batches)
        assert len(epoch) == len(batches) == -(-count // batch_size)
        assert all(batch.dtype == np.intp for batch in epoch)
        assert [len(batch) for batch in epoch[:-1]] == [batch_size] * (len(epoch) - 1)
        order = np.concatenate(epoch)
        np.testing.assert_array_equal(np.sort(order) if shuffle else order, np.arange(count))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("count", "batch_size"), [size for size in SIZES if size[0] >= size[1]])
def test_drop_last_leaves_out_the_short_batch_only(count, batch_size, shuffle):
    batches = Batches(count, batch_size, shuffle=shuffle, drop_last=True, generator=0)
    epoch = list(batches)
    assert len(epoch) == len(batches) == count // batch_size
    assert {len(batch) for batch in epoch} == {batch_size}
    assert len(set(np.concatenate(epoch))) == len(batches) * batch_size


def test_each_epoch_is_a_new_permutation_and_a_seed_repeats_them():
    batches, again = Batches(100, 10, generator=7), Batches(100, 10, generator=7)
    epochs = [np.concatenate(list(batches)) for _ in range(3)]
    assert len({tuple(order) for order in epochs}) == 3
    for order in epochs:
        np.testing.assert_array_equal(np.concatenate(list(again)), order)


def test_every_permutation_is_as_likely():
    batches = Batches(3, 3, generator=0)
    orders, counts = np.unique([next(iter(batches)) for _ in range(6000)], axis=0, return_counts=True)
    assert len(orders) == 6
    assert abs(counts - 1000).max() < 5 * np.sqrt(1000 * 5 / 6)


def test_two_iterations_at_once_do_not_disturb_each_other():
    batches = Batches(50, 7, generator=0)
    pairs = list(zip(batches, batches, strict=True))
    for epoch in zip(*pairs, strict=True):
        np.testing.assert_array_equal(np.sort(np.concatenate(epoch)), np.arange(50))


def test_changing_a_batch_changes_no_later_epoch():
    batches = Batches(10, 5, shuffle=False)
    for batch in batches:
        batch[:] = -1
    np.testing.assert_array_equal(np.concatenate(list(batches)), np.arange(10))


def test_a_generator_is_advanced_and_the_global_one_is_left_alone():
    before = np.random.get_state()[1].copy()
    generator = np.random.default_rng(0)
    first = np.concatenate(list(Batches(100, 10, generator=generator)))
    assert (np.concatenate(list(Batches(100, 10, generator=generator))) != first).any()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_without_a_generator_manual_seed_rules_even_afterwards(monkeypatch):
    monkeypatch.setattr(random, "_stream", random._stream)
    batches = Batches(100, 10)
    random.manual_seed(3)
    order = np.concatenate(list(batches))
    np.testing.assert_array_equal(order, np.concatenate(list(Batches(100, 10, generator=3))))


@pytest.mark.parametrize(("error", "arguments", "match"), [
    (ValueError, (0, 1), "Batches: expected count >= 1, got 0"),
    (ValueError, (-1, 1), "Batches: expected count >= 1, got -1"),
    (TypeError, (10.0, 1), "Batches: expected count to be an int, got float"),
    (ValueError, (10, 0), "Batches: expected batch_size >= 1, got 0"),
    (ValueError, (10, -5), "Batches: expected batch_size >= 1, got -5"),
    (TypeError, (10, 2.5), "Batches: expected batch_size to be an int, got float"),
    (TypeError, (10, True), "Batches: expected batch_size to be an int, got bool"),
    (TypeError, (10, None), "Batches: expected batch_size to be an int, got NoneType"),
])
def test_refuses_counts_and_sizes(error, arguments, match):
    with pytest.raises(error, match=match):
        Batches(*arguments)


def test_refuses_an_epoch_without_a_batch():
    with pytest.raises(ValueError, match="batch_size <= count with drop_last, got batch_size 11"):
        Batches(10, 11, drop_last=True)


def test_refuses_what_is_no_generator():
    with pytest.raises(TypeError, match="expected a seed"):
        Batches(10, 1, generator="seed")
