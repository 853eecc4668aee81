"""Rows of test_functional.py for several shapes and arguments: (name, function of (library, tensors), shapes)."""
from __future__ import annotations

import enumerated
import numpy as np
from theirs import torch

RNG = np.random.default_rng(11)
SHAPES = [(), (7,), (3, 4), (2, 3, 4), (2, 1, 3, 2)]
REDUCTIONS = ("mean", "sum", "none")
INDEX = np.array([[0, 2, 1, 1], [2, 2, 0, 1]])
WEIGHTS = np.array([0.5, 2.0, 1.5, 0.25])
ROWS: list[tuple] = []


def row(name: str, function, *shapes) -> None:
    ROWS.append((name, function, *shapes))


def their(L, array, like):
    """A constant, in the library of the function."""
    array = np.asarray(array)
    if hasattr(L, "is_torch"):
        return torch.from_numpy(array).to(like.dtype if array.dtype.kind == "f" else torch.int64)
    return array.astype(like.dtype) if array.dtype.kind == "f" else array


UNARY = ["abs", "exp", "neg", "erf", "sin", "cos", "square", "expm1", "floor", "ceil", "round", "trunc", "sign", "tanh",
          "sigmoid", "relu", "elu", "selu", "leaky_relu"]
for shape in SHAPES:
    for name in dict.fromkeys([*UNARY, *[enumerated.function_of(kind) for kind in enumerated.ACTIVATIONS.values()]]):
        if "softmax" in name:
            for dim in range(-len(shape), len(shape)):
                row(f"{name} {shape} {dim}", lambda L, a, name=name, dim=dim: getattr(L, name)(a, dim=dim), shape)
        else:
            row(f"{name} {shape}", lambda L, a, name=name: getattr(L, name)(a), shape)
    for name in ("reciprocal", "rsqrt", "log1p", "log2", "log10"):
        row(f"{name} {shape}", lambda L, a, name=name: getattr(L, name)(a * a + 0.1), shape)
    row(f"remainder {shape}", lambda L, a, b: L.remainder(a, b * b + 0.3), shape, shape)
    row(f"gelu tanh {shape}", lambda L, a: L.gelu(a, approximate="tanh"), shape)
    row(f"hardtanh {shape} bounds", lambda L, a: L.hardtanh(a, -0.3, 0.8), shape)
    row(f"threshold {shape}", lambda L, a: L.threshold(a, -0.2, 0.7), shape)
    for low, high in ((-0.5, 0.5), (None, 0.3), (-0.2, None)):
        row(f"clamp {shape} {low} {high}", lambda L, a, low=low, high=high: L.clamp(a, low, high), shape)
    for name in ("maximum", "minimum", "add", "sub", "mul"):
        row(f"{name} {shape}", lambda L, a, b, name=name: getattr(L, name)(a, b), shape, shape)
        row(f"{name} {shape} number", lambda L, a, b, name=name: getattr(L, name)(a * b, b), shape, ())
    row(f"masked_fill {shape}", lambda L, a: a.masked_fill(a > 0.2, 0.5), shape)
    row(f"norm {shape}", lambda L, a: L.norm(a), shape)
    row(f"prod {shape}", lambda L, a: L.prod(a), shape)
    row(f"amax {shape}", lambda L, a: L.amax(a), shape)
    row(f"amin {shape}", lambda L, a: a.amin(), shape)
    for p in (1, 2, 3, 0.5, float("inf")):
        row(f"norm {shape} {p}", lambda L, a, p=p: L.norm(a, p), shape)
    for dim in range(-len(shape), len(shape)):
        n = shape[dim]
        for keepdim in (False, True):
            for name in ("prod", "amax", "amin", "sum", "mean"):
                row(f"{name} {shape} {dim} {keepdim}",
                    lambda L, a, name=name, dim=dim, keepdim=keepdim: getattr(L, name)(a, dim, keepdim=keepdim), shape)
            row(f"logsumexp {shape} {dim} {keepdim}",
                lambda L, a, dim=dim, keepdim=keepdim: L.logsumexp(10 * a, dim, keepdim=keepdim), shape)
            for name in ("std", "var") if n > 1 else ():
                for correction in (0, 1):
                    row(f"{name} {shape} {dim} {keepdim} {correction}",
                        lambda L, a, name=name, dim=dim, keepdim=keepdim, correction=correction: getattr(L, name)(
                            a, dim, correction=correction, keepdim=keepdim), shape)
            row(f"norm {shape} {dim} {keepdim}",
                lambda L, a, dim=dim, keepdim=keepdim: L.norm(a, 3, dim, keepdim), shape)
        row(f"cumsum {shape} {dim}", lambda L, a, dim=dim: L.cumsum(a, dim), shape)
        for shift in (1, -2):
            row(f"roll {shape} {dim} {shift}", lambda L, a, dim=dim, shift=shift: L.roll(a, shift, dim), shape)
        row(f"narrow {shape} {dim}", lambda L, a, dim=dim: L.narrow(a, dim, a.shape[dim] - 1, 1) * 3, shape)
        row(f"select {shape} {dim}", lambda L, a, dim=dim: L.select(a, dim, 0) * 2, shape)
        row(f"unbind {shape} {dim}", lambda L, a, dim=dim: L.unbind(a, dim)[-1] * 2, shape)
        row(f"movedim {shape} {dim}", lambda L, a, dim=dim: L.movedim(a, dim, 0), shape)
        row(f"swapaxes {shape} {dim}", lambda L, a, dim=dim: L.swapaxes(a, dim, 0), shape)
        row(f"flip {shape} {dim}", lambda L, a, dim=dim: L.flip(a, (dim,)), shape)
        row(f"sort {shape} {dim}", lambda L, a, dim=dim: L.sort(a, dim).values, shape)
        row(f"sort {shape} {dim} descending", lambda L, a, dim=dim: a.sort(dim, descending=True)[0], shape)
        row(f"topk {shape} {dim}", lambda L, a, dim=dim: L.topk(a, 1 + (a.shape[dim] > 2), dim).values, shape)
        row(f"topk {shape} {dim} smallest", lambda L, a, dim=dim: L.topk(a, 1, dim, largest=False)[0], shape)
        row(f"argsort {shape} {dim}",
            lambda L, a, dim=dim: L.gather(a, dim, L.argsort(a, dim, descending=True)), shape)
        row(f"split {shape} {dim}", lambda L, a, dim=dim: L.split(a, 2, dim)[0], shape)
        row(f"split {shape} {dim} lengths",
            lambda L, a, dim=dim: L.split(a, [1, a.shape[dim] - 1], dim)[0] * 2, shape)
        row(f"chunk {shape} {dim}", lambda L, a, dim=dim: L.chunk(a, 2, dim)[-1], shape)
        row(f"index_select {shape} {dim}", lambda L, a, dim=dim: L.index_select(
            a, dim, their(L, [0, a.shape[dim] - 1, 0], a)), shape)
    if len(shape) > 1:
        for diagonal in (-1, 0, 1):
            row(f"tril {shape} {diagonal}", lambda L, a, diagonal=diagonal: L.tril(a, diagonal), shape)
            row(f"triu {shape} {diagonal}", lambda L, a, diagonal=diagonal: a.triu(diagonal), shape)
    row(f"repeat {shape}", lambda L, a: a.repeat(2, *[3] * a.ndim), shape)
    row(f"expand {shape}", lambda L, a: a.expand(2, *[-1] * a.ndim), shape)
