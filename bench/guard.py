"""The regression guard: ``python -m bench.guard`` fails where minidl fell behind what ratios.json says of it.

A ratio is measured within one run, since times drift: a kernel's or a step's time against that of its
NumPy counterpart, a product's speed against the peak of multiply-adds, the captured step against its
arithmetic alone. More is better. ``--write`` commits the ratios of this machine.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import floor  # noqa: E402
import machine  # noqa: E402
import numpy as np  # noqa: E402
from contestants import checked, installed  # noqa: E402
from test_bench_kernels import KERNELS, arguments  # noqa: E402
from test_bench_products import SHAPES, operands, product  # noqa: E402
from turns import best_of_turns  # noqa: E402

from minidl import kernels, reference  # noqa: E402

RATIOS = Path(__file__).parent / "ratios.json"
TARGETS = [target for target in kernels.targets() if target != "generic"] or ["generic"]
STEPS = [("S", 4), ("S", 16), ("S", 100), ("S", 128), ("M", 128), ("M3", 128)]
BATCH = 128
TURNS = 7
ALLOWED = 2 / 3   # of the committed ratio
ATTEMPTS = 3      # before a ratio counts as fallen


def kernel_to_twin(target: str, name: str) -> float:
    """Time of the twin over time of the kernel."""
    kernel = KERNELS[name]
    arrays = arguments(kernel, BATCH, transposed=True)
    modules = (kernels.load(target, np.float32), reference)
    ours, twin = best_of_turns(
        [partial(getattr(module, name), *arrays, *kernel.settings) for module in modules], TURNS, turn=0.003)
    return twin / ours


def product_to_peak(target: str, form: str, shape: tuple[int, int, int]) -> float:
    """Speed of the product over that of multiply-adds in registers."""
    n, i, o = shape
    chains = partial(floor.load(target).fma_chains, 20_000)
    ours, peak = best_of_turns([product(target, form, *operands(form, n, i, o)), chains], TURNS)
    return (2 * n * i * o / ours) / (chains() / peak)


def step_to(other: str, name: str, network: str, size: int) -> float:
    """Time of the other's step over time of minidl's."""
    ours, theirs = best_of_turns([checked(rival, network, size).step for rival in (name, other)], TURNS)
    return theirs / ours


def measures() -> dict[str, Callable[[], float]]:
    """Each ratio's name, and what measures it. A name begins with the target that it belongs to."""
    found: dict[str, Callable[[], float]] = {}
    with_floor = bool(installed("compute alone"))
    for target in TARGETS:
        for name in KERNELS:
            found[f"{target}: {name}, batch {BATCH}, to its twin"] = partial(kernel_to_twin, target, name)
        for shape in SHAPES if with_floor else ():
            for form in ("y", "dx", "dW"):
                case = "x".join(map(str, shape))
                found[f"{target}: product {form}, {case}, to the peak"] = partial(
                    product_to_peak, target, form, shape)
    for network, size in STEPS:
        for name in ("minidl captured", "minidl"):
            found[f"{kernels.isa()}: {name}, step of {network}, batch {size}, to NumPy by hand"] = partial(
                step_to, "NumPy by hand", name, network, size)
        if network == "S" and with_floor:
            found[f"{kernels.isa()}: minidl captured, step of S, batch {size}, to its arithmetic alone"] = partial(
                step_to, "compute alone", "minidl captured", network, size)
    return found


def fallen(measure: Callable[[], float], committed: float) -> float | None:
    """The best of the attempts where all of them fell, else None."""
    best = 0.0
    for _ in range(ATTEMPTS):
        best = max(best, measure())
        if best >= ALLOWED * committed:
            return None
    return best


def check() -> int:
    """Print a line for each ratio that fell; 1 if there is one."""
    committed, found = json.loads(RATIOS.read_text(encoding="utf-8"))["ratios"], measures()
    lines = []
    for name in committed.keys() & found.keys():
        ratio = fallen(found[name], committed[name])
        if ratio is not None:
            lines.append(f"{name}: {ratio:.3g}, committed {committed[name]:.3g}")
    for text, names in (("not committed, not checked", found.keys() - committed.keys()),
                        ("committed, not measurable here", committed.keys() - found.keys())):
        if names:
            print(f"{text}: {len(names)} ratios, {min(names)!r} among them")
    print(*sorted(lines), sep="\n", end="\n" if lines else "")
    print(f"{len(committed.keys() & found.keys())} ratios checked, {len(lines)} fell by more than a third")
    return 1 if lines else 0


def write() -> None:
    """Replace ratios.json; each ratio is the median of its attempts, so that luck is not committed."""
    ratios = {name: float(np.median([measure() for _ in range(ATTEMPTS)])) for name, measure in measures().items()}
    text = json.dumps({"machine": machine.line(), "ratios": {name: float(f"{ratio:.3g}")
                                                            for name, ratio in ratios.items()}}, indent=1)
    temporary = RATIOS.with_suffix(".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, RATIOS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed ratios by those of this machine")
    if parser.parse_args().write:
        write()
        return 0
    return check()


if __name__ == "__main__":
    sys.exit(main())
