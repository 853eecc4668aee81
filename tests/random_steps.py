"""Random steps as a user would write them: the text of a function over modules, operations and optimizers.

Each line computes a node (N, 4) from earlier ones, {a} and {b}; the numbers stay small. Operations and modules that
minidl gains later are found in ``functional`` and ``nn``; one that these lines cannot call gets a line here.
"""
from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from twins import OPTIMIZERS

import minidl
from minidl import functional as F
from minidl import nn

WRITTEN = [
    "-{a}", "abs({a})", "{a} / 3", "2 - {a}", "1 / ({a} * {a} + 1)", "2 ** F.tanh({a})", "{a} + 0.5",
    "F.neg({a})", "F.abs({a})", "0.5 * F.add({a}, {b})", "0.5 * F.sub({a}, {b})", "F.tanh(F.mul({a}, {b}))",
    "0.5 * F.div({a}, {b} * {b} + 0.5)", "F.pow(F.tanh({a}), 2)", "(F.tanh({a}) + 1.5) ** F.tanh({b})",
    "F.sqrt(abs({a}) + 0.1)", "F.exp(F.tanh({a}))", "F.log({a} * {a} + 0.1)", "F.where({a} > {b}, {a}, {b})",
    "F.where(mask, {a}, 0.0)", "F.where(F.all({a} > -1), {a}, {b})", "F.where(F.any({a} > 1), {a}, {b})",
    "({a} <= {b}).to(DTYPE) * {a}", "{a} + 0.1 * F.argmax({b}, dim=1, keepdim=True).to(DTYPE)",
    "{a} + 0.1 * F.argmin({b}, dim=0).to(DTYPE)",
    "F.tanh({a})", "F.sigmoid({a})", "F.relu({a})", "F.selu({a})", "F.elu({a}, 0.7)", "F.leaky_relu({a}, 0.2)",
    "F.softmax({a}, dim=1)", "F.log_softmax({a}, dim=0)", "{a}.softmax(-1)",
    "{a} - F.mean({a}, dim=0)", "{a} - {b}.mean()", "0.2 * F.sum({a}, dim=1, keepdim=True) + {b}", "{a} / {a}.shape[0]",
    "{a} - F.max({a}, dim=1, keepdim=True)[0]", "{a} - {b}.max()", "0.5 * (F.min({a}, 0)[0] + {b})", "{a} - F.min({b})",
    "F.cat([{a}, {b}], dim=1)[:, ::2]", "F.concat([{a}, {b}], 1)[:, 2:6]",
    "F.concatenate([{a}[:, :1], {b}[:, 1:]], axis=1)", "F.stack([{a}, {b}], 1).mean(1)",
    "F.flatten({a}).reshape(-1, 4)", "F.reshape({a}, -1).view({a}.shape)", "F.permute({a}, 1, 0).T",
    "F.transpose({a}, 0, 1).transpose(1, 0)", "F.squeeze(F.unsqueeze({a}, 1), 1)", "{a}[:, [0, 2, 1, 0]]",
    "{a}[:, rows]", "0.5 * ({a}[:, 1:2] + {b})", "0.5 * ({a}[-1] + {b})",
    "F.linear({a}, weight)", "F.linear({a}, F.tanh({b}.T @ {b}), table)", "F.matmul({a}, F.tanh(weight))",
    "F.tanh({a} @ {b}.T) @ {a} / {a}.shape[0]", "F.tanh({a} * weight[0]) + weight.sum() * 0.1",
    "F.tanh({a} * F.mse_loss({a}, {b}))", "{a} + 0.1 * F.cross_entropy({b}, t)",
    "{a} - 0.1 * F.nll_loss(F.log_softmax({b}, dim=1), t, reduction='sum')",
    "F.prelu({a}, weight[0])", "F.prelu({a}, weight[0, :1])", "F.threshold({a}, 0.1, -0.2)", "F.gelu({a}, 'tanh')",
    "{a} + 0.1 * F.binary_cross_entropy(F.sigmoid({a}), F.sigmoid({b}).detach())",
    "{a} + 0.1 * F.kl_div({a}, F.sigmoid({b}))", "F.tanh({a} + F.pairwise_distance({a}, {b}, keepdim=True))",
    "{a} * F.cosine_similarity({a}, {b}, 0)", "{a} + 0.1 * F.triplet_margin_loss({a}, {b}, {a} * {b})",
    "{a} + 0.1 * F.cosine_embedding_loss({a}, {b}, F.where({a}[:, 0] > 0, 1.0, -1.0))",
    "{a} + 0.1 * F.cross_entropy({b}, t, label_smoothing=0.2)",
    "{a} + F.cross_entropy({a}, t, (weight[0] * weight[0]).detach())",
    "F.clamp({a}, -1, 1)", "F.maximum({a}, {b})", "F.minimum({a}, 0.5 * {b})", "F.masked_fill({a}, mask, 0.5)",
    "F.gather({a}, 1, F.argsort({b}, 1))", "F.scatter_add({a}, 1, F.argsort({b}, 1), F.tanh({b}))",
    "F.index_select({a}, 1, rows)", "F.sort({a}, 1, True).values", "F.topk({a}, 4, 1)[0]",
    "{a} - F.amax({a}, 1, True)", "{a} - F.amin({b}, 0, True)", "{a} + 0.1 * F.cumsum(F.tanh({b}), 1)",
    "{a} * 0.1 * F.norm({b}, 3, 1, True)", "{a} + F.prod(F.tanh({b}), 1, True)",
    "{a} / (F.std({a}, 1, keepdim=True) + 1)",
    "{a} + 0.1 * F.var({b}, 1, False, True)", "{a} + F.expand({b}[:, :1], -1, 4)", "F.repeat({a}[:, :2], 1, 2)",
    "F.flip({a}, 1)", "{a} + F.split({b}, [1, 3], 1)[0]", "{a} - F.chunk({b}, 2, 1)[1].mean()",
    "F.tanh({a} @ F.tril(weight))", "F.tanh({a} @ F.triu(weight, 1))",
    "{a} + 0.1 * F.outer({b}[:, 0], F.tanh(weight[0]))",
    "F.bmm({a}.reshape(-1, 2, 2), F.tanh({b}).reshape(-1, 2, 2)).reshape(-1, 4) * 0.3",
    "F.tanh(F.einsum('ij,kj->ik', {a}, weight))", "F.erf({a})",
    "F.dropout({a}, 0.3, generator=generator)", "F.dropout({a}, 0.2, generator=3)", "F.dropout({a}, 0.2)",
    "{a} + 0.1 * minidl.randn(*{a}.shape, generator=generator, dtype=DTYPE)", "{a} * minidl.ones(4, dtype=DTYPE)",
    "{a} * table", "{a} * scale", "{a}.detach() * 0.5 + {b}", "{a} * 1 if len({a}) > 3 else {b}",
    "F.conv2d({a}.reshape(-1, 1, 2, 2), weight.reshape(4, 1, 2, 2), table)[:, :, 0, 0]",
    "F.conv2d({a}.reshape(-1, 2, 2, 1), weight[:, :2].reshape(4, 1, 1, 2), padding=(0, 1), groups=2)[:, :, 1, 0]",
    "F.conv1d({a}.reshape(-1, 1, 4), weight[:1, :3].reshape(1, 1, 3), padding='same').reshape(-1, 4)",
    "F.max_pool2d({a}.reshape(-1, 1, 2, 2), 2, 1, 1)[:, 0, :2, :2].reshape(-1, 4)",
    "F.max_pool1d({a}.reshape(-1, 1, 4), 2) .reshape(-1, 2)[:, :1] + {b}",
    "F.avg_pool2d({a}.reshape(-1, 1, 2, 2), 2, 1, 1)[:, 0, :2, :2].reshape(-1, 4)",
    "F.avg_pool1d({a}.reshape(-1, 1, 4), 3, 1, 1).reshape(-1, 4)",
    "F.adaptive_avg_pool2d({a}.reshape(-1, 2, 2, 1), 1).reshape(-1, 2)[:, 1:] + {b}",
    "F.adaptive_avg_pool1d({a}.reshape(-1, 2, 2), 2).reshape(-1, 4)",
    "F.zero_pad2d({a}.reshape(-1, 1, 2, 2), (1, -1, 0, 1))[:, 0, 1:].reshape(-1, 4)",
    "F.layer_norm({a}, 4)", "F.layer_norm({a}, 4, weight[0], table, 0.1)", "F.rms_norm({a}, (4,), weight[1])",
    "F.group_norm({a}, 2, weight[0])",
    "F.batch_norm(F.cat([{a}, {b}]), None, None, weight[0], training=True)[:len({a})]",
    "F.embedding(t, F.tanh(weight)) + {a}", "F.embedding(F.argmax({a}, 1), {b}.T @ {a} * 0.1, 2)",
    "F.embedding_bag(F.stack([t, t], 1), weight, mode='sum') * 0.5 + {a}",
    "F.bmm(F.stack([{a}, {b}], 0), F.stack([weight, F.tanh(weight)], 0)).mean(0)",
    "F.scaled_dot_product_attention({a}, {b}, F.tanh({b}), is_causal=True)",
    "F.scaled_dot_product_attention({a}, weight, weight, mask)",
    "({a}.reshape(-1, 1, 2, 2) @ F.tanh({b}).reshape(-1, 1, 2, 2)).reshape(-1, 4) * 0.3",
    "F.addmm(table, F.tanh({a}), weight)", "F.mm({a}, F.tanh(weight))", "{a} + F.mv({a}, weight[0])[:, None] * 0.1",
    "{a} + 0.1 * F.dot({a}[0], {b}[0])", "{a} @ F.diag(F.tanh({b}[0]))", "{a} @ F.t(F.tanh(weight))",
    "{a} + 0.1 * F.trace(weight)", "F.lerp({a}, {b}, 0.3)", "F.clip({a}, -1, 1)", "F.rsqrt({a} * {a} + 1)",
    "{a} - F.logsumexp({b}, 1, True)", "{a} - F.median({b}, 1, True).values", "F.pad(F.diff({a}, dim=1), (0, 1))",
    "F.broadcast_to({a}[:, :1], (len({a}), 4)) + {b}", "F.hstack(({a}[:, :2], {b}[:, 2:]))",
    "F.instance_norm({a}.reshape(-1, 2, 2)).reshape(-1, 4)", "F.movedim({a}.reshape(-1, 2, 2), 1, 2).reshape(-1, 4)",
    "F.swapaxes({a}.reshape(-1, 2, 2), 1, 2).reshape(-1, 4)", "F.narrow(F.cat([{a}, {b}], 1), 1, 2, 4)",
    "{a} * (F.numel({a}) / 16)", "F.repeat_interleave({a}[:, :2], 2, 1)", "F.roll({a}, 1, 1)",
    "{a} + F.select({b}, 1, 0)[:, None]", "F.take_along_dim({a}, F.argsort({b}, 1), 1)",
    "{a} * F.unbind({b}, 1)[0][:, None]", "F.where(F.one_hot(F.argmax({a}, 1), 4) > 0, {a}, {b})",
    "F.gather({a}, 1, F.multinomial(F.softmax({a}.detach(), -1), 4, generator=generator))",
    "{a} * F.bernoulli(F.sigmoid({a}.detach()), generator=generator)",
    "F.where(F.count_nonzero({a} > 0, 1)[:, None] > 1, {a}, {b})",
    *(f"F.where(F.{name}({{a}}, {{b}}), {{a}}, {{b}})" for name in ("eq", "ge", "gt", "le", "lt", "ne", "isclose")),
    *(f"F.where(F.{name}({{a}}), {{a}}, {{b}})" for name in ("isfinite", "isinf", "isnan")),
    *(f"F.where(F.{name}({{a}} > 0, {{b}} > 0), {{a}}, {{b}})"
      for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "logical_and", "logical_or", "logical_xor")),
    *(f"F.where(F.{name}({{a}} > 0), {{a}}, {{b}})" for name in ("bitwise_not", "logical_not")),
    "looped(m0, {a}, 3)", "looped(m1, {b}, 2)",
]
# Their results have as many elements as the values say: no step of them can be recorded.
OF_VALUES = ["F.bincount((a > 0).reshape(-1).long())", "F.masked_select(a, a > 0)", "F.nonzero(a)", "F.unique(a)"]
MODULES = 4  # m0 and m1 are Linear, the others are drawn