for offset in (-1, 0, 2):
    row(f"diag of a matrix {offset}", lambda L, a, offset=offset: L.diag(a, offset), (3, 4))
    row(f"diag of a vector {offset}", lambda L, a, offset=offset: L.diag(a, offset), (3,))
row("trace", lambda L, a: L.trace(a), (3, 4))
row("t", lambda L, a: L.t(a), (3, 4))
row("t of a vector", lambda L, a: a.t() * 2, (3,))
row("mm", lambda L, a, b: L.mm(a, b), (3, 4), (4, 2))
row("mv", lambda L, a, b: L.mv(a, b), (3, 4), (4,))
row("dot", lambda L, a, b: a.dot(b), (4,), (4,))
row("addmm", lambda L, a, b, c: L.addmm(a, b, c, beta=0.5, alpha=2), (3, 2), (3, 4), (4, 2))
row("roll of all", lambda L, a: L.roll(a, 5), (3, 4))
row("roll of two", lambda L, a: L.roll(a, (1, -1), (0, 1)), (3, 4))
row("logsumexp of two", lambda L, a: L.logsumexp(a, (0, 2)), (3, 4, 2))
for name in ("median", "diff", "take_along_dim", "repeat_interleave", "normalize", "softmin"):
    call = {"median": lambda L, a, dim: L.median(a, dim).values, "diff": lambda L, a, dim: L.diff(a, dim=dim),
            "take_along_dim": lambda L, a, dim: L.take_along_dim(a, their(
                L, INDEX if dim == 0 else [[0, 2], [1, 1], [3, 0]], a), dim),
            "repeat_interleave": lambda L, a, dim: L.repeat_interleave(a, 3, dim),
            "normalize": lambda L, a, dim: L.normalize(a, dim=dim), "softmin": lambda L, a, dim: L.softmin(a, dim=dim)}
    for dim in (0, 1):
        row(f"{name} {dim}", lambda L, a, dim=dim, call=call[name]: call(L, a, dim), (3, 4))
