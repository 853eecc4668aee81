"""minidl's estimators beside scikit-learn's: ``python -m bench.estimators``; the import is all that differs.

For each seed: a split of the data, inputs standardised, one fit of each estimator with its default settings and this
random_state, in turns, and the score on the held-out quarter. Mean and standard deviation over the seeds, seconds of a
fit (the median), and the verdicts that the README tells. ``--only digits mnist`` runs these alone.
"""
from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import machine  # noqa: E402
import numpy as np  # noqa: E402
import sklearn.neural_network as theirs  # noqa: E402
from own_steps import table  # noqa: E402
from sklearn import datasets  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

import minidl.estimators as mine  # noqa: E402
from minidl.data import mnist  # noqa: E402

REST = 0.15  # seconds before each fit: OpenBLAS's threads spin for a tenth of a second after their last product


class Case(NamedTuple):
    """Data, the estimator's class, and the settings that are not its defaults."""

    kind: str
    split: Callable
    settings: dict
    faster: float = 1.0  # how many times as fast it must be


def bundled(load, kind: str, faster: float = 1.0, **settings) -> Case:
    """A data set that scikit-learn brings along."""
    def split(seed: int):
        X, y = load(return_X_y=True)
        if kind == "MLPRegressor":
            y = (y - y.mean()) / y.std()
        X, Xt, y, yt = train_test_split(X, y, test_size=0.25, random_state=seed)
        scaler = StandardScaler().fit(X)
        return scaler.transform(X), y, scaler.transform(Xt), yt

    return Case(kind, split, settings, faster)


def written_digits(dtype) -> Callable:
    def split(seed: int):
        found = mnist()
        X, Xt = ((images.reshape(len(images), -1) / 255).astype(dtype)
                 for images in (found.train_images, found.test_images))
        return X, found.train_labels, Xt, found.test_labels

    return split


MNIST = {"hidden_layer_sizes": (256, 256), "batch_size": 128}
CASES = {
    "digits": bundled(datasets.load_digits, "MLPClassifier", 3.0),
    "breast cancer": bundled(datasets.load_breast_cancer, "MLPClassifier"),
    "wine": bundled(datasets.load_wine, "MLPClassifier"),
    "iris": bundled(datasets.load_iris, "MLPClassifier"),
    "diabetes": bundled(datasets.load_diabetes, "MLPRegressor"),
    "mnist": Case("MLPClassifier", written_digits(np.float64), MNIST, 1.5),
    "mnist float32": Case("MLPClassifier", written_digits(np.float32), MNIST, 1.5),
}


def measured(case: Case, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and seconds of both, a row a seed: scikit-learn's, then minidl's."""
    scores, seconds = np.empty((seeds, 2)), np.empty((seeds, 2))
    for seed in range(seeds):
        X, y, Xt, yt = case.split(seed)
        for i in ((0, 1), (1, 0))[seed % 2]:
            estimator = getattr((theirs, mine)[i], case.kind)(random_state=seed, **case.settings)
            time.sleep(REST)
            begin = time.perf_counter()
            estimator.fit(X, y)
            seconds[seed, i] = time.perf_counter() - begin
            scores[seed, i] = estimator.score(Xt, yt)
    return scores, seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--mnist-seeds", type=int, default=3)
    parser.add_argument("--mnist-epochs", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of trainings that end at max_iter
    print(f"{machine.processor.name()}: {machine.line()}", end="\n\n")
    rows, missed = [], []
    for name in options.only:
        case = CASES[name]
        seeds = options.seeds
        if name.startswith("mnist"):
            seeds, case = options.mnist_seeds, case._replace(settings=MNIST | {"max_iter": options.mnist_epochs})
        scores, seconds = measured(case, seeds)
        mean, spread = scores.mean(axis=0), scores.std(axis=0, ddof=1) if seeds > 1 else np.zeros(2)
        error = float(spread[0]) / math.sqrt(seeds)
        typical = np.median(seconds, axis=0)
        times = typical[0] / typical[1]
        rows.append([name, str(seeds), *(f"{m:.4f} ± {s:.4f}" for m, s in zip(mean, spread, strict=True)),
                     f"{np.abs(scores[:, 0] - scores[:, 1]).max():.4f}", f"{typical[0]:.3f}", f"{typical[1]:.3f}",
                     f"{times:.1f}"])
        print(f"{name}: {times:.1f} times as fast", file=sys.stderr)
        if mean[1] < mean[0] - error:
            missed.append(f"{name}: score {mean[1]:.4f}, expected {mean[0]:.4f} less {error:.4f} at most")
        if times < case.faster:
            missed.append(f"{name}: {times:.2f} times as fast, expected {case.faster}")
    print(*table(["data", "seeds", "scikit-learn", "minidl", "largest difference", "s", "s", "times as fast"], rows),
          sep="\n")
    lines = [f"missed: {line}" for line in missed] or ["scores within a standard error, and as fast as asked"]
    print(*lines, sep="\n")
    return bool(missed)


if __name__ == "__main__":
    raise SystemExit(main())