def _found() -> list[str]:
    """Lines for the operations that none of the lines above calls."""
    text, lines = " ".join([*WRITTEN, *OF_VALUES]), []
    for name in F.__all__:
        operation = getattr(F, name)
        if f"F.{name}(" not in text and not isinstance(operation, type):
            one = getattr(operation, "arity", 1) == 1
            lines.append(f"F.{name}(F.tanh({{a}}))" if one else f"{{a}} + 0.1 * F.{name}({{a}}, {{b}}.detach())")
    return lines


LINES = WRITTEN + _found() + 5 * [f"m{i}({{a}})" for i in range(MODULES)]


class Residual(nn.Module):
    def __init__(self, dtype):
        self.linear, self.gain = nn.Linear(4, 4, dtype=dtype), 0.5

    def forward(self, x):
        return x + F.tanh(self.linear(x)) * self.gain


class OnArrays(nn.Module):
    """A forward and a backward of NumPy, which a program calls in its place."""

    def forward(self, x):
        self.saved = d = 1 + abs(x)
        return x / d

    def backward(self, gradient):
        d = self.require_saved()
        return gradient / (d * d)


def _typed(kind: type, dtype) -> dict:
    """The dtype, for a module that has parameters or buffers of one."""
    return {"dtype": dtype} if "dtype" in inspect.signature(kind).parameters else {}


