"""Embedding and EmbeddingBag against PyTorch; compiled they have the bits of the plain ones."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from against_torch import close, compare, same_weights
from module_cases import FLOATS, name_of, numbers
from theirs import torch
from twins import check_compiled_as_plain

import minidl
from minidl import functional as F
from minidl import nn, optim

INDEX = np.array([[1, 4, 4], [0, 2, 6], [6, 6, 6]])


@pytest.mark.parametrize("settings", [
    {}, {"padding_idx": 4}, {"padding_idx": -1}, {"max_norm": 1.0}, {"max_norm": 1.5, "norm_type": 1.0},
    {"padding_idx": 2, "max_norm": 0.5}], ids=str)
@pytest.mark.parametrize("shape", [(3, 3), (9,), (1, 9), (3, 1, 3), ()])
def test_embedding(settings, shape):
    ours, theirs = nn.Embedding(7, 5, **settings, dtype=np.float64), torch.nn.Embedding(7, 5, **settings).double()
    assert ours.padding_idx == theirs.padding_idx
    if ours.padding_idx is not None:
        assert not ours.weight.data[ours.padding_idx].any()
    same_weights(ours, theirs)
    index = INDEX.reshape(shape) if shape else np.array(4)
    compare(ours, theirs, [index], twice="max_norm" not in settings)
    close(ours.weight.data, theirs.weight)


@pytest.mark.parametrize("mode, padding, last, weighted", [*itertools.product(
    ["sum", "mean"], [None, 4], [False, True], [False, True])])
def test_embedding_bag(mode, padding, last, weighted):
    if weighted and mode != "sum":
        with pytest.raises(ValueError, match="per_sample_weights with mode 'sum' alone"):
            nn.EmbeddingBag(7, 5, mode=mode)(INDEX, None, np.ones((3, 3), np.float32))
        return
    settings = {"mode": mode, "padding_idx": padding, "include_last_offset": last}
    ours = nn.EmbeddingBag(7, 5, **settings, dtype=np.float64)
    theirs = torch.nn.EmbeddingBag(7, 5, **settings).double()
    same_weights(ours, theirs)
    weights = numbers((3, 3), np.float64)
    for index, offsets in ((INDEX, None), (INDEX.reshape(-1), np.array([0, 2, 2, 7, *[9] * last]))):
        if padding is not None and not last and index.ndim == 1:
            index = np.where(np.arange(9) < 2, 4, index)  # nothing that counts in the first bag
        w = weights.reshape(index.shape) if weighted else None
        compare(ours, theirs, [index], {"offsets": offsets, "per_sample_weights": w}, {
            "offsets": None if offsets is None else torch.from_numpy(offsets),
            "per_sample_weights": None if w is None else torch.from_numpy(w)}, twice=False)


def test_the_largest_of_a_bag():
    ours, theirs = nn.EmbeddingBag(7, 5, mode="max", dtype=np.float64), torch.nn.EmbeddingBag(7, 5, mode="max").double()
    same_weights(ours, theirs)
    close(ours(INDEX), theirs(torch.from_numpy(INDEX)))


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("kind, settings", [
    ("Embedding", {"padding_idx": 4}), ("Embedding", {"max_norm": 1.0}), ("EmbeddingBag", {}),
    ("EmbeddingBag", {"mode": "sum", "padding_idx": 1})])
def test_compiled_steps_have_the_bits_of_plain_ones(kind, settings, dtype):
    def make():
        model = nn.Sequential(getattr(nn, kind)(7, 5, dtype=dtype, **settings), nn.Flatten(), nn.Linear(
            15 if kind == "Embedding" else 5, 3, dtype=dtype))
        return model, optim.SGD(model.parameters(), lr=0.5)

    def batches():
        rng = np.random.default_rng(0)
        return [(rng.integers(0, 7, (4, 3)), rng.integers(0, 3, 4)) for _ in range(6)]

    check_compiled_as_plain(make, batches)


def test_fit_takes_integers():
    x, y = np.random.default_rng(0).integers(0, 7, (60, 3)), np.random.default_rng(1).integers(0, 2, 60)
    model = nn.Sequential(nn.Embedding(7, 5), nn.Flatten(), nn.Linear(15, 2))
    history = minidl.fit(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), (x, y), epochs=2,
                         progress=False, seed=0)
    assert history.path == "compiled"
    np.testing.assert_array_equal(model.predict(x), model.eval()(x))


def test_from_pretrained():
    table = numbers((4, 3))
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad and nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    np.testing.assert_array_equal(layer(np.array([1, 3])), table[[1, 3]])
    np.testing.assert_array_equal(F.embedding(np.array([[1], [3]]), table), table[[[1], [3]]])
    with pytest.raises(ValueError, match=r"Embedding: expected embeddings of shape \(V, E\)"):
        nn.Embedding.from_pretrained(table[0])


def test_what_is_refused():
    layer = nn.Embedding(7, 5, padding_idx=-1)
    assert repr(layer) == "Embedding(7, 5, padding_idx=6)"
    assert repr(nn.EmbeddingBag(7, 5)) == "EmbeddingBag(7, 5, mode='mean')"
    with pytest.raises(TypeError, match="expected an input of integers, got float32"):
        layer(np.ones((2, 2), np.float32))
    for bad in (-1, 7):
        with pytest.raises(IndexError, match="expected indices from 0 to 6"):
            layer(np.array([1, bad]))
    with pytest.raises(ValueError, match="expected padding_idx within 7 rows, got 7"):
        nn.Embedding(7, 5, padding_idx=7)
    with pytest.raises(ValueError, match="Embedding: expected embedding_dim to be a positive integer"):
        nn.Embedding(7, 0)
    for offsets in ([1, 2], [0, 5, 3], [0, 10], [[0]]):
        with pytest.raises(ValueError, match="expected offsets that begin at 0"):
            nn.EmbeddingBag(7, 5)(INDEX.reshape(-1), np.array(offsets))
    with pytest.raises(ValueError, match="expected mode 'sum', 'mean' or 'max', got 'min'"):
        nn.EmbeddingBag(7, 5, mode="min")
    step = minidl.capture(lambda index: layer(index))
    step(np.array([1, 2]))
    step(np.array([1, 2]))
    step(np.array([1, 3]))
    with pytest.raises((IndexError, ValueError), match="0 to 6"):
        step(np.array([1, 7]))


def test_bags_with_a_factor_for_each_entry_by_hand():
    weight, index = minidl.tensor(np.arange(8.0).reshape(4, 2)), np.array([[3, 0], [1, 1]])
    factors = minidl.tensor(np.array([[2.0, -1.0], [0.5, 3.0]]))
    wanted = np.array([[2 * 6 - 0, 2 * 7 - 1], [3.5 * 2, 3.5 * 3]])
    np.testing.assert_array_equal(
        F.embedding_bag(index, weight, mode="sum", per_sample_weights=factors).numpy(), wanted)
    with pytest.raises(ValueError, match="per_sample_weights with mode 'sum' alone"):
        F.embedding_bag(index, weight, mode="mean", per_sample_weights=factors)


def test_an_index_that_the_module_keeps_is_compiled_and_read_at_each_step():
    minidl.manual_seed(0)
    places, target = nn.Embedding(7, 5), minidl.tensor(numbers((3, 5)))
    here = minidl.tensor(np.array([2, 0, 2]))
    optimizer = optim.SGD(places.parameters(), lr=0.1)

    @minidl.capture
    def step():
        optimizer.zero_grad()
        loss = F.mse_loss(places(here), target)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        step()
    for index in ([1, 6, 1], [3, 3, 3]):
        here.data[...] = index
        before = places.weight.data.copy()
        step()
        changed = np.any(places.weight.data != before, axis=1)
        np.testing.assert_array_equal(np.flatnonzero(changed), np.unique(index))
    assert step.path == "compiled"
    recording, = step._kept.values()
    assert all(compiled for line, _, _, compiled in recording.listing if line.what in ("operation", "accumulate"))
    before = places.weight.data.copy()
    for bad in (-1, 7):
        here.data[1] = bad
        with pytest.raises(IndexError, match="embedding: expected indices from 0 to 6, got"):
            step()
    np.testing.assert_array_equal(places.weight.data, before)
