"""``minidl export``: the network of a run folder as a C file, or as an ONNX file."""
from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from .. import checkpoint, nn
from ..recipe import Recipe
from .common import USAGE, CommandError

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

    model, chosen = network_in(args.folder)
    out = args.out or Path("model.c" if args.c else "model.onnx")
    try:
        if args.c:
            from ..export.c_file import export_c

            export_c(model, out, name=args.name)
        else:
            from ..export.onnx_file import to_onnx

            to_onnx(model, out)
    except ExportError as error:
        raise CommandError(str(error), USAGE) from error
    except ModuleNotFoundError as error:
        raise CommandError(f"--onnx needs the package {error.name}: pip install 'minidl[onnx]'") from error
    told = {"out": str(out), "bytes": out.stat().st_size, "inputs": chosen.inputs, "outputs": chosen.outputs,
            "parameters": sum(parameter.numel() for parameter in model.parameters())}
    print(json.dumps(told) if args.json else
          f"{out}: {told['inputs']} inputs, {told['outputs']} outputs, {told['parameters']} parameters")
    return 0


def network_in(folder: Path) -> tuple[nn.Sequential, Recipe]:
    """The trained network, and how it was built; CommandError for a folder without one."""
    from ..tables.folder import recipe_in

    try:
        chosen = recipe_in(folder / "result.json")
        weights = checkpoint.load(folder / "weights.npz")
        count = sum((width + 1) * units for width, units in pairwise((chosen.inputs, *chosen.hidden, chosen.outputs)))
        if sum(array.size for array in weights.values()) != count:  # before memory is taken for so many
            raise ValueError(f"expected {count} weights")
        model = chosen.network(np.random.default_rng(0))
        model.load_state_dict(weights)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{folder}: expected the run folder of minidl train: {error}") from error
    return model, chosen
