"""A recipe of the MNIST records in minidl and in PyTorch: ``python -m bench.mnist_records`` trains both and tests both.

Same network, initial weights, optimizer, schedule, batch size and epochs; seconds from the first batch to the last.
Every training has a process of its own, and they take turns. ``--out runs/mnist-records`` also writes pytorch.json,
which the page of the records then shows.
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

THREADS = 2
CONTESTANTS = {"minidl": THREADS, "PyTorch": THREADS, "PyTorch, one thread": 1}


def main() -> None:
    import machine  # noqa: F401 (before NumPy)

    from minidl.papers.mnist_records import RECORDS
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", choices=[name for name, record in RECORDS.items() if not augmented(record.recipe)],
                        default="quick")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTESTANTS}
    for seed in range(args.seeds):
        for name in CONTESTANTS:
            environment = os.environ | {"BENCH_THREADS": str(CONTESTANTS[name])}
            done = subprocess.run([sys.executable, __file__, name, args.record, str(seed)], check=True, text=True,
                                  stdout=subprocess.PIPE, env=environment)
            accuracy, seconds = json.loads(done.stdout.splitlines()[-1])
            results[name].append((accuracy, seconds))
            print(f"{name}, seed {seed}: {accuracy:.2f} % in {seconds:.2f} s", flush=True)
    rows = [{"name": name, "accuracy": statistics.fmean(accuracy for accuracy, _ in each),
             "seconds": statistics.fmean(seconds for _, seconds in each), "seeds": args.seeds,
             "threads": CONTESTANTS[name]} for name, each in results.items()]
    for row in rows:
        print(f"{row['name']:<20} {row['accuracy']:.2f} %  {row['seconds']:.2f} s  "
              f"{row['seconds'] / rows[0]['seconds']:.1f} times minidl's")
    if args.out is not None:
        told = {"record": args.record, "versions": versions(), "rows": rows}
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "pytorch.json").write_text(json.dumps(told, indent=1) + "\n")


def augmented(recipe) -> bool:
    """Whether the images are changed at random: PyTorch itself has nothing for that."""
    return recipe.augmented or recipe.shift > 0


def versions() -> dict[str, str]:
    import machine
    return {name: number for name, number in machine.versions().items() if name in ("minidl", "PyTorch")}


def train(name: str, record: str, seed: int) -> tuple[float, float]:
    """(accuracy in percent, seconds) of one training."""
    import machine  # before NumPy
    import numpy as np

    from minidl import data
    from minidl.papers.mnist_records import RECORDS, accuracy
    recipe, dataset = RECORDS[record].recipe, data.mnist()
    if name == "minidl":
        trained = recipe.train(dataset.train_images, dataset.train_labels, seed)
        digits = recipe.probabilities(trained.models, dataset.test_images).argmax(axis=1)
        return accuracy(digits, dataset.test_labels), trained.seconds
    import torch
    torch.set_num_threads(machine.COUNT)
    weights, batches = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(1)[0].spawn(2))
    model = twin(recipe.built(weights)[0])
    optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer](
        model.parameters(), lr=recipe.lr, betas=(0.9, recipe.beta2), weight_decay=recipe.weight_decay, fused=True)
    x = torch.from_numpy(recipe.inputs(dataset.train_images))
    y = torch.from_numpy(dataset.train_labels.astype(np.int64))
    steps = recipe.epochs * -(-len(x) // recipe.batch_size)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total_steps=steps + 1, pct_start=0.2, anneal_strategy="linear", cycle_momentum=False,
        div_factor=10, final_div_factor=100) if recipe.one_cycle else None
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    begin = time.perf_counter()
    for _ in range(recipe.epochs):
        for rows in torch.from_numpy(batches.permutation(len(x))).split(recipe.batch_size):
            loss = criterion(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
    seconds = time.perf_counter() - begin
    model.eval()
    with torch.inference_mode():
        digits = model(torch.from_numpy(recipe.inputs(dataset.test_images))).argmax(1).numpy()
    return accuracy(digits, dataset.test_labels), seconds


def twin(model):
    """torch.nn.Sequential of the same layers and initial weights."""
    import torch
    settings = {
        "Conv2d": ("in_channels", "out_channels", "kernel_size", "stride", "padding"),
        "BatchNorm2d": ("num_features",), "Linear": ("in_features", "out_features"), "MaxPool2d": ("kernel_size",),
        "AvgPool2d": ("kernel_size",), "AdaptiveAvgPool2d": ("output_size",), "ReLU": (), "Flatten": ()}
    layers = []
    for layer in model:
        kind = type(layer).__name__
        named = {"bias": layer.bias is not None} if kind == "Conv2d" else {}
        layers.append(getattr(torch.nn, kind)(*(getattr(layer, setting) for setting in settings[kind]), **named))
    found = torch.nn.Sequential(*layers)
    found.load_state_dict({name: torch.tensor(value) for name, value in model.state_dict().items()})
    return found


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in CONTESTANTS:
        print(json.dumps(train(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
    else:
        main()
