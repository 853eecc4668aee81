"""Attention and the transformer's encoder against PyTorch; compiled they have the bits of the plain ones."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from against_torch import close, compare, same_weights
from module_cases import FLOATS, name_of, numbers
from theirs import torch

import minidl
from minidl import functional as F
from minidl import nn, optim

ROWS, KEYS, BATCH = 3, 4, 2


def masks(kind: str | None, padded: bool):
    """(attn_mask, key_padding_mask)."""
    rng = np.random.default_rng(0)
    mask = {None: None, "bool": rng.random((ROWS, KEYS)) > 0.7, "float": rng.standard_normal((ROWS, KEYS)),
            "each": rng.standard_normal((BATCH * 2, ROWS, KEYS))}[kind]
    if kind == "bool":
        mask[:, 0] = False
    padding = None
    if padded:
        padding = np.zeros((BATCH, KEYS), bool)
        padding[0, 3] = True
        if kind in ("float", "each"):
            padding = np.where(padding, -np.inf, 0.0)
    return mask, padding


@pytest.mark.parametrize("bias, bias_kv, zero, width, first", [*itertools.product(
    [True, False], [False, True], [False, True], [None, 6], [False, True])])
def test_multihead_attention(bias, bias_kv, zero, width, first):
    settings = {"bias": bias, "add_bias_kv": bias_kv, "add_zero_attn": zero, "kdim": width,
                "vdim": width and 5, "batch_first": first}
    theirs = torch.nn.MultiheadAttention(8, 2, **settings).double()
    ours = nn.MultiheadAttention(8, 2, **settings, dtype=np.float64)
    same_weights(ours, theirs)
    inputs = [numbers((length, BATCH, size), np.float64, seed=i) for i, (length, size) in enumerate(
        ((ROWS, 8), (KEYS, width or 8), (KEYS, 5 if width else 8)))]
    inputs = [np.ascontiguousarray(x.swapaxes(0, 1)) for x in inputs] if first else inputs
    for number, (kind, padded, need, average) in enumerate(itertools.product(
            [None, "bool", "float", "each"], [False, True], [True, False], [True, False])):
        mask, padding = masks(kind, padded)
        named = {"key_padding_mask": padding, "attn_mask": mask}
        theirs_named = {name: None if x is None else torch.from_numpy(x) for name, x in named.items()}
        how = {"need_weights": need, "average_attn_weights": average}
        compare(ours, theirs, inputs, named | how, theirs_named | how, twice=need and number % 5 == 0)
    with pytest.raises(ValueError, match="expected attn_mask with is_causal"):
        ours(*inputs, is_causal=True)


def test_self_attention_of_a_single_sequence():
    ours, theirs = nn.MultiheadAttention(8, 2, dtype=np.float64), torch.nn.MultiheadAttention(8, 2).double()
    same_weights(ours, theirs)
    for shape in ((5, 8), (5, 3, 8)):
        x = numbers(shape, np.float64)
        y, weights = ours(x, x, x)
        their_y, their_weights = theirs(*[torch.from_numpy(x)] * 3)
        close(y, their_y)
        close(weights, their_weights)


@pytest.mark.parametrize("kind", [None, "bool", "float", "causal"])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_scaled_dot_product_attention(kind, lead, scale):
    q, k, v = (numbers((*lead, length, size), np.float64, seed=i)
               for i, (length, size) in enumerate(((ROWS, 6), (KEYS, 6), (KEYS, 5))))
    mask = None if kind in (None, "causal") else ~masks(kind, False)[0] if kind == "bool" else masks(kind, False)[0]
    mine = [minidl.tensor(x, requires_grad=True) for x in (q, k, v)]
    other = [torch.from_numpy(x.copy()).requires_grad_() for x in (q, k, v)]
    y = F.scaled_dot_product_attention(*mine, mask, is_causal=kind == "causal", scale=scale)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        wanted = torch.nn.functional.scaled_dot_product_attention(
            *other, None if mask is None else torch.from_numpy(mask), is_causal=kind == "causal", scale=scale)
    close(y.data, wanted)
    (y ** 2).sum().backward()
    (wanted ** 2).sum().backward()
    for a, b in zip(mine, other, strict=True):
        close(a.grad, b.grad)
    np.testing.assert_array_equal(
        F.scaled_dot_product_attention(q, k, v, mask, is_causal=kind == "causal", scale=scale), y.data)
    dropped = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5, generator=0)
    assert not np.array_equal(dropped, F.scaled_dot_product_attention(q, k, v))


@pytest.mark.parametrize("norm_first, first, bias, padded", [*itertools.product(*[[False, True]] * 4)])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_transformer_encoder(norm_first, first, bias, padded):
    settings = {"dim_feedforward": 16, "norm_first": norm_first, "batch_first": first, "dropout": 0.0, "bias": bias}
    theirs = torch.nn.TransformerEncoder(
        torch.nn.TransformerEncoderLayer(8, 2, **settings), 2, torch.nn.LayerNorm(8)).double()
    ours = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, **settings, dtype=np.float64), 2, nn.LayerNorm(8, dtype=np.float64))
    same_weights(ours, theirs)
    x = numbers((4, 4, 8), np.float64)
    mask = np.where(np.tri(4, dtype=bool), 0.0, -np.inf)
    padding = np.where(np.arange(4) == 3, -np.inf, 0.0) * np.ones((4, 1)) if padded else None
    if padded:
        padding = np.nan_to_num(padding, nan=0.0, neginf=-np.inf)
    compare(ours, theirs, [x], {"mask": mask, "src_key_padding_mask": padding},
            {"mask": torch.from_numpy(mask), "src_key_padding_mask": None if padding is None
             else torch.from_numpy(padding)}, twice=False)
    compare(ours.layers[0], theirs.layers[0], [x], twice=False)


class Gpt(nn.Module):
    """A small character model."""

    def __init__(self, dtype, dropout):
        self.table, self.places = nn.Embedding(9, 8, dtype=dtype), nn.Parameter(np.zeros((6, 8), dtype))
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout, batch_first=True, norm_first=True, dtype=dtype,
                                           generator=0)
        self.body, self.head = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8, dtype=dtype)), nn.Linear(
            8, 9, dtype=dtype)
        self.register_buffer("mask", minidl.tensor(~np.tri(6, dtype=bool)))

    def forward(self, index):
        return self.head(self.body(self.table(index) + self.places, self.mask, is_causal=True))


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
def test_compiled_steps_have_the_bits_of_plain_ones(dtype, dropout):
    found = []
    for captured in (True, False):
        minidl.manual_seed(0)
        model = Gpt(dtype, dropout)
        optimizer, criterion = optim.AdamW(model.parameters(), lr=0.01), nn.CrossEntropyLoss()

        def step(index, labels, model=model, optimizer=optimizer, criterion=criterion):
            loss = criterion(model(index).reshape(-1, 9), labels.reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        run, rng, losses = minidl.capture(step) if captured else step, np.random.default_rng(0), []
        for n in (3, 3, 1, 3):
            batch = rng.integers(0, 9, (n, 6)), rng.integers(0, 9, (n, 6))
            losses.append(run(*(x if captured else minidl.tensor(x) for x in batch)).item())
        if captured:
            assert run.path == "compiled"
            assert dropout or "in place" not in run.listing()
        found.append((losses, {name: value.tobytes() for name, value in model.state_dict().items()}))
    assert found[0] == found[1]


@pytest.mark.parametrize("left, right", [
    ((2, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (6, 4, 5)), ((1, 3, 4), (7, 4, 1)),
    ((2, 3, 4), (4,)), ((4,), (2, 4, 5)), ((0, 3, 4), (0, 4, 5)), ((2, 3, 0), (2, 0, 5)), ((5, 17, 33), (5, 33, 31))])
@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
def test_products_of_stacks(left, right, dtype):
    """Of any axes and layouts: the value, the gradients, and each matrix's bits as by itself."""
    for turned in (False, True):
        a, b = numbers(left, dtype), numbers(right, dtype, seed=1)
        if turned:
            a, b = (np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) if x.ndim > 1 else x for x in (a, b))
        mine = [minidl.tensor(x, requires_grad=True) for x in (a, b)]
        other = [torch.from_numpy(x.copy()).requires_grad_() for x in (a, b)]
        y, wanted = mine[0] @ mine[1], other[0] @ other[1]
        rtol = 1e-5 if dtype == np.float32 else 1e-12
        close(y.data, wanted, rtol)
        (y * y).sum().backward()
        (wanted * wanted).sum().backward()
        for x, z in zip(mine, other, strict=True):
            close(x.grad, z.grad, rtol)
        if len(left) == len(right) == 3 and left[0] == right[0]:
            assert F.bmm(a, b).tobytes() == y.data.tobytes()
            for i in range(left[0]):
                np.testing.assert_array_equal(F.matmul(a[i], b[i]), y.data[i])
        step = minidl.capture(lambda a, b: a @ b)
        for _ in range(3):
            np.testing.assert_array_equal(step(a, b).data, y.data)