def _simple() -> dict:
    """The modules of nn that four columns go through, which the classes tell: made of nothing, or of their number."""
    found = {}
    for name in nn.__all__:
        kind = getattr(nn, name)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)) or issubclass(kind, nn.Loss):
            continue
        for given in ((), (4,)):
            try:
                shape = kind(*given)(minidl.ones(3, 4)).shape
            except (AttributeError, NotImplementedError, TypeError, ValueError):  # other shapes, or several outputs
                continue
            if shape == (3, 4):
                found[name] = (lambda dtype, seed, kind=kind, given=given: kind(*given, **_typed(kind, dtype)))
            break
    return found


def _over_images(*modules) -> nn.Sequential:
    """Modules over images (N, 1, 2, 2) that give four numbers again."""
    return nn.Sequential(nn.Unflatten(1, (1, 2, 2)), *modules, nn.Flatten())


def _over_sequences(*modules) -> nn.Sequential:
    return nn.Sequential(nn.Unflatten(1, (2, 2)), *modules, nn.Flatten())


class Around(nn.Module):
    """A module of other shapes, between a way in and a way out."""

    def __init__(self, module, before, after=lambda y: y):
        self.module, self.before, self.after = module, before, after

    def forward(self, x):
        return self.after(self.module(*self.before(x)))


