"""More scripts in PyTorch's idiom: they run after an exchange of their imports alone, and compute the same."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from theirs import torch

SCRIPTS = Path(__file__).parent / "scripts"
EXCHANGED = [
    (r"^import torch$", "import minidl as torch"),
    (r"^import torch\.([\w.]+)( as|$)", r"import minidl.\1\2"),
    (r"^from torch(\.[\w.]+)? import", r"from minidl\1 import"),
]


def ported(text: str) -> str:
    """The script with minidl imported under PyTorch's names."""
    for old, new in EXCHANGED:
        text = re.sub(old, new, text, flags=re.MULTILINE)
    return text


def run(name: str, monkeypatch, port: bool, **settings):
    """main() of the script, with minidl or with PyTorch."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    path = SCRIPTS / f"{name}.py"
    text = path.read_text()
    if port:
        lines = list(zip(text.splitlines(), ported(text).splitlines(), strict=True))
        assert all("import" in old for old, new in lines if old != new)
        assert not any("torch" in new and "import" in new and "minidl" not in new for _, new in lines)
        text = ported(text)
    space: dict = {"__name__": name}
    exec(compile(text, str(path), "exec"), space)
    return space["main"](**settings)


@pytest.mark.parametrize(("name", "settings", "places"), [
    ("polynomial", {"steps": 200}, 4), ("moons", {"epochs": 3}, 3), ("lbfgs_fit", {"steps": 2}, 6),
    ("tabular", {"epochs": 2}, 3)])
def test_pytorch_computes_the_same(name, settings, places, monkeypatch, capsys):
    """From the same initial weights: the same losses and weights, to rounding."""
    pytest.importorskip("torch")
    _, weights, *_ = run(name, monkeypatch, True, **{**settings, next(iter(settings)): 1})
    start = {key.removeprefix("module."): value for key, value in weights.items() if key != "n_averaged"}
    losses, mine, *_ = run(name, monkeypatch, True, **settings, state=start)
    expected, theirs, *_ = run(name, monkeypatch, False, **settings, state=start)
    np.testing.assert_allclose(losses, expected, rtol=10.0 ** -places, atol=10.0 ** -places * expected[0])
    assert list(mine) == list(theirs)
    for key, value in mine.items():
        if name == "tabular" and ("bias" in key or "running_mean" in key):
            continue  # a bias before a BatchNorm has a gradient of roundings alone, which Adam makes as large as any
        np.testing.assert_allclose(value, theirs[key], rtol=0, atol=10.0 ** (1 - places) * max(1, np.abs(value).max()),
                                   err_msg=key)
    assert capsys.readouterr().out


def test_a_cubic_is_fitted(monkeypatch):
    losses, weights = run("polynomial", monkeypatch, True)
    assert losses[-1] < 12 and abs(weights["0.weight"][0, 0] - 0.85) < 0.1


def test_moons_are_told_apart(monkeypatch):
    losses, weights, accuracy = run("moons", monkeypatch, True)
    assert accuracy > 0.97 and losses[-1] < 0.2 * losses[0] and weights["n_averaged"] == 200


def test_a_sine_is_fitted_by_lbfgs(monkeypatch):
    losses, weights, vector = run("lbfgs_fit", monkeypatch, True)
    assert losses[-1] < 1e-4 and vector.size == sum(value.size for value in weights.values()) == 37


@pytest.mark.parametrize("split", [False, True])
def test_a_table_is_learnt(split, monkeypatch):
    losses, weights, best = run("tabular", monkeypatch, True, p=0.1, split=split)
    assert best < 0.35 < losses[0] and weights["0.num_batches_tracked"] > 50


@pytest.mark.parametrize(("name", "settings"), [("dqn", {"episodes": 120}), ("ppo", {"updates": 30})])
def test_a_pole_is_kept_up(name, settings, monkeypatch):
    returns = run(name, monkeypatch, True, **settings)
    assert np.mean(returns[-20:]) > 3 * np.mean(returns[:20])


@pytest.mark.parametrize(("name", "settings"), [("dqn", {"episodes": 8}), ("ppo", {"updates": 1})])
def test_they_are_pytorchs_scripts(name, settings, monkeypatch):
    pytest.importorskip("torch")
    assert run(name, monkeypatch, False, **settings)


def test_a_variational_autoencoder_learns(monkeypatch):
    losses, pictures = run("vae", monkeypatch, True)
    assert losses[-1] < 0.8 * losses[0] and pictures.shape == (16, 1, 8, 8)


def test_an_autoencoder_cleans_pictures(monkeypatch):
    losses, baseline, state = run("autoencoder", monkeypatch, True)
    assert losses[-1] < 0.5 * baseline and list(state)[:3] == [
        "encoder.conv1.weight", "encoder.conv1.bias", "encoder.norm1.weight"]


def test_a_generator_finds_the_ring(monkeypatch):
    radius, spread, centre, _ = run("gan", monkeypatch, True)
    assert abs(radius - 1) < 0.2 and spread < 0.3 and centre < 0.4


def test_names_are_told_apart_and_written(monkeypatch):
    losses, share, (loss, names) = run("char_rnn", monkeypatch, True)
    assert losses[-1] < 0.2 * losses[0] and share > 0.95 and loss < 0.8 and len(set(names)) > 5


def test_texts_are_told_apart(monkeypatch):
    losses, accuracy = run("text_bag", monkeypatch, True)
    assert accuracy > 0.9 and np.mean(losses[-20:]) < 0.5 * losses[0]


def test_an_equation_is_solved_and_a_constant_found(monkeypatch):
    error, omegas = run("pinn", monkeypatch, True)
    assert error < 0.02 and abs(omegas[-1] - 3) < 0.2


def test_digits_are_read(monkeypatch):
    losses, accuracy = run("lenet", monkeypatch, True)
    assert accuracy > 0.85 and np.mean(losses[-10:]) < 0.3 * losses[0]


def test_a_series_is_foretold(monkeypatch):
    losses, error, foretold, true = run("series_gru", monkeypatch, True)
    assert losses[-1] < 0.05 * losses[0] and error < 0.15 and np.abs(np.subtract(foretold, true)).max() < 0.6


def test_words_are_tagged_and_the_first_symbol_remembered(monkeypatch):
    losses, tags, share = run("tagger_lstm", monkeypatch, True)
    assert losses[-1] < 0.3 * losses[0] and tags == [0, 1, 2, 0, 1] and share > 0.9


@pytest.mark.parametrize(("name", "settings"), [
    ("vae", {"argv": ["--epochs", "1"]}), ("autoencoder", {"epochs": 1}), ("gan", {"iterations": 8}),
    ("char_rnn", {"n_iters": 30, "print_every": 10}), ("text_bag", {"epochs": 1}), ("pinn", {"steps": 5}),
    ("lenet", {"epochs": 1}), ("series_gru", {"n_epochs": 1}), ("tagger_lstm", {"epochs": 2, "steps": 2})])
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_so_are_these(name, settings, monkeypatch):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert run(name, monkeypatch, False, **settings)
    finally:
        torch.set_num_threads(threads)