row("median of all", lambda L, a: L.median(a), (3, 4))
row("diff twice", lambda L, a: L.diff(a, 2), (3, 4))
row("repeat_interleave of all", lambda L, a: L.repeat_interleave(a, 2), (3, 4))
row("tan", lambda L, a: L.tan(L.tanh(a)), (3, 4))
row("lerp", lambda L, a, b, c: L.lerp(a, b, c), (3, 4), (3, 4), (3, 4))
row("tile", lambda L, a: L.tile(a, (2, 1, 3)), (3, 4))
row("tile of the last", lambda L, a: a.tile((2,)), (3, 4))
row("hstack", lambda L, a, b: L.hstack([a, b]), (3, 4), (3, 2))
row("hstack of vectors", lambda L, a, b: L.hstack([a, b]), (3,), (2,))
row("vstack", lambda L, a, b: L.vstack([a, b]), (3, 4), (4,))
row("broadcast_to", lambda L, a: L.broadcast_to(a, (2, 3)), (3,))
row("max of two", lambda L, a, b: L.max(a, b), (3, 4), (4,))
row("min of two", lambda L, a, b: L.min(a, b), (3, 4), (3, 4))
row("absolute", lambda L, a: L.absolute(a), (3, 4))
row("clip", lambda L, a: L.clip(a, -0.5, 0.5), (3, 4))
row("clone", lambda L, a: L.clone(a) * 2, (3, 4))
row("where", lambda L, a, b: a.where(a > 0, b), (3, 4), (3, 4))
row("mT", lambda L, a: a.mT * 2, (2, 3, 4))
row("masked_select", lambda L, a: L.masked_select(a, a > 0), (3, 4))
for around in ((1, 2), (0, 1, 2, 0), (1, 1, 2, 2)):
    for mode in ("constant", "reflect", "replicate", "circular"):
        shape = (2, 3, 4) if len(around) == 2 else (2, 2, 3, 4)
        row(f"pad {around} {mode}", lambda L, a, around=around, mode=mode: L.pad(a, around, mode=mode), shape)
row("pad with a value", lambda L, a: L.pad(a, (1, 0, 0, 2), value=1.5), (3, 4))
row("pad that cuts", lambda L, a: L.pad(a, (-1, 1, 2, -1)), (3, 4))
row("instance_norm", lambda L, a, b, c: L.instance_norm(a, weight=b, bias=c, eps=0.01), (2, 3, 4), (3,), (3,))
row("instance_norm of running statistics", lambda L, a, b, c: L.instance_norm(
    a, their(L, np.array([0.1, 0.2, 0.3]), a), their(L, np.array([0.7, 1.2, 0.3]), a), b, c, False),
    (2, 3, 4), (3,), (3,))