def first(output):
    """The first of several outputs."""
    return output[0]


BUILT = _simple() | {
    "Conv2d": lambda dtype, seed: _over_images(nn.Conv2d(1, 4, 2, dtype=dtype), nn.Tanh()),
    "Conv1d": lambda dtype, seed: _over_sequences(nn.Conv1d(2, 2, 3, padding="same", dtype=dtype)),
    "MaxPool2d": lambda dtype, seed: _over_images(nn.MaxPool2d(2, 1, 1), nn.AdaptiveAvgPool2d(2)),
    "MaxPool1d": lambda dtype, seed: _over_sequences(nn.MaxPool1d(1)),
    "AvgPool2d": lambda dtype, seed: _over_images(nn.ZeroPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, 1)),
    "AvgPool1d": lambda dtype, seed: _over_sequences(nn.AvgPool1d(1)),
    "AdaptiveAvgPool1d": lambda dtype, seed: _over_sequences(nn.AdaptiveAvgPool1d(2)),
    "AdaptiveAvgPool2d": lambda dtype, seed: _over_images(nn.AdaptiveAvgPool2d((2, None))),
    "Unflatten": lambda dtype, seed: _over_images(),
    "ZeroPad2d": lambda dtype, seed: _over_images(nn.ZeroPad2d(0)),
    "BatchNorm2d": lambda dtype, seed: Around(
        nn.BatchNorm2d(2, dtype=dtype), lambda x: (F.cat([x, x * 0.5]).reshape(-1, 2, 1, 2),),
        lambda y: y.reshape(-1, 4)[:y.shape[0] // 2]),
    "InstanceNorm1d": lambda dtype, seed: _over_sequences(nn.InstanceNorm1d(2, affine=True, dtype=dtype)),
    "InstanceNorm2d": lambda dtype, seed: _over_images(
        nn.ZeroPad2d((0, 1, 0, 1)), nn.InstanceNorm2d(1, dtype=dtype), nn.AdaptiveAvgPool2d(2)),
    "GroupNorm": lambda dtype, seed: nn.GroupNorm(2, 4, dtype=dtype),
    "Embedding": lambda dtype, seed: Around(nn.Embedding(4, 4, 1, dtype=dtype), lambda x: (F.argmax(x, dim=1),)),
    "EmbeddingBag": lambda dtype, seed: Around(
        nn.EmbeddingBag(4, 4, dtype=dtype), lambda x: (F.stack([F.argmax(x, dim=1), F.argmin(x, dim=1)], 1),)),
    "RNN": lambda dtype, seed: Around(nn.RNN(2, 2, dtype=dtype), lambda x: (x.reshape(-1, 2, 2).transpose(0, 1),),
                                      lambda y: y[0].transpose(0, 1).reshape(-1, 4)),
    "LSTM": lambda dtype, seed: Around(
        nn.LSTM(2, 2, 2, dtype=dtype, dropout=0.3, generator=seed), lambda x: (x.reshape(2, -1, 2),),
        lambda y: y[0].reshape(-1, 4)),
    "GRU": lambda dtype, seed: Around(
        nn.GRU(2, 1, bidirectional=True, batch_first=True, dtype=dtype), lambda x: (x.reshape(-1, 2, 2),),
        lambda y: y[0].reshape(-1, 4)),
    "RNNCell": lambda dtype, seed: nn.RNNCell(4, 4, dtype=dtype),
    "LSTMCell": lambda dtype, seed: Around(nn.LSTMCell(4, 4, dtype=dtype), lambda x: (x,), first),
    "GRUCell": lambda dtype, seed: nn.GRUCell(4, 4, dtype=dtype),
    "MultiheadAttention": lambda dtype, seed: Around(
        nn.MultiheadAttention(4, 2, 0.2, dtype=dtype, generator=seed), lambda x: (x, x, x), first),
    "TransformerEncoderLayer": lambda dtype, seed: nn.TransformerEncoderLayer(4, 2, 8, dtype=dtype, generator=seed),
    "TransformerEncoder": lambda dtype, seed: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(4, 1, 4, 0.0, norm_first=True, dtype=dtype), 2),
    "Linear": lambda dtype, seed: nn.Linear(4, 4, dtype=dtype),
    "Linear without bias": lambda dtype, seed: nn.Linear(4, 4, bias=False, dtype=dtype),
    "Dropout": lambda dtype, seed: nn.Dropout(0.3, generator=seed),
    "Sequential": lambda dtype, seed: nn.Sequential(
        nn.Linear(4, 7, dtype=dtype), nn.ReLU(), nn.Dropout(0.2, generator=seed), nn.Linear(7, 4, dtype=dtype)),
    "Residual": lambda dtype, seed: Residual(dtype),
    "Threshold": lambda dtype, seed: nn.Threshold(0.1, -0.2),
    "OnArrays": lambda dtype, seed: OnArrays(),
}

