"""A small model of every module of minidl.nn that has a prediction, and random models, with an input of each."""
from __future__ import annotations

import enumerated
import numpy as np

import minidl
from minidl import functional as F
from minidl import nn

# Losses, bases and lists have no prediction of one input
NO_PREDICTION = {
    *enumerated.LOSSES, "Loss", "LabelLoss", "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList",
    "CosineSimilarity", "PairwiseDistance", "CosineEmbeddingLoss", "TripletMarginLoss"}

ROWS, SEQUENCE, IMAGE, TIMES = (3, 4), (2, 4, 9), (2, 4, 7, 6), (2, 5, 4)
SHAPED: list[tuple[str, tuple, dict, tuple]] = [  # name, arguments, settings, shape of the input
    ("Linear", (4, 11), {}, ROWS), ("Linear", (4, 3), {"bias": False}, ROWS), ("Linear", (4, 9), {}, TIMES),
    ("Dropout", (0.4,), {}, ROWS), ("Identity", (), {}, ROWS), ("Flatten", (), {}, IMAGE),
    ("Flatten", (2,), {}, IMAGE), ("Unflatten", (1, (2, 2)), {}, ROWS), ("ZeroPad2d", ((1, 2, 0, 1),), {}, IMAGE),
    ("PReLU", (), {"init": 0.1}, ROWS), ("PReLU", (4,), {}, IMAGE), ("Threshold", (0.2, -3.0), {}, ROWS),
    ("BatchNorm1d", (4,), {}, ROWS), ("BatchNorm1d", (4,), {"affine": False}, SEQUENCE),
    ("BatchNorm1d", (4,), {"track_running_stats": False}, ROWS), ("BatchNorm2d", (4,), {}, IMAGE),
    ("LayerNorm", (4,), {}, TIMES), ("LayerNorm", ((5, 4),), {"elementwise_affine": False}, TIMES),
    ("GroupNorm", (2, 4), {}, IMAGE), ("GroupNorm", (4, 4), {"affine": False}, ROWS),
    ("RMSNorm", (4,), {}, TIMES), ("RMSNorm", (4,), {"eps": 1e-3, "elementwise_affine": False}, ROWS),
    ("Conv1d", (4, 6, 3), {"padding": 1, "stride": 2}, SEQUENCE), ("Conv1d", (4, 9, 4), {"padding": "same"}, SEQUENCE),
    ("Conv2d", (4, 6, 3), {"padding": (1, 0), "stride": (2, 1)}, IMAGE), ("Conv2d", (4, 17, 1), {}, IMAGE),
    ("Conv2d", (4, 8, 3), {"groups": 2, "dilation": 2, "bias": False, "padding": 2}, IMAGE),
    ("Conv2d", (4, 18, 3), {"groups": 2, "padding": "same"}, IMAGE),
    ("MaxPool1d", (2,), {}, SEQUENCE), ("MaxPool2d", (3,), {"stride": 2, "padding": 1}, IMAGE),
    ("MaxPool2d", (2,), {"dilation": 2, "ceil_mode": True}, IMAGE), ("AvgPool1d", (3,), {"padding": 1}, SEQUENCE),
    ("AvgPool2d", (2,), {"padding": 1, "count_include_pad": False}, IMAGE),
    ("AvgPool2d", (3,), {"stride": 2, "ceil_mode": True}, IMAGE),
    ("AvgPool2d", (2,), {"divisor_override": 3}, IMAGE),
    ("AdaptiveAvgPool1d", (4,), {}, SEQUENCE), ("AdaptiveAvgPool2d", ((3, 2),), {}, IMAGE),
    ("Embedding", (7, 4), {}, (3, 5)), ("EmbeddingBag", (7, 4), {}, (3, 5)),
    ("EmbeddingBag", (7, 4), {"mode": "sum"}, (3, 5)),
    *[(name, (4, 5), settings, TIMES) for name in ("RNN", "GRU", "LSTM") for settings in (
        {}, {"batch_first": True, "num_layers": 2}, {"bidirectional": True, "bias": False})],
    ("RNN", (4, 5), {"nonlinearity": "relu"}, TIMES),
    *[(name, (4, 5), {}, ROWS) for name in ("RNNCell", "GRUCell", "LSTMCell")],
    ("TransformerEncoderLayer", (4, 2, 6), {"batch_first": True}, TIMES),
    ("TransformerEncoderLayer", (4, 2, 6), {"activation": "gelu", "norm_first": True}, TIMES),
]
for _name, _kind in enumerated.ACTIVATIONS.items():
    if "dim" in _kind().settings:
        SHAPED += [(_name, (), {"dim": dim}, shape) for dim, shape in ((-1, ROWS), (1, IMAGE), (-1, TIMES))]
    else:
        SHAPED += [(_name, (), settings, (3, 37)) for settings in ({}, enumerated.away_from_defaults(_kind))]
