"""minidl export: the network of a run folder, as C and as ONNX."""
from __future__ import annotations

import json

import numpy as np
import pytest

from minidl import cli
from minidl.commands.export import network_in
from minidl.export.c_file import c_text


@pytest.fixture(autouse=True)
def a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--epochs", "2", "--hidden", "7"]) == 0
    capsys.readouterr()


def test_c(tmp_path, capsys):
    assert cli.main(["export", "--c"]) == 0
    assert capsys.readouterr().out == "model.c: 2 inputs, 2 outputs, 37 parameters\n"
    model, _ = network_in(tmp_path / "runs" / "train")
    assert (tmp_path / "model.c").read_text() == c_text(model)
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
    for content in ("{", "{}", '{"recipe": {"hidden": 3}}', json.dumps({"recipe": []})):
        path.write_text(content)
        assert cli.main(["export", "--c"]) == 1
        assert "expected the run folder of minidl train" in capsys.readouterr().err