LOSS = "F.cross_entropy(p, t) + 0.1 * F.mse_loss(q, y)"
ENDS = {
    "one loss": f"""
    loss = {LOSS}
    o0.zero_grad(); o1.zero_grad()
    loss.backward()
    o0.step(); o1.step()
    return loss""",
    "two losses": """
    first, second = F.cross_entropy(p, t), F.mse_loss(q, y, reduction='sum')
    o0.zero_grad(); o1.zero_grad(set_to_none=False)
    first.backward(retain_graph=True)
    second.backward()
    o0.step(); o1.step()
    return {'first': first, 'second': second, 'both': [first + second, (p, q * 2)]}""",
    "accumulated": f"""
    loss = {LOSS}
    o0.zero_grad(); o1.zero_grad()
    loss.backward()
    p, q = forward(y, x, t)
    other = F.mse_loss(p, q.detach())
    other.backward()
    o1.step(); o0.step()
    return loss, other""",
    "in turns": f"""
    loss = {LOSS}
    o0.zero_grad()
    loss.backward()
    o0.step()
    p, q = forward(x, y, t)
    other = F.nll_loss(F.log_softmax(p + q, dim=1), t)
    o1.zero_grad()
    other.backward()
    o1.step()
    return [loss, other], p""",
    "never cleared": f"""
    loss = {LOSS}
    loss.backward()
    o0.step()
    return loss, None, 1.5""",
    "forward alone": """
    return p, {'q': q, 'largest': F.argmax(p, dim=1)}""",
    "gradients": f"""
    loss = {LOSS}
    found = minidl.autograd.grad(loss, [p for p in m0.parameters() if p.requires_grad])
    return loss, found""",
    "weighted gradients": """
    x.requires_grad_()
    p, q = forward(x, y, t)
    return minidl.autograd.grad([p, q], [x], grad_outputs=[y, F.tanh(p).detach()])""",
    "penalty": f"""
    x.requires_grad_()
    p, q = forward(x, y, t)
    slope, = minidl.autograd.grad(p.sum(), [x], create_graph=True)
    loss = {LOSS} + 0.1 * (slope * slope).mean()
    o0.zero_grad(); o1.zero_grad()
    loss.backward()
    o0.step(); o1.step()
    return loss, slope""",
    "curvature": f"""
    loss = {LOSS}
    slopes = minidl.autograd.grad(loss, [p for p in m0.parameters() if p.requires_grad], create_graph=True)
    total = loss + 0.01 * sum((slope * slope).sum() for slope in slopes)
    o0.zero_grad(); o1.zero_grad()
    total.backward()
    o0.step(); o1.step()
    return total""",
}
TWICE = ("gradients", "weighted gradients", "penalty", "curvature")  # which OnArrays has no derivative for
CHANGES = ["none", "none", "none", "rate", "eval", "train", "table", "new table", "scale", "freeze", "thaw", "swap"]


