"""docs/plots.md: its code runs, it names every function and callback, and shows every picture that the script makes."""
import re

import pytest
from pages import BLOCK, ROOT, run_examples

pytest.importorskip("matplotlib")
from minidl import plot
from minidl.training import callbacks

DOCS = ROOT / "docs"
PAGE = (DOCS / "plots.md").read_text()
FILES = (DOCS / "files.md").read_text()  # which tells of the callbacks that keep a training
MADE = re.findall(r"^@picture\ndef (\w+)", (DOCS / "make_plots.py").read_text(), re.MULTILINE)


def test_the_code_runs_and_prints_what_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_examples(PAGE, "plots.md")
    printed, = (text for kind, text in BLOCK.findall(PAGE) if not kind)
    assert capsys.readouterr().out == printed
    assert len((tmp_path / "training.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize("name", [*plot.__all__, *callbacks.ELSEWHERE])
def test_every_function_and_callback_is_on_the_page(name):
    assert re.search(rf"\b{name}\b", PAGE + FILES)


def test_every_picture_is_made_and_shown():
    shown = re.findall(r"\]\(plots/(\w+)\.png\)", PAGE)
    assert sorted(shown) == sorted(MADE) == sorted(path.stem for path in (DOCS / "plots").glob("*"))
    assert all((DOCS / "plots" / f"{name}.png").stat().st_size < 90_000 for name in shown)