SHAPED += [("GELU", (), {"approximate": "tanh"}, (3, 37))]
SHAPED += [("InstanceNorm1d", (4,), {"affine": True}, SEQUENCE), ("InstanceNorm2d", (4,), {}, IMAGE),
           ("InstanceNorm2d", (4,), {"track_running_stats": True}, IMAGE)] if hasattr(nn, "InstanceNorm2d") else []


class Attention(nn.Module):
    """MultiheadAttention of a sequence with itself, each place looking back."""

    def __init__(self):
        self.inner = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0]


class Residual(nn.Module):
    """x + f(x), and a shared layer."""

    def __init__(self, features: int, hidden: int):
        self.up, self.down, self.norm = nn.Linear(features, hidden), nn.Linear(hidden, features), nn.LayerNorm(features)

    def forward(self, x):
        return self.norm(x + self.down(F.silu(self.up(x))) * 0.5)


class Causal(nn.Module):
    """A character model: places, causal attention, a head that gives two outputs."""

    def __init__(self, vocabulary: int = 9, width: int = 8, length: int = 5):
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.qkv, self.head = nn.Linear(width, 3 * width), nn.Linear(width, vocabulary)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.places.weight
        q, k, v = F.chunk(self.qkv(x), 3, -1)
        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head(x), x.mean(1)


OWN = {"MultiheadAttention": (Attention, TIMES), "Residual": (lambda: Residual(4, 7), ROWS),
       "TransformerEncoder": (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6, batch_first=True), 2),
                              TIMES),
       "Causal": (Causal, (3, 5)),
       "Sequential": (lambda: nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 2), nn.Softmax()), ROWS)}
TOKENS = ("Embedding", "EmbeddingBag", "Causal")


def covered() -> set[str]:
    return {name for name, *_ in SHAPED} | OWN.keys()


def every_case() -> list[tuple]:
    """(name, maker of the model, input)."""
    found = [(f"{name}{args}{settings}", lambda n=name, a=args, s=settings: getattr(nn, n)(*a, **s), shape, name)
             for name, args, settings, shape in SHAPED]
    found += [(name, make, shape, name) for name, (make, shape) in OWN.items()]
    return [(text, make, given(shape, name in TOKENS)) for text, make, shape, name in found]


