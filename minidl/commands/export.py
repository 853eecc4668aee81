"""``minidl export``: the network of a run folder as a C file, or as an ONNX file."""
from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from .. import checkpoint, nn
from ..papers.mnist_networks import NETWORKS
from ..papers.mnist_recipe import ImageRecipe
from ..recipe import Recipe
from .common import USAGE, CommandError

SIDE = 28  # of MNIST's images
HELP = "write a trained network as C or ONNX"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="?", default=Path("runs/train"), metavar="RUN",
                        help="run folder that minidl train wrote (default: %(default)s)")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--c", action="store_true", help="one C99 file, whose results have the bits of minidl's")
    form.add_argument("--onnx", action="store_true", help="an ONNX file; needs pip install 'minidl[onnx]'")
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write (default: model.c or model.onnx)")
    parser.add_argument("--name", default="predict", metavar="NAME",
                        help="of the C function (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print what was written as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Read the network, write the file."""
    from ..export.recording import ExportError

    model, example = network_in(args.folder)
    out = args.out or Path("model.c" if args.c else "model.onnx")
    try:
        if args.c:
            from ..export.c_file import export_c

            export_c(model, out, example, name=args.name)
        else:
            from ..export.onnx_file import to_onnx

            to_onnx(model, out, example)
    except ExportError as error:
        raise CommandError(str(error), USAGE) from error
    except ModuleNotFoundError as error:
        raise CommandError(f"--onnx needs the package {error.name}: pip install 'minidl[onnx]'") from error
    outputs = model.predict(example).size
    told = {"out": str(out), "bytes": out.stat().st_size, "inputs": example.size, "outputs": outputs,
            "parameters": sum(parameter.numel() for parameter in model.parameters())}
    print(json.dumps(told) if args.json else
          f"{out}: {told['inputs']} inputs, {told['outputs']} outputs, {told['parameters']} parameters")
    return 0


def network_in(folder: Path) -> tuple[nn.Sequential, np.ndarray]:
    """The trained network and an input of zeros; CommandError for a folder without one."""
    from ..tables.folder import recipe_in

    path = folder / "result.json"
    inputs: tuple[int, ...]
    try:
        name = _images_by(path)
        if name is not None:
            recipe = ImageRecipe(**json.loads(path.read_text(encoding="utf-8"))["recipe"])
            side = SIDE - 2 * recipe.cut
            model, inputs = NETWORKS[name](np.random.default_rng(0)), (1, side, side)
            model.load_state_dict(checkpoint.load(folder / "weights.npz"))
        else:
            chosen = recipe_in(path)
            inputs = chosen.inputs,
            model = _perceptron(chosen, checkpoint.load(folder / "weights.npz"))
        example = np.zeros((1, *inputs), np.float32)
        model.predict(example)  # an error if they do not fit each other
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{folder}: expected the run folder of minidl train: {error}") from error
    return model, example


def _images_by(path: Path) -> str | None:
    """The network of ``minidl train --network``, by its name; None for another run."""
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["recipe"]["network"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return name if isinstance(name, str) and name in NETWORKS else None


def _perceptron(chosen: Recipe, weights: dict[str, np.ndarray]) -> nn.Sequential:
    count = sum((width + 1) * units for width, units in pairwise((chosen.inputs, *chosen.hidden, chosen.outputs)))
    if sum(array.size for array in weights.values()) != count:  # before memory is taken for so many
        raise ValueError(f"expected {count} weights")
    model = chosen.network(np.random.default_rng(0))
    model.load_state_dict(weights)
    return model
