"""A script in PyTorch's idiom runs after an exchange of its imports alone, and computes the same."""
from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent / "scripts" / "mnist_mlp.py"


def ported(text: str) -> str:
    """The script with minidl imported under PyTorch's names."""
    text = re.sub(r"^import torch$", "import minidl as torch", text, flags=re.MULTILINE)
    return re.sub(r"^import torch\.([\w.]+) as", r"import minidl.\1 as", text, flags=re.MULTILINE)


def functions(text: str) -> dict:
    space: dict = {"__name__": "mnist_mlp"}
    exec(compile(text, str(SCRIPT), "exec"), space)
    return space


@pytest.fixture(scope="module")
def mine() -> dict:
    return functions(ported(SCRIPT.read_text()))


@pytest.fixture(scope="module")
def theirs() -> dict:
    pytest.importorskip("torch")
    return functions(SCRIPT.read_text())


@pytest.fixture
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Ten blurred patterns of 8 x 8 pixels, 1000 times, as images (N, 8, 8) and labels (N,)."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 1000)
    images = rng.standard_normal((10, 8, 8))[labels] + rng.standard_normal((1000, 8, 8))
    return images.astype(np.float32), labels


def test_only_the_imports_differ():
    before, after = SCRIPT.read_text().splitlines(), ported(SCRIPT.read_text()).splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 4 and all(a.startswith("import torch") and "minidl" in b for a, b in changed)
    assert not any("import" in line and "torch" in line and "minidl" not in line for line in after)


def test_it_learns(mine, digits):
    losses, accuracy, weights = mine["main"](*digits, p=0.2)
    assert accuracy > 0.9 and np.mean(losses[-5:]) < 0.3 * losses[0]
    assert list(weights)[:4] == ["fc1.weight", "fc1.bias", "layers.0.weight", "layers.0.bias"]
    assert weights["fc1.weight"].shape == (32, 64)


def test_it_repeats_bit_for_bit(mine, digits):
    (first, _, weights), (second, _, others) = (mine["main"](*digits, epochs=1, p=0.2) for _ in range(2))
    assert first == second
    for name in weights:
        np.testing.assert_array_equal(weights[name], others[name])


def agree(mine, theirs, data, epochs) -> None:
    """From the same initial weights: the same losses and weights, to float32's rounding."""
    start = theirs["Net"](data[0][0].size, 32, 10, 0.0).state_dict()
    state = {name: value.numpy().copy() for name, value in start.items()}
    losses, accuracy, weights = mine["main"](*data, epochs=epochs, state=state)
    expected, their_accuracy, their_weights = theirs["main"](*data, epochs=epochs, state=state)
    np.testing.assert_allclose(losses, expected, rtol=2e-3, atol=2e-4)
    assert list(weights) == list(their_weights)
    for name in weights:
        np.testing.assert_allclose(weights[name], their_weights[name], atol=2e-3, err_msg=name)
    assert abs(accuracy - their_accuracy) <= 0.01


def test_pytorch_computes_the_same(mine, theirs, digits, capsys):
    agree(mine, theirs, digits, epochs=2)
    assert capsys.readouterr().out.count("Accuracy") == 6


@pytest.mark.skipif("MINIDL_DATA" not in os.environ, reason="MINIDL_DATA names no folder with MNIST")
def test_on_mnist(mine, theirs):
    from minidl.data import mnist

    data = mnist()
    images, labels = data[0][:2000].astype(np.float32) / 255, data[1][:2000].astype(np.int64)
    _, accuracy, _ = mine["main"](images, labels, p=0.1)
    assert accuracy > 0.8
    agree(mine, theirs, (images, labels), epochs=1)
