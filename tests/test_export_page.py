"""docs/export.md: its examples run, and its C compiles and prints what predict gives."""
from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pages import run_examples

PAGE = (Path(__file__).parents[1] / "docs" / "export.md").read_text()
SECTIONS = re.split(r"^(?=## )", PAGE, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("needs, count", [("", 1), ("onnx", 2), ("torch", 3)], ids=["C", "ONNX", "PyTorch"])
def test_the_examples_run(needs, count, tmp_path, monkeypatch, capsys):
    if needs:
        pytest.importorskip(needs)
    monkeypatch.chdir(tmp_path)
    names = run_examples("\n" * (PAGE.count("\n") - sum(part.count("\n") for part in SECTIONS)) + "".join(
        part if i in (0, count - 1) else "\n" * part.count("\n") for i, part in enumerate(SECTIONS[:count])),
        "docs/export.md")
    assert "the operation cumsum has no kernel" in capsys.readouterr().out
    if count == 1 and shutil.which("gcc"):
        (tmp_path / "main.c").write_text(re.search(r"```c\n(.*?)```", PAGE, re.DOTALL)[1])
        subprocess.run(["gcc", "-O2", "main.c", "-lm", "-o", "main"], check=True)
        told = subprocess.run("./main", capture_output=True, text=True, check=True).stdout
        x = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
        assert np.array_equal(np.float32(told.split()), names["model"].predict(x)[0])
