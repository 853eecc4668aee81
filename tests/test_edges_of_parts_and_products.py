"""Parts, repetitions, products of axes, attention and distances at the last value that they take, and the first that
they refuse."""
from __future__ import annotations

import math
import re

import numpy as np
import pytest

import minidl
from minidl import functional as F

X = np.arange(12.0).reshape(3, 4)
Z = np.arange(24.0).reshape(2, 3, 4)
V = np.array([3.0, 4.0])
RNG = np.random.default_rng(0)
Q, K, W = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4)), RNG.normal(size=(2, 5, 2))


def plain(x):
    return np.asarray(x.data if isinstance(x, minidl.Tensor) else x)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


TAKEN = [  # the call, what it gives
    # Repetitions and parts
    (lambda: F.expand(V, 3, -1), [V] * 3), (lambda: F.expand(V, (1, 2)), [V]), (lambda: F.expand(V, -1, 2), [V]),
    (lambda: F.expand(X[:, :1], [-1, 2]), X[:, [0, 0]]), (lambda: F.expand(np.array(2.0), 2, 2), [[2, 2], [2, 2]]),
    (lambda: F.expand(X[:1], 0, 4), X[:0]), (lambda: F.broadcast_to(V, (2, 2)), [V, V]),
    (lambda: F.repeat(V, 2), [3, 4, 3, 4]), (lambda: F.repeat(V, (1, 2)), [[3, 4, 3, 4]]),
    (lambda: F.repeat(V, 2, 1), [V, V]), (lambda: F.repeat(V, 0), []), (lambda: F.repeat(V, [2]), [3, 4, 3, 4]),
    (lambda: F.flip(Z, -1), Z[..., ::-1]), (lambda: F.flip(Z, [0, -2]), Z[::-1, ::-1]), (lambda: F.flip(Z, ()), Z),
    (lambda: F.split(V, np.int64(1))[1], [4]), (lambda: len(F.split(X, 4)), 1), (lambda: len(F.split(X, 3)), 1),
    (lambda: [len(part) for part in F.split(X, 2)], [2, 1]), (lambda: len(F.split(X[:0], 2)), 1),
    (lambda: F.split(X[:0], 2)[0], X[:0]), (lambda: F.split(X, [3])[0], X), (lambda: F.split(X, (0, 3))[1], X),
    (lambda: F.split(X, [1, 3], -1)[1], X[:, 1:]), (lambda: F.split(X, 3, -1)[1], X[:, 3:]),
    (lambda: len(F.chunk(X, 1)), 1), (lambda: len(F.chunk(X, 2)), 2), (lambda: len(F.chunk(X, 9)), 3),
    (lambda: F.chunk(X[:0], 3)[0], X[:0]), (lambda: len(F.chunk(X[:0], 3)), 1), (lambda: F.chunk(X, 2)[0], X[:2]),
    (lambda: F.tril(X), np.tril(X)), (lambda: F.triu(X), np.triu(X)), (lambda: F.tril(Z), np.tril(Z)),
    (lambda: F.triu(Z, diagonal=2), np.triu(Z, 2)), (lambda: F.outer(V, V[:1]), [[9], [12]]),
    (lambda: F.tile(V, 2), [3, 4, 3, 4]), (lambda: F.tile(V, [2]), [3, 4, 3, 4]), (lambda: F.tile(X, 2), np.tile(X, 2)),
    (lambda: F.tile(V, np.int64(2)), [3, 4, 3, 4]), (lambda: F.tile(V, 2, 1), [V, V]), (lambda: F.tile(X, ()), X),
    (lambda: F.tile(V, 1, 2, 2), np.tile(V, (1, 2, 2))),
    (lambda: F.repeat_interleave(Z, 2, 1), np.repeat(Z, 2, 1)), (lambda: F.repeat_interleave(V, 3), [3] * 3 + [4] * 3),
    (lambda: F.repeat_interleave(Z, 2, -1), np.repeat(Z, 2, -1)), (lambda: F.repeat_interleave(Z, 1), Z.ravel()),
    (lambda: F.repeat_interleave(Z, 3, 0), np.repeat(Z, 3, 0)), (lambda: F.repeat_interleave(V, 0, 0), []),
    (lambda: F.hstack([np.array(1.0), np.array(2.0)]), [1, 2]), (lambda: F.hstack([np.array(1.0), V]), [1, 3, 4]),
    (lambda: F.hstack([V]), V), (lambda: F.vstack([V]), [V]),
    (lambda: F.hstack((Z, Z)), np.concatenate([Z, Z], 1)), (lambda: F.hstack([V, V]), [3, 4, 3, 4]),
    (lambda: F.vstack([np.array(1.0), np.array(2.0)]), [[1], [2]]), (lambda: F.vstack([V, X[:, :2]]), [V, *X[:, :2]]),
    (lambda: F.vstack([Z, Z]), np.concatenate([Z, Z])),
    (lambda: F.diff(X * X, 0), X * X), (lambda: F.diff(X * X), np.diff(X * X)), (lambda: F.diff(V, 2), []),
    (lambda: F.diff(X * X, dim=0), np.diff(X * X, axis=0)), (lambda: F.diff(X ** 3, 3), np.diff(X ** 3, 3)),
    # Orders, closeness, lengths
    (lambda: F.median(np.array([4.0, 1.0, 3.0, 2.0])), 2), (lambda: F.median(np.array([5.0, 1.0, 3.0])), 3),
    (lambda: F.median(X), 5), (lambda: F.median(np.array([7.0])), 7), (lambda: F.median(V, 0)[0], 3),
    (lambda: F.median(X[:, ::-1], 1).values, [1, 5, 9]), (lambda: F.median(X[:, ::-1], -1).indices, [2, 2, 2]),
    (lambda: F.median(X, 0, True).values, X[1:2]), (lambda: F.median(X, 1, keepdim=True).indices, [[1]] * 3),
    (lambda: F.median(Z, -2).values, Z[:, 1]), (lambda: F.median(Z, 0).values, Z[0]),
    (lambda: F.isclose(np.array([1, 1, 1, 1]) + 1e-5 * np.array([0.9, 1.1, -0.9, -1.1]), np.ones(4)),
     [True, False, True, False]),
    (lambda: F.isclose(np.array([0.9e-8, 1.1e-8]), np.zeros(2)), [True, False]),
    (lambda: F.isclose(np.array([10.0, 11.0]), np.array([11.0, 10.0]), 0.095, 0.0), [True, False]),
    (lambda: F.isclose(V, V + 0.5, rtol=0.0, atol=0.6), [True, True]),
    (lambda: F.normalize(np.array([[3.0, 4.0], [3e-13, 4e-13], [0, 0]])), [[0.6, 0.8], [0.3, 0.4], [0, 0]]),
    (lambda: F.normalize(V[None], 1.0), V[None] / 7), (lambda: F.normalize(V[None], eps=50), V[None] / 50),
    (lambda: F.normalize(Z + 1), (Z + 1) / np.sqrt(((Z + 1) ** 2).sum(1, keepdims=True))),
    (lambda: F.softmin(Z), softmax(-Z)), (lambda: F.lerp(V, V + 2, 0.25), V + 0.5),
    (lambda: (type(F.numel(Z)), F.numel(Z[:0]), F.numel(np.array(1))) == (int, 0, 1), True),
    # Products of axes
    (lambda: F.einsum(" ij , jk ", X, X.T), X @ X.T), (lambda: F.einsum("ba", X), X.T),
    (lambda: F.einsum("i->i", V), V), (lambda: F.einsum("Ij->jI", X), X.T), (lambda: F.einsum("->", V[0]), 3),
    (lambda: F.einsum(",i->i", V[0], V), 3 * V), (lambda: F.einsum("i,i", V, V), 25),
    (lambda: F.einsum("i,j->", V, V), 49), (lambda: F.einsum("bij,bjk,k->bi", Z, Z.swapaxes(1, 2), X[:, 0]),
                                            np.einsum("bij,bjk,k->bi", Z, Z.swapaxes(1, 2), X[:, 0])),
    (lambda: F.einsum("bij,cj->cbi", Z, X), np.einsum("bij,cj->cbi", Z, X)),
    (lambda: F.einsum("bij,bij->b", Z, Z), (Z * Z).sum((1, 2))),
    (lambda: F.einsum("bij,j->b", Z, X[0]), (Z @ X[0]).sum(1)),
    (lambda: F.einsum("ab,ac,bd->cd", X, X, X.T), np.einsum("ab,ac,bd->cd", X, X, X.T)),
    (lambda: F.bmm(Z, Z.swapaxes(1, 2)), Z @ Z.swapaxes(1, 2)),
    (lambda: F.bmm(Z[:0], Z.swapaxes(1, 2)[:0]).shape, (0, 3, 3)),
    # Attention
    (lambda: F.scaled_dot_product_attention(Q[0], K[0], W[0]), softmax(Q[0] @ K[0].T / 2) @ W[0]),
    (lambda: F.scaled_dot_product_attention(Q, K, W, scale=0.0), np.repeat(W.mean(1, keepdims=True), 3, 1)),
    (lambda: F.scaled_dot_product_attention(Q, K, W, None, 0.0, True),
     softmax(Q @ K.swapaxes(1, 2) / 2 + np.where(np.tri(3, 5), 0, -np.inf)) @ W),
    (lambda: F.scaled_dot_product_attention(Q, K, W, None, 0.4, generator=3),
     (softmax(Q @ K.swapaxes(1, 2) / 2) * (np.random.default_rng(3).random((2, 3, 5)) >= 0.4) / 0.6) @ W),
    (lambda: F.scaled_dot_product_attention(Q, K, W, dropout_p=1.0), np.zeros((2, 3, 2))),
    # Distances
    (lambda: F.pairwise_distance(V, V), math.sqrt(2) * 1e-6),
    (lambda: F.pairwise_distance(X, X[:1] + 3, eps=0.0, p=1.0), abs(X - X[:1] - 3).sum(1)),
    (lambda: F.pairwise_distance(X, X + 2, 2.0, 0.0, True), [[4]] * 3),
    (lambda: F.pairwise_distance(V, V * 0, eps=0), 5),
    (lambda: F.cosine_similarity(Z + 1, Z[::-1] + 1), ((Z + 1) * (Z[::-1] + 1)).sum(1) / np.sqrt(
        ((Z + 1) ** 2).sum(1) * ((Z[::-1] + 1) ** 2).sum(1))),
    (lambda: F.cosine_similarity(1e-9 * V, V, 0), 0.5), (lambda: F.cosine_similarity(V, 1e-9 * V, 0), 0.5),
    (lambda: F.cosine_similarity(V * 0, V, dim=0), 0), (lambda: F.cosine_similarity(V, V, 0, 10.0), 0.25),
    (lambda: F.cosine_embedding_loss(np.array([1e-6, 0]), np.array([1e-6, 0]), np.array(1.0)), 0.5),
    (lambda: F.cosine_embedding_loss(V, V, np.array(-1.0)), 1),
    (lambda: F.cosine_embedding_loss(V, -V, np.array(-1)), 0),
    (lambda: F.cosine_embedding_loss(V, V, np.array(-1.0), 0.25), 0.75),
    (lambda: F.cosine_embedding_loss(np.array([V] * 4), np.array([V, V, -V, V]), np.array([1, -1, 1, 0]),
                                     reduction="none"), [0, 1, 2, 0]),
    (lambda: F.cosine_embedding_loss(np.array([V] * 4), np.array([V, V, -V, V]), np.array([1, -1, 1, 0])), 0.75),
    (lambda: F.cosine_embedding_loss(np.array([V] * 2), np.array([-V] * 2), np.array([1, 1]), reduction="sum"), 4),
    (lambda: F.triplet_margin_loss(V[:1], V[:1] + 1, V[:1] + 2, eps=0.0), 0),
    (lambda: F.triplet_margin_loss(V, V, V + 3, 5.0, 1, 0.0), 0), (lambda: F.triplet_margin_loss(V, V, V), 1),
    (lambda: F.triplet_margin_loss(V, V, V, margin=1e-3), 1e-3),
    (lambda: F.triplet_margin_loss(V * 0, V, np.array([3.0, 5.0]), 2.0, eps=0.0, swap=True), 6),
    (lambda: F.triplet_margin_loss(V * 0, V, np.array([0.0, 1.0]), 2.0, eps=0.0, swap=True), 6),
    (lambda: F.triplet_margin_loss(np.array([V] * 3), np.array([V] * 3), np.array([V, V, 2 * V]), reduction="sum"), 2),
    (lambda: F.triplet_margin_loss(np.array([V] * 3), np.array([V] * 3), np.array([V, V, 2 * V]), reduction="none"),
     [1, 1, 0]),
]


