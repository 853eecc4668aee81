"""examples/: every script that is there runs, its step compiled, and learns what it says; a page shows its picture."""
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*.py"))}
IMPORTED = {name for path in EXAMPLES.values()
            for name in re.findall(r"^from (\w+) import", path.read_text(), re.MULTILINE) if name in EXAMPLES}
TESTED_APART = {name for name in EXAMPLES if (ROOT / "tests" / f"test_{name}.py").exists()}
SCRIPTS = sorted(EXAMPLES.keys() - IMPORTED - TESTED_APART)
PAGE = ROOT / "docs" / "examples.md"


class Goal(NamedTuple):
    """What a script's last line says at least (or at most): after so many steps, and after as many as it takes."""

    steps: int
    short: float
    full: float
    at_most: bool = False

    def reached(self, value: float, goal: float) -> bool:
        return value <= goal if self.at_most else value >= goal


GOALS = {
    "char_rnn": Goal(1000, 1.9, 0.9, True),  # nats a character; 2.32 with the character before alone
    "dqn": Goal(4000, 150, 300),  # mean return; a random policy has about 20, the best 500
    "forecast": Goal(500, 0.1, 0.03, True),  # error 20 values ahead, in standard deviations of the series
    "gan": Goal(3000, 0.6, 0.9),  # share of the points that lie near a cluster
    "gpt": Goal(500, 2.25, 1.1, True),
    "pinn": Goal(8000, 1e-2, 1e-3, True),  # root mean square error of a solution between -0.8 and 1
    "polynomial": Goal(2000, 1.01, 1.001, True),  # squared error over that of least squares
    "ppo": Goal(6, 150, 400),
    "vae": Goal(600, 0.85, 0.75, True),  # squared error over that of the mean image
}


def run(name: str, folder: Path, *options: str) -> str:
    """What the script prints; warnings are errors."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}  # it imports others
    done = subprocess.run([sys.executable, "-W", "error", EXAMPLES[name], *options], cwd=folder, env=environment,
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


def check(name: str, out: str, goal: float) -> None:
    assert re.search(r"^\w+: compiled$", out, re.MULTILINE), out  # its step's path
    value = float(out.splitlines()[-1].split(": ")[1].split(",")[0])
    assert GOALS[name].reached(value, goal), out


def test_every_script_has_a_goal():
    assert sorted(GOALS) == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_learns_in_seconds(name, tmp_path):
    out = run(name, tmp_path, "--steps", str(GOALS[name].steps), "--out", "there")
    check(name, out, GOALS[name].short)
    assert (tmp_path / "there" / "picture.png").is_file() == (find_spec("matplotlib") is not None)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_learns(name, tmp_path):
    check(name, run(name, tmp_path), GOALS[name].full)


@pytest.mark.parametrize("name", EXAMPLES)
def test_is_short_and_says_what_it_does(name):
    text = EXAMPLES[name].read_text()
    assert text.startswith('"""') and len(text.splitlines()) < 100


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_page_shows_it(name):
    picture = f"examples/{name}.png"
    assert f"](../examples/{name}.py)" in PAGE.read_text() and f"]({picture})" in PAGE.read_text()
    assert (PAGE.parent / picture).stat().st_size < 60_000
