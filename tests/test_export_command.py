"""minidl export: the network of a run folder, as C and as ONNX."""
from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict

import numpy as np
import pytest

from minidl import checkpoint, cli
from minidl.commands.export import network_in
from minidl.commands.mnist_network import RECIPES
from minidl.export.c_file import c_text
from minidl.papers.mnist_networks import NETWORKS


@pytest.fixture(autouse=True)
def a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--epochs", "2", "--hidden", "7"]) == 0
    capsys.readouterr()


def test_c(tmp_path, capsys):
    assert cli.main(["export", "--c"]) == 0
    assert capsys.readouterr().out == "model.c: 2 inputs, 2 outputs, 37 parameters\n"
    model, _ = network_in(tmp_path / "runs" / "train")
    assert (tmp_path / "model.c").read_text() == c_text(model, np.zeros((1, 2), np.float32))
    assert cli.main(["export", "runs/train", "--c", "--name", "net", "--out", "net.c", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 37
    assert "int net(const float *x, float *y)" in (tmp_path / "net.c").read_text()


def test_onnx(tmp_path, capsys):
    pytest.importorskip("onnx")
    import minidl

    assert cli.main(["export", "--onnx"]) == 0
    model, _ = network_in(tmp_path / "runs" / "train")
    x = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
    np.testing.assert_allclose(minidl.from_onnx("model.onnx").predict(x), model.predict(x), atol=1e-6)


def test_a_table(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{a - 2 * b:.3f}" for a, b in rng.standard_normal((60, 2))]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,y", *rows]))
    assert cli.main(["train", "t.csv", "--target", "y", "--epochs", "2", "--hidden", "5", "--out", "run"]) == 0
    capsys.readouterr()
    assert cli.main(["export", "run", "--c"]) == 0
    assert capsys.readouterr().out.startswith("model.c: 2 inputs, 1 outputs, 21 parameters")


@pytest.mark.parametrize("network", NETWORKS)
def test_images(tmp_path, capsys, network):
    """A folder as minidl train --network writes it."""
    recipe = RECIPES[network]
    model, _ = recipe.built(1)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "result.json").write_text(json.dumps({"recipe": asdict(recipe)}))
    checkpoint.save(tmp_path / "images" / "weights.npz", model)
    assert cli.main(["export", "images", "--c", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    side = 28 - 2 * recipe.cut
    assert (told["inputs"], told["outputs"]) == (side * side, 10)
    assert (tmp_path / "model.c").read_text() == c_text(model, np.zeros((1, 1, side, side), np.float32))
    if importlib.util.find_spec("onnx"):
        assert cli.main(["export", "images", "--onnx"]) == 0
    (tmp_path / "images" / "result.json").write_text(json.dumps({"recipe": asdict(recipe) | {"cut": 20}}))
    assert cli.main(["export", "images", "--c"]) == 1
    assert "expected the run folder" in capsys.readouterr().err


@pytest.mark.parametrize("line, code, message", [
    (["none", "--c"], 1, "none/result.json"), (["--c", "--name", "int"], 2, "a name that C allows"),
    ([], 2, "one of the arguments --c --onnx is required"), (["--c", "--onnx"], 2, "not allowed with"),
    (["--c", "--out", "no/such/folder/m.c"], 1, "No such file")])
def test_errors_are_one_line(line, code, message, capsys):
    assert cli.main(["export", *line]) == code
    out, err = capsys.readouterr()
    assert out == "" and message in err and len(err.splitlines()) == 1


def test_a_folder_of_something_else(tmp_path, capsys):
    path = tmp_path / "runs" / "train" / "result.json"
    for content in ("{", "{}", '{"recipe": {"hidden": 3}}', json.dumps({"recipe": []}), "[]"):
        path.write_text(content)
        assert cli.main(["export", "--c"]) == 1
        assert "expected the run folder of minidl train" in capsys.readouterr().err


def test_weights_of_another_network(tmp_path, capsys):
    path = tmp_path / "runs" / "train" / "result.json"
    told = json.loads(path.read_text())
    told["recipe"]["hidden"] = [1000000]
    path.write_text(json.dumps(told))
    assert cli.main(["export", "--c"]) == 1
    assert "weights" in capsys.readouterr().err