@pytest.mark.parametrize("call, expected", TAKEN)
def test_it_is_taken(call, expected):
    got = plain(call())
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-13)
    assert got.shape == np.shape(expected)


NAN = float("nan")
REFUSED = [  # the call, the exception, how its message begins
    (lambda: F.repeat(X, 2), ValueError, "repeat: expected a number for each of 2 axes, got 1"),
    (lambda: F.expand(X, 4), ValueError, ""), (lambda: F.expand(X, 2, 4), ValueError, ""),
    (lambda: F.flip(X, 2), ValueError, "flip: axis 2 is out of bounds"),
    (lambda: F.flip(X, 0, -2), ValueError, "repeated axis in `flip`"),
    (lambda: F.split(X, 0), ValueError, "split: expected parts of length 1 or more, got 0"),
    (lambda: F.split(X, -1), ValueError, "split: expected parts of length 1 or more, got -1"),
    (lambda: F.split(X, [1, 1]), ValueError, "split: expected lengths whose sum is 3, got [1, 1]"),
    (lambda: F.split(X, [4]), ValueError, "split: expected lengths whose sum is 3, got [4]"),
    (lambda: F.split(X, 1, 2), ValueError, "split: axis 2 is out of bounds"),
    (lambda: F.chunk(X, 0), ValueError, "chunk: expected 1 part or more, got 0"),
    (lambda: F.outer(X, V), ValueError, "outer: expected two vectors, got shapes (3, 4) and (2,)"),
    (lambda: F.outer(V, V[0]), ValueError, "outer: expected two vectors, got shapes (2,) and ()"),
    (lambda: F.repeat_interleave(X, 2, 2), ValueError, "repeat_interleave: axis 2 is out of bounds"),
    *[(lambda given=given: F.einsum(*given), ValueError, "einsum: expected a letter for each axis, each once in an") for
      given in (("ij,jk", X), ("ij", X, X), ("ij,j", X, X), ("ijk", X), ("ii", X[:, :3]), ("ij->ii", X), ("ij->k", X),
                ("...j", X), ("i1", X), ("ij->i.", X), ("i-j", X), ("ij,jj->i", X, X), ("ij,jk->ik", X, V))],
    *[(lambda a=a, b=b: F.bmm(a, b), ValueError, f"bmm: expected shapes (B, M, K) and (B, K, N), got {found}") for
      a, b, found in ((X, Z, "(3, 4) and (2, 3, 4)"), (Z, X, "(2, 3, 4) and (3, 4)"),
                      (Z, Z[:1], "(2, 3, 4) and (1, 3, 4)"),
                      ([1.0], Z, "None and (2, 3, 4)"), (Z, 2.0, "(2, 3, 4) and"),
                      (Z[None], Z, "(1, 2, 3, 4)"))],
    *[(lambda q=q, k=k: F.scaled_dot_product_attention(q, k, k), ValueError,
       f"scaled_dot_product_attention: expected query (..., L, E) and key (..., S, E), got {q.shape} and {k.shape}")
      for q, k in ((V, X), (X[0], X), (X, X[0]), (X, X[:, :2]), (V, V))],
    (lambda: F.scaled_dot_product_attention(X, X, X, np.ones((3, 3), bool), is_causal=True), ValueError,
     "scaled_dot_product_attention: expected attn_mask or is_causal, got both"),
    *[(lambda a=a, b=b, t=t: F.cosine_embedding_loss(a, b, t), ValueError,
       "CosineEmbeddingLoss: expected inputs (N, D) and a target (N,), or (D,) and (), got "
       f"{(a.shape, b.shape, t.shape)}")
      for a, b, t in ((Z, Z, X[:2, :3]), (V[0], V[0], V[0]), (X, X[:2], X[:, 0]), (X, X, X[0]), (X, X, X[:, :1]),
                      (V, V, V[:1]), (X, X[:1], X[:, 0]))],
    *[(lambda margin=margin: F.triplet_margin_loss(V, V, V, margin), ValueError,
       f"TripletMarginLoss: expected margin above 0, got {margin}") for margin in (0, 0.0, -1.0, NAN)],
    (lambda: F.triplet_margin_loss(V, V, V, reduction="batchmean"), ValueError,
     "TripletMarginLoss: expected reduction 'mean', 'sum', 'none', got 'batchmean'"),
    (lambda: F.cosine_embedding_loss(V, V, V[0], reduction="total"), ValueError,
     "CosineEmbeddingLoss: expected reduction 'mean', 'sum', 'none', got 'total'"),
]