@dataclass
class Step:
    """A step: its text, what it is over, and what happens between its calls."""

    text: str
    modules: list[str]
    optimizers: list[str]
    dtype: type
    rows: list[int]
    changes: list[str]
    seed: int

    def __repr__(self) -> str:
        return (f"{self.modules} {self.optimizers} {self.dtype.__name__} rows={self.rows} changes={self.changes} "
                f"seed={self.seed}\n{self.text}")

    def build(self, capture) -> dict:
        """The names that the step reads, and under "step" itself."""
        minidl.manual_seed(self.seed)
        rng = np.random.default_rng(self.seed)
        modules = {f"m{i}": BUILT[name](self.dtype, self.seed + i) for i, name in enumerate(self.modules)}
        parameters = {id(p): p for module in modules.values() for p in module.parameters()}
        weight = nn.Parameter(rng.standard_normal((4, 4)).astype(self.dtype))
        own = modules["m0"].parameters()
        others = [p for p in parameters.values() if not any(p is q for q in own)]
        names = modules | {
            "F": F, "minidl": minidl, "DTYPE": self.dtype, "weight": weight, "scale": 0.5,
            "table": rng.standard_normal(4).astype(self.dtype), "mask": np.array([True, False, True, True]),
            "rows": np.array([3, 0, 0, 1]), "generator": np.random.default_rng(self.seed),
            "o0": OPTIMIZERS[self.optimizers[0]](own), "o1": OPTIMIZERS[self.optimizers[1]]([*others, weight])}
        exec(compile(self.text, f"<step {self.seed}>", "exec"), names)
        names["step"] = capture(names["step"])
        return names


