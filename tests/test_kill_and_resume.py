"""A training that was killed with SIGKILL and resumed ends with the same bits: tests/scripts/kill_and_resume.py."""
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import minidl

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is of POSIX")


def ran(*arguments):
    script = Path(__file__).parent / "scripts" / "kill_and_resume.py"
    environment = os.environ | {"PYTHONPATH": str(Path(minidl.__file__).parents[1])}
    return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=3000,
                          env=environment)


def test_three_kills_of_one_training():
    done = ran("--trials", "1", "--kills", "3")
    assert done.returncode == 0 and done.stdout.startswith("1 of 1 trainings"), done.stdout + done.stderr


@pytest.mark.slow
def test_kills_at_random_moments():
    """Fifty with MINIDL_LONG=1 in the environment."""
    trials = 50 if os.environ.get("MINIDL_LONG") else 10
    done = ran("--trials", str(trials))
    assert done.returncode == 0 and done.stdout.startswith(f"{trials} of {trials} trainings"), done.stdout + done.stderr