row("std", lambda L, a: L.std(a), (3, 4))
row("var", lambda L, a: L.var(a, (0, 2), unbiased=False), (3, 4, 2))
row("var all", lambda L, a: L.var(a), (3, 4))
row("gather", lambda L, a: L.gather(a, 1, their(L, INDEX, a)), (2, 3))
row("gather 0", lambda L, a: a.gather(0, their(L, INDEX, a)), (3, 5))
row("scatter_add", lambda L, a, b: L.scatter_add(a, 1, their(L, INDEX, a), b), (2, 3), (2, 4))
row("scatter_add part", lambda L, a, b: a.scatter_add(0, their(L, INDEX, a), b[:2, :4]), (3, 5), (3, 6))
row("outer", lambda L, a, b: L.outer(a, b), (3,), (4,))
row("prod of zeros", lambda L, a: L.prod(a * their(L, [1.0, 0.0, 1.0, 0.0], a), 1), (3, 4))
for batch in (1, 5):
    row(f"bmm {batch}", lambda L, a, b: L.bmm(a, b), (batch, 2, 3), (batch, 3, 4))
for equation, *shapes in [
        ("ij,jk->ik", (2, 3), (3, 4)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)), ("ij->ji", (2, 3)), ("ij->", (2, 3)),
        ("i,i->", (4,), (4,)), ("i,j->ij", (2,), (3,)), ("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4)),
        ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("ij,ij->i", (2, 3), (2, 3)), ("ij,k->j", (2, 3), (4,)),
        ("ij,jk", (2, 3), (3, 4))]:
    row(f"einsum {equation}", lambda L, *x, equation=equation: L.einsum(equation, *x), *shapes)

# Losses

for shape in ((5,), (3, 4), (2, 3, 4)):
    for how in REDUCTIONS:
        for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"):
            row(f"{name} {shape} {how}",
                lambda L, a, b, name=name, how=how: getattr(L, name)(a, b, reduction=how), shape, shape)
        for beta in (0.0, 0.4):
            row(f"smooth_l1_loss {shape} {how} {beta}",
                lambda L, a, b, how=how, beta=beta: L.smooth_l1_loss(a, b, reduction=how, beta=beta), shape, shape)
        row(f"huber_loss {shape} {how} delta",
            lambda L, a, b, how=how: L.huber_loss(a, b, reduction=how, delta=0.4), shape, shape)
        row(f"binary_cross_entropy {shape} {how}", lambda L, a, b, how=how: L.binary_cross_entropy(
            L.sigmoid(a), L.sigmoid(b), reduction=how), shape, shape)
        for log_target in (False, True):
            row(f"kl_div {shape} {how} {log_target}", lambda L, a, b, how=how, log_target=log_target: L.kl_div(
                a, b if log_target else L.sigmoid(b), reduction=how, log_target=log_target), shape, shape)
for how in REDUCTIONS:
    row(f"binary_cross_entropy weight {how}", lambda L, a, b, how=how: L.binary_cross_entropy(
        L.sigmoid(a), L.sigmoid(b), weight=their(L, WEIGHTS, a), reduction=how), (3, 4), (3, 4))
    for settings in (("weight",), ("pos_weight",), ("weight", "pos_weight")):
        row(f"binary_cross_entropy_with_logits {settings} {how}",
            lambda L, a, b, how=how, settings=settings: L.binary_cross_entropy_with_logits(
                a, L.sigmoid(b), reduction=how, **{name: their(L, WEIGHTS, a) for name in settings}), (3, 4), (3, 4))
    for p in (1.0, 2.0, 3.0):
        for swap in (False, True):
            row(f"triplet_margin_loss {p} {swap} {how}", lambda L, a, b, c, p=p, swap=swap, how=how:
                L.triplet_margin_loss(a, b, c, margin=0.7, p=p, swap=swap, reduction=how), (5, 3), (5, 3), (5, 3))
    for margin in (0.0, 0.3):
        row(f"cosine_embedding_loss {margin} {how}", lambda L, a, b, margin=margin, how=how: L.cosine_embedding_loss(
            a, b, their(L, [1.0, -1.0, 1.0, -1.0, -1.0], a), margin=margin, reduction=how), (5, 3), (5, 3))
for p in (1.0, 2.0, 3.0, float("inf")):
    for keepdim in (False, True):
        row(f"pairwise_distance {p} {keepdim}", lambda L, a, b, p=p, keepdim=keepdim: L.pairwise_distance(
            a, b, p=p, keepdim=keepdim), (5, 3), (5, 3))
for dim in (0, 1, -1):
    row(f"cosine_similarity {dim}", lambda L, a, b, dim=dim: L.cosine_similarity(a, b, dim=dim), (5, 3), (5, 3))
