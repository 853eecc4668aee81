"""Networks of sequences, written once for minidl and PyTorch, whose names, arguments and weights are the same.

gru, lstm  32 inputs, 32 units, 50 steps; the last h to 4 classes; Adam
gpt        65 characters, 32 of context, 64 wide, 4 heads, 2 layers (norm first, 256 units, relu); AdamW
"""
from __future__ import annotations

import machine  # noqa: F401 (before NumPy)
import numpy as np

STEPS, UNITS, CLASSES = 50, 32, 4
CHARACTERS, CONTEXT, WIDTH, HEADS, LEVELS = 65, 32, 64, 4, 2
RATE = 1e-3
NAMES = ("gru", "lstm", "gpt")
CASES = [(name, size) for name in ("gru", "lstm") for size in (1, 32)] + [("gpt", 1), ("gpt", 16)]


def batch(name: str, size: int) -> list[np.ndarray]:
    """Inputs and labels."""
    rng = np.random.default_rng(size)
    if name == "gpt":
        text = rng.integers(0, CHARACTERS, (size, CONTEXT + 1))
        return [np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])]
    return [rng.standard_normal((STEPS, size, UNITS), np.float32), rng.integers(0, CLASSES, size)]


def model(lib, name: str, tensor):
    """The network; ``tensor`` makes a Tensor of an array."""
    nn = lib.nn

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = getattr(nn, name.upper())(UNITS, UNITS)
            self.head = nn.Linear(UNITS, CLASSES)

        def forward(self, x):
            return self.head(self.layer(x)[0][-1])

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.characters = nn.Embedding(CHARACTERS, WIDTH)
            self.places = nn.Embedding(CONTEXT, WIDTH)
            self.body = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, batch_first=True, norm_first=True), LEVELS,
                nn.LayerNorm(WIDTH), enable_nested_tensor=False)
            self.head = nn.Linear(WIDTH, CHARACTERS)
            self.register_buffer("here", tensor(np.arange(CONTEXT)))
            self.register_buffer("mask", tensor(~np.tri(CONTEXT, dtype=bool)))

        def forward(self, index):
            x = self.characters(index) + self.places(self.here)
            return self.head(self.body(x, self.mask, is_causal=True)).reshape(-1, CHARACTERS)

    return Gpt() if name == "gpt" else Recurrent()


def step_of(lib, network, optimizer):
    criterion = lib.nn.CrossEntropyLoss()

    def step(x, labels):
        loss = criterion(network(x), labels.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def optimizer_of(lib, name: str, network, **settings):
    kind = lib.optim.AdamW if name == "gpt" else lib.optim.Adam
    return kind(network.parameters(), lr=RATE, **settings)