def given(shape, tokens: bool = False, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5, shape) if tokens else (2 * rng.standard_normal(shape)).astype(np.float32)


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with parameters and running statistics that are not where they begin."""
    rng = np.random.default_rng(seed)
    with minidl.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter + (0.2 * rng.standard_normal(parameter.shape)).astype(np.float32))
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(buffer + rng.random(buffer.shape).astype(np.float32))
    return model.eval()


def outputs(model: nn.Module, x: np.ndarray) -> list[np.ndarray]:
    """All outputs of a prediction, one after the other."""
    found: list[np.ndarray] = []

    def collect(y):
        if isinstance(y, (tuple, list)):
            for part in y:
                collect(part)
        elif y is not None:
            found.append(np.ascontiguousarray(y.numpy()))

    with minidl.no_grad():
        collect(model(minidl.tensor(x)))
    return found


def random_model(seed: int) -> tuple[nn.Module, np.ndarray]:
    """A model drawn by its number: layers, widths, activations and an input of 1 to 4 samples."""
    rng = np.random.default_rng([seed, 77])
    minidl.manual_seed(seed)
    n = int(rng.integers(1, 5))
    kind = ("rows", "rows", "image", "image", "sequence", "steps", "tokens")[seed % 7]
    layers: list[nn.Module] = []
    names = [name for name, kind_ in enumerated.ACTIVATIONS.items() if "dim" not in kind_().settings]

    def size(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    def activation() -> nn.Module:
        return getattr(nn, names[int(rng.integers(len(names)))])()

    def dense(width: int) -> None:
        for _ in range(size(0, 3)):
            to = size(1, 40)
            layers.extend([nn.Linear(width, to, bias=bool(size(0, 3))), activation()])
            width = to
            how = size(0, 5)
            if how < 3:
                layers.append([nn.BatchNorm1d(width), nn.LayerNorm(width), nn.RMSNorm(width)][how])
            elif how == 3:
                layers.append(Residual(width, size(1, 20)))
            elif how == 4:
                layers.append(nn.Dropout(0.5))
        layers.append(nn.Linear(width, size(1, 12)))
        last = size(0, 2)
        layers.extend([[nn.Softmax(dim=-1)], [nn.LogSoftmax(dim=-1)], []][last])

    if kind == "rows":
        width = size(1, 40)
        shape: tuple[int, ...] = (n, width)
        dense(width)
    elif kind == "image":
        channels, height, width = size(1, 4), size(6, 14), size(6, 14)
        shape = (n, channels, height, width)
        for _ in range(size(1, 2)):
            to = 2 * size(1, 9)
            kernel, groups = size(1, 3), 2 if channels % 2 == 0 and size(0, 1) else 1
            layers.extend([nn.Conv2d(channels, to, kernel, stride=size(1, 2), padding=size(0, kernel - 1),
                                     groups=groups, bias=bool(size(0, 2))), activation()])
            channels = to
            layers.append([nn.BatchNorm2d(channels), nn.GroupNorm(2, channels), nn.Identity()][size(0, 2)])
        layers.append([nn.AdaptiveAvgPool2d(size(1, 3)), nn.MaxPool2d(2, padding=1), nn.AvgPool2d(2)][size(0, 2)])
        layers.append(nn.Flatten())
        model = shaken(nn.Sequential(*layers), seed)
        dense(outputs(model, given(shape))[0].shape[1])
    elif kind == "sequence":
        channels, length = size(1, 6), size(8, 20)
        shape = (n, channels, length)
        layers.extend([nn.Conv1d(channels, size(1, 10), size(1, 4), padding=size(0, 2), dilation=size(1, 2)),
                       activation(), [nn.MaxPool1d(2), nn.AvgPool1d(3), nn.AdaptiveAvgPool1d(2)][size(0, 2)],
                       nn.Flatten()])
        dense(outputs(shaken(nn.Sequential(*layers)), given(shape))[0].shape[1])
    elif kind == "steps":
        width, hidden, steps = size(1, 8), 2 * size(1, 8), size(1, 8)
        shape = (n, steps, width)
        recurrent = [nn.RNN, nn.GRU, nn.LSTM][size(0, 2)]
        layers.append(Outputs(recurrent(width, hidden, num_layers=size(1, 2), bidirectional=bool(size(0, 1)),
                                        batch_first=True)))
        if size(0, 1):
            layers.append(nn.TransformerEncoderLayer(
                outputs(layers[0].eval(), given(shape))[0].shape[-1], 2, size(4, 16), batch_first=True))
        layers.append(nn.Flatten())
        dense(outputs(shaken(nn.Sequential(*layers)), given(shape))[0].shape[1])
    else:
        width, steps = size(1, 12), size(1, 7)
        shape = (n, steps)
        layers.extend([nn.Embedding(size(5, 20), width), nn.Flatten()])
        dense(width * steps)
    return shaken(nn.Sequential(*layers), seed), given(shape, kind == "tokens", seed)


class Outputs(nn.Module):
    """The first of a module's outputs."""

    def __init__(self, inner: nn.Module):
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0]