def change(names: dict, what: str, rng) -> None:
    """What happens to the names of a step between two calls."""
    modules = [names[f"m{i}"] for i in range(MODULES)]
    if what == "rate":
        names["o0"].lr = names["o1"].lr = 0.003
    elif what in ("eval", "train"):
        for module in modules:
            module.train(what == "train")
    elif what == "table":
        names["table"][...] = rng.standard_normal(4)
    elif what == "new table":
        names["table"] = rng.standard_normal(4).astype(names["DTYPE"])
    elif what == "scale":
        names["scale"] = 0.25 * int(rng.integers(1, 4))
    elif what in ("freeze", "thaw"):
        names["m0"].weight.requires_grad = what == "thaw"  # its bias is trained, so that there is a way back
    elif what == "swap":
        names["m2"], names["m3"] = names["m3"], names["m2"]


HELPER = """
def looped(module, h, n):
    for _ in range(n):
        h = F.tanh(module(h) + h)
    return h
"""


@st.composite
def steps(draw, ends=tuple(ENDS)) -> Step:
    end = draw(st.sampled_from(sorted(ends)))
    kinds = sorted(BUILT.keys() - ({"OnArrays"} if end in TWICE else set()))
    drawn = draw(st.lists(st.tuples(st.sampled_from(LINES), st.integers(0, 99), st.integers(0, 99),
                                    st.sampled_from([False] * 7 + [True])), min_size=1, max_size=14))
    lines = []
    for number, (line, a, b, untaped) in enumerate(drawn, start=2):
        text = f"n{number} = {line.format(a=f'n{a % number}', b=f'n{b % number}')}"
        lines += ["with minidl.no_grad():", f"    {text}"] if untaped else [text]
    last = len(drawn) + 1
    # Whatever was drawn, p depends on x and on the first module, and q on the second.
    forward = ["n0, n1 = x, y", *lines, f"return m0(n{last}) + x, m1(n{(last + 1) // 2})"]
    text = "\n".join([HELPER, "def forward(x, y, t):", *(f"    {line}" for line in forward), "",
                      "def step(x, y, t):", "    p, q = forward(x, y, t)"]) + ENDS[end]
    calls = 6
    return Step(
        text=text, modules=["Linear", "Linear", *(draw(st.sampled_from(kinds)) for _ in range(MODULES - 2))],
        optimizers=[draw(st.sampled_from(sorted(OPTIMIZERS))) for _ in range(2)],
        dtype=draw(st.sampled_from([np.float32, np.float64])),
        rows=draw(st.lists(st.sampled_from([1, 2, 5, 8, 17]), min_size=calls, max_size=calls)),
        changes=draw(st.just(["none"] * calls) | st.lists(st.sampled_from(CHANGES), min_size=calls, max_size=calls)),
        seed=draw(st.integers(0, 2**16)))