@pytest.mark.parametrize("call, kind, message", REFUSED)
def test_it_is_refused(call, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        call()


def gradients(function, *inputs):
    leaves = [minidl.tensor(x.copy(), requires_grad=True) for x in inputs]
    function(*leaves).sum().backward()
    return [leaf.grad.tolist() for leaf in leaves]


def test_slopes_on_the_bound_are_those_beyond_it():
    """As PyTorch's clamp."""
    one, other = np.array([1.0, 0.0]), np.array([3.0, 4.0])
    np.testing.assert_allclose(gradients(lambda x: F.cosine_similarity(x, minidl.tensor(other), 0, 1.0), one),
                               [[0, 0.8]], atol=1e-15)
    np.testing.assert_allclose(gradients(lambda x: F.cosine_embedding_loss(
        x, minidl.tensor(np.array([0.0, 2.0])), minidl.tensor(-1.0)), one), [[0, 1]], rtol=1e-9, atol=1e-15)
    near, far = np.array([1.0]), np.array([2.0])
    found = gradients(lambda a, p, n: F.triplet_margin_loss(a, p, n, eps=0.0), 0 * near, near, far)
    assert found == [[0], [1], [-1]]


def test_expanded_tensors_and_parts_are_views():
    x = minidl.tensor(V)
    for view in (F.expand(x, 3, 2), F.split(x, 1)[0], F.chunk(x, 2)[1], F.flip(x, 0), x.detach()):
        assert np.shares_memory(view.data, x.data)
    assert not np.shares_memory(F.tril(minidl.tensor(X)).data, X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mask", [np.tri(3, 5, dtype=bool), np.tri(3, 5), None], ids=["bool", "float", "causal"])
def test_attention_keeps_the_dtype(mask, dtype):
    q, k, v = (x.astype(dtype) for x in (Q, K, W))
    given = mask if mask is None or mask.dtype == bool else mask.astype(dtype)
    y = F.scaled_dot_product_attention(q, k, v, given, is_causal=mask is None)
    assert y.dtype == dtype and F.normalize(q).dtype == dtype and F.softmin(q).dtype == dtype