def test_what_is_refused():
    x = np.ones((3, 2, 8), np.float32)
    layer = nn.MultiheadAttention(8, 2)
    with pytest.raises(ValueError, match="expected query of shape"):
        layer(x[..., :7], x, x)
    with pytest.raises(TypeError, match="expected key of dtype float32, got float64"):
        layer(x, x.astype(np.float64), x)
    with pytest.raises(ValueError, match="expected key and value of the same lengths"):
        layer(x, x, x[:2])
    with pytest.raises(ValueError, match="expected attn_mask of shape"):
        layer(x, x, x, attn_mask=np.ones((2, 2), bool))
    with pytest.raises(ValueError, match="expected key_padding_mask of shape"):
        layer(x, x, x, key_padding_mask=np.ones((2, 2), bool))
    with pytest.raises(ValueError, match="expected embed_dim to be divisible by num_heads, got 8 and 3"):
        nn.MultiheadAttention(8, 3)
    with pytest.raises(ValueError, match=r"expected activation .*, or a function, got 'selu'"):
        nn.TransformerEncoderLayer(8, 2, activation="selu")
    with pytest.raises(ValueError, match="expected attn_mask or is_causal, got both"):
        F.scaled_dot_product_attention(x, x, x, np.ones((2, 2), bool), is_causal=True)
    with pytest.raises(ValueError, match=r"bmm: expected shapes \(B, M, K\) and \(B, K, N\)"):
        F.bmm(x, x[0])
