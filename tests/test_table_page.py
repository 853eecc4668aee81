"""docs/table.md: what its transcripts say is what the commands say, its tables are those of the script beside them."""
import subprocess
import sys
from pathlib import Path

import pytest
import transcripts

from minidl.tables import baseline, training

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "table.md"
TABLES = ROOT / "docs" / "tables"


def test_the_transcripts_are_what_the_commands_say():
    pytest.importorskip("matplotlib")
    page = PAGE.read_text(encoding="utf-8")
    with transcripts.in_a_folder_with(TABLES) as folder:
        said = transcripts.rewritten(page)
        pictures = transcripts.PICTURE.findall(page)
        assert len(pictures) == 4 and all((folder / run / name).is_file() for _, run, name in pictures)
    assert transcripts.without_times(said) == transcripts.without_times(page)
    assert all((PAGE.parent / shown).is_file() for shown, _, _ in pictures)


def test_each_table_goes_from_file_to_predictions_in_three_commands():
    blocks = [transcripts.commands(block) for block in transcripts.BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
    ours = [command for block in blocks for command in block if command.startswith("minidl")]
    for run in ("houses", "customers", "beans"):
        steps = [command.split()[1] for command in ours if run in command.split() and "show" not in command]
        assert steps == ["train", "train", "predict"]


def test_how_it_is_trained():
    """The numbers of the section are those of the recipe, the split and the baselines."""
    told = " ".join(PAGE.read_text(encoding="utf-8").split("## How it is trained\n")[1].split("\n## ")[0].split())
    recipe, names = training.RECIPE, {"relu": "ReLU", "adamw": "AdamW"}
    assert f"The network has {recipe.hidden[0]} and {recipe.hidden[1]} units" in told and len(recipe.hidden) == 2
    assert f"with {names[recipe.activation]} and dropout {recipe.dropout:g}," in told
    assert f"by {names[recipe.optimizer]} in batches of {recipe.batch_size}, at a rate of {recipe.lr:g}," in told
    assert f"has not fallen for {training.PATIENCE} epochs (`--patience`), or for {recipe.epochs}." in told
    assert "Kaiming's uniform initial weights" in told and recipe.init == "kaiming_uniform"
    assert f"(of at most {baseline.ROWS:,} rows)" in told


def test_the_tables_are_those_of_the_script(tmp_path):
    subprocess.run([sys.executable, TABLES / "make.py", "--out", tmp_path], check=True, timeout=60)
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text(encoding="utf-8") for path in TABLES.glob("*.csv")}
