"""Make the pictures of docs/plots.md: ``python docs/make_plots.py`` writes docs/plots/*.png, in a quarter of a minute.

Those of digits need MNIST (MINIDL_DATA); without it they are left out, and that is said.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

import minidl
from minidl import data, nn, optim, plot
from minidl import functional as F
from minidl.sweep import grid, sweep
from minidl.sweep.task import complete
from minidl.sweep.task import train as task
from minidl.training import lr_find

HERE = Path(__file__).parent
PICTURES: dict[str, Callable] = {}


def picture(draw: Callable) -> Callable:
    """Register a function that returns Axes, under its name."""
    PICTURES[draw.__name__] = draw
    return draw


def spirals(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points on three arms, (N, 2), and the number of the arm."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    t = rng.uniform(0.1, 1, count)
    angle = 2 * np.pi * y / 3 + 4 * t + rng.normal(0, 0.22, count)
    return np.stack([t * np.cos(angle), t * np.sin(angle)], 1).astype(np.float32), y


def network(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    minidl.manual_seed(0)
    layers: list = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def fitted(model, train, test, lr: float = 0.01, epochs: int = 60):
    """The history of a training with Adam."""
    return minidl.fit(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=lr), train, validation=test,
                      epochs=epochs, batch_size=32, seed=0, progress=False)


@cache
def on_spirals():
    """Two networks with their histories, and points that they did not see."""
    train, test = spirals(400, 0), spirals(400, 1)
    models = {"8 units": network(2, 8, 3), "32, 32 units": network(2, 32, 32, 3)}
    return models, {name: fitted(model, train, test) for name, model in models.items()}, test


@cache
def on_digits():
    """A network on a part of MNIST, its output on 2000 test images, and these."""
    train, labels, test, yt = data.mnist(download=False)
    X, Xt = (images.reshape(-1, 784) / np.float32(255) for images in (train[:8000], test[:2000]))
    y, yt = labels[:8000], yt[:2000]
    model = network(784, 25, 10)
    fitted(model, (X, y), (Xt, yt), lr=3e-3, epochs=8)
    return model, model.predict(Xt), Xt, yt


@picture
def loss():
    return plot.loss(on_spirals()[1]["32, 32 units"], title="Three spirals")


@picture
def loss_of_several():
    return plot.loss(on_spirals()[1], by="seconds", title="Two networks")


@picture
def accuracy():
    return plot.accuracy(on_spirals()[1], title="Two networks")


@picture
def decision_regions():
    models, _, (X, y) = on_spirals()
    return plot.decision_regions(models["32, 32 units"], X, y, names=("red giant", "dwarf", "pulsar"))


@picture
def regions_side_by_side():
    from matplotlib.figure import Figure

    models, _, (X, y) = on_spirals()
    figure = Figure(figsize=(9, 4), dpi=100, layout="constrained")
    for ax, (name, model) in zip(figure.subplots(1, 2), models.items(), strict=True):
        plot.decision_regions(model, X, y, title=name, ax=ax)
    return figure


@picture
def confusion_matrix():
    _, output, _, y = on_digits()
    return plot.confusion_matrix(y, output.argmax(1), title="MNIST, 2000 test images")


@picture
def confusion_matrix_named():
    models, _, (X, y) = on_spirals()
    return plot.confusion_matrix(y, models["8 units"].predict(X).argmax(1), names=("red giant", "dwarf", "pulsar"),
                                 normalize="true", title="Percent of each true class")


@picture
def calibration_curve():
    models, _, (X, y) = on_spirals()
    return plot.calibration_curve(y, {name: F.softmax(model.predict(X), dim=1) for name, model in models.items()})


@picture
def weights():
    return plot.weights(on_digits()[0], title="What 25 units of a network on MNIST look for")


@picture
def weights_of_a_table():
    return plot.weights(on_spirals()[0]["32, 32 units"], title="The first layer of a network in the plane")


@picture
def misclassified():
    _, output, X, y = on_digits()
    return plot.misclassified(X.reshape(-1, 28, 28), y, output.argmax(1), columns=10, rows=3,
                              title="Digits that were not found: true > predicted")


@picture
def lr_finder():
    model = network(2, 32, 32, 3)
    found = lr_find(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), spirals(400, 0), min_lr=1e-5,
                    max_lr=10, num_training=150, seed=0)
    return plot.lr_find(found)


@picture
def a_sweep():
    settings = [complete({"dataset": "disk", "epochs": 20, "samples": 300, "batch_size": 30} | one)
                for one in grid(layers=[2, 3, 4], hidden=[5, 25], activation=["relu", "tanh"])]
    return plot.sweep(sweep(task, settings, seeds=range(3), executor="serial", progress=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of the pictures, by default all: {', '.join(PICTURES)}")
    parser.add_argument("--out", type=Path, default=HERE / "plots", help="the folder (default: %(default)s)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.names or PICTURES:
        try:
            drawn = PICTURES[name]()
        except FileNotFoundError as error:
            print(f"no {name}: {error}")
            continue
        path = args.out / f"{name}.png"
        drawn.figure.set_dpi(80)
        plot.save(drawn, path)
        with Image.open(path) as image:
            image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)  # a third of it
        print(path)


if __name__ == "__main__":
    main()
