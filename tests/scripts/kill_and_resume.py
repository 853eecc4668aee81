"""Kill a training with SIGKILL at random moments, resume it, and compare its end with one that was never stopped.

    python tests/scripts/kill_and_resume.py --trials 50          one kill each, anywhere between its start and its end
    python tests/scripts/kill_and_resume.py --trials 1 --kills 3 as many kills of one training

The network has BatchNorm, dropout, Adam, a schedule, early stopping and averaged weights; each epoch is saved. What is
compared are all bits: weights, buffers, states, generators, history but for the seconds. Status 1 where one differs.
"""
from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS = 120


def train(checkpoint: Path, result: Path) -> None:
    """In the child: train to the end, from the checkpoint if there is one, and write what came out."""
    import numpy as np

    import minidl
    from minidl import nn, optim
    from minidl.optim.swa_utils import AveragedModel
    from minidl.training.callbacks import EarlyStopping, ModelCheckpoint, WeightAveraging

    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 20), np.float32)
    y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
    minidl.manual_seed(os.getpid())  # what a resumed training does not take from the file would differ
    model = nn.Sequential(
        nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 64), nn.Tanh(),
        nn.Dropout(0.2), nn.Linear(64, 2))
    if not checkpoint.exists():  # the start that all trainings share
        minidl.manual_seed(1)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.1, generator=7)
    optimizer = optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-4)
    schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 7, 2)
    averaged = AveragedModel(model)
    saving = ModelCheckpoint(checkpoint)
    history = minidl.fit(
        model, nn.CrossEntropyLoss(), optimizer, (X[:500], y[:500]), validation=(X[500:], y[500:]), epochs=EPOCHS,
        batch_size=50, seed=3, scheduler=schedule, progress=False, resume=checkpoint if checkpoint.exists() else None,
        callbacks=[saving, EarlyStopping(EPOCHS), WeightAveraging(averaged, start=5)])
    state = minidl.load(checkpoint)
    columns = {name: column for name, column in state["history"].items() if name != "seconds"}
    np.set_printoptions(threshold=sys.maxsize, floatmode="unique")  # repr() tells every bit
    digest = hashlib.sha256()
    for part in (model.flat_parameters, *model.state_dict().values(), *averaged.state_dict().values()):
        digest.update(np.ascontiguousarray(part).tobytes())
    digest.update(repr((len(history), columns, state["optimizer"], state["scheduler"], state["generators"],
                        minidl.rand(3).numpy().tobytes())).encode())
    part = result.with_suffix(".part")
    part.write_text(digest.hexdigest())
    part.rename(result)


class Trial:
    """A training in a folder of its own."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self.checkpoint, self.result = folder / "checkpoint.safetensors", folder / "result"

    def run(self, kill_after: float | None = None) -> float:
        """The seconds until the process has ended, or was killed."""
        begin = time.monotonic()
        child = subprocess.Popen([sys.executable, __file__, "--child", str(self.checkpoint), str(self.result)])
        try:
            child.wait(kill_after)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
        if child.returncode not in (0, -signal.SIGKILL):
            raise SystemExit(f"a training ended with status {child.returncode}")
        return time.monotonic() - begin

    def end(self) -> str:
        return self.result.read_text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--kills", type=int, default=1, help="of each trial (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        train(*options.child)
        return 0
    rng = random.Random(options.seed)
    same, kills, parts, epochs = 0, 0, 0, set()
    with tempfile.TemporaryDirectory() as folder:
        whole = Trial(Path(folder) / "whole")
        seconds = whole.run()
        for number in range(options.trials):
            trial = Trial(Path(folder) / str(number))
            for _ in range(options.kills):
                trial.run(rng.uniform(0.02, seconds))
                if trial.result.exists():  # it was faster than the first one: once more
                    trial = Trial(Path(folder) / f"{number} again {kills}")
                    trial.run(rng.uniform(0.02, seconds * 0.6))
                kills += not trial.result.exists()
                parts += any(trial.checkpoint.parent.glob("*.part"))
                epochs.add(trial.checkpoint.exists() and told(trial.checkpoint))
            if not trial.result.exists():
                trial.run()
            same += trial.end() == whole.end()
            if trial.end() != whole.end():
                print(f"trial {number} differs", flush=True)
    print(f"{same} of {options.trials} trainings end with the bits of the one that was never stopped; {kills} kills, "
          f"{parts} within a write, after {len(epochs)} different epochs; {seconds:.1f} s each")
    return 0 if same == options.trials else 1


def told(checkpoint: Path) -> int:
    """The epoch of a checkpoint, which must be whole."""
    import minidl

    return minidl.load(checkpoint)["epoch"]


if __name__ == "__main__":
    sys.exit(main())
