"""Embedding and EmbeddingBag row by row in NumPy: outputs, what max_norm shortens, and gradients."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from module_cases import numbers
from test_embedding import INDEX

import minidl
from minidl import nn


def shortened(table, index, max_norm, norm_type):
    """The table after rows that are read were shortened to that norm."""
    table = table.copy()
    for row in set(np.ravel(index).tolist()) if max_norm is not None else ():
        norm = np.linalg.norm(table[row], norm_type)
        if norm > max_norm:
            table[row] *= max_norm / (norm + 1e-7)
    return table


@pytest.mark.parametrize("settings", [
    {}, {"padding_idx": 4}, {"padding_idx": -1}, {"padding_idx": 0}, {"max_norm": 1.0},
    {"max_norm": 1.5, "norm_type": 1.0}, {"padding_idx": 2, "max_norm": 0.5}], ids=str)
@pytest.mark.parametrize("shape", [(3, 3), (9,), (1, 9), (3, 1, 3), ()])
def test_rows(settings, shape):
    module = nn.Embedding(7, 5, **settings, dtype=np.float64, generator=0)
    padding = settings.get("padding_idx")
    if padding is not None:
        assert module.padding_idx == padding % 7 and not module.weight.data[padding].any()
    index = INDEX.reshape(shape) if shape else np.array(4)
    table = shortened(module.weight.data, index, settings.get("max_norm"), settings.get("norm_type", 2.0))
    y = module(index)
    tensor = module(minidl.tensor(index))
    np.testing.assert_allclose(module.weight.data, table, rtol=1e-12)
    np.testing.assert_allclose(y, table[index], rtol=1e-12)
    np.testing.assert_array_equal(tensor.data, y)
    g, wanted = numbers(y.shape, np.float64), np.zeros((7, 5))
    tensor.backward(g)
    for place in np.ndindex(*index.shape):
        if padding is None or index[place] != padding % 7:
            wanted[index[place]] += g[place]
    np.testing.assert_allclose(module.weight.grad, wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("mode, padding, last, weighted", [
    case for case in itertools.product(["sum", "mean", "max"], [None, 4], [False, True], [False, True])
    if (not case[3] or case[0] == "sum") and (case[0] != "max" or not case[1])])
def test_bags(mode, padding, last, weighted):
    module = nn.EmbeddingBag(7, 5, mode=mode, padding_idx=padding, include_last_offset=last, dtype=np.float64,
                             generator=1)
    table, weights = module.weight.data, numbers((3, 3), np.float64) if weighted else np.ones((3, 3))
    cases = [(INDEX, None, [0, 3, 6])]
    if mode != "max":
        cases.append((INDEX.reshape(-1), np.array([0, 2, 2, 7, *[9] * last]), [0, 2, 2, 7]))
    for index, offsets, begins in cases:
        flat, factors, rows = index.reshape(-1), weights.reshape(-1), []
        gradient, g = np.zeros((7, 5)), numbers((len(begins), 5), np.float64, seed=3)
        for bag, (begin, end) in enumerate(itertools.pairwise([*begins, 9])):
            inside = [k for k in range(begin, end) if flat[k] != padding]
            parts = [factors[k] * table[flat[k]] for k in inside]
            if mode == "max":
                rows.append(np.max(parts, axis=0))
                for column, k in enumerate(np.argmax(parts, axis=0)):
                    gradient[flat[inside[k]], column] += g[bag, column]
                continue
            count = max(1, len(inside)) if mode == "mean" else 1
            rows.append(np.sum(parts, axis=0) / count if parts else np.zeros(5))
            for k in inside:
                gradient[flat[k]] += factors[k] * g[bag] / count
        module.zero_grad()
        y = module(minidl.tensor(index), offsets, weights.reshape(index.shape) if weighted else None)
        np.testing.assert_allclose(y.data, rows, rtol=1e-12, atol=1e-14)
        y.backward(g)
        np.testing.assert_allclose(module.weight.grad, gradient, rtol=1e-12, atol=1e-14)


def test_first_values():
    table = nn.Embedding(400, 30, padding_idx=3, generator=0).weight.data
    assert abs(table.mean()) < 0.03 and abs(table.std() - 1) < 0.03 and not table[3].any()
    given = numbers((4, 3))
    kept = nn.Embedding.from_pretrained(given)
    assert not kept.weight.requires_grad and np.array_equal(kept.weight.data, given)
    assert nn.Embedding.from_pretrained(given, freeze=False).weight.requires_grad
