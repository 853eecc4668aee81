"""The regression guard: ``python -m bench.guard`` fails where minidl fell behind.

A ratio is measured within one run, since times drift: a kernel's or a step's time against that of its NumPy
counterpart, a product's speed against the peak of multiply-adds, the captured step against the plain one and
its arithmetic alone. More is better. What a ratio may be depends on the kind of processor: ``ratios/`` has a
file for each that was measured, and ``verdicts.py`` what holds everywhere. ``--write`` writes the file of the
processor at hand.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import epochs  # noqa: E402
import floor  # noqa: E402
import machine  # noqa: E402
import numpy as np  # noqa: E402
from contestants import checked, installed  # noqa: E402
from networks import MinidlHalfFrozen  # noqa: E402
from test_bench_kernels import KERNELS, arguments  # noqa: E402
from test_bench_products import SHAPES, operands, product  # noqa: E402
from turns import best_of_turns  # noqa: E402
from verdicts import here, judged  # noqa: E402

from minidl import kernels, reference  # noqa: E402

TARGETS = [target for target in kernels.targets() if target != "generic"] or ["generic"]
STEPS = [("S", 4), ("S", 16), ("S", 100), ("S", 128), ("M", 128), ("M3", 128)]
BATCH = 128
TURNS = 7
PAUSE = 10        # seconds before what fell is measured again


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


def frozen_to_trained(network: str, size: int) -> float:
    """Time of the captured step that trains all layers over that of the one whose first layers are frozen."""
    steps = [checked("minidl captured", network, size).step, MinidlHalfFrozen(network, size).step]
    trained, frozen = best_of_turns(steps, TURNS)
    return trained / frozen


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
        found[f"{kernels.isa()}: minidl captured, step of {network}, batch {size}, to minidl"] = partial(
            step_to, "minidl", "minidl captured", network, size)
        found[f"{kernels.isa()}: minidl captured, step of {network} half frozen, batch {size}, to all trained"] = (
            partial(frozen_to_trained, network, size))
        if network == "S" and with_floor:
            found[f"{kernels.isa()}: minidl captured, step of S, batch {size}, to its arithmetic alone"] = partial(
                step_to, "compute alone", "minidl captured", network, size)
    for size in epochs.SIZES:
        found[f"{kernels.isa()}: fit of S, batch {size}, to its arithmetic alone"] = partial(
            epochs.arithmetic_in_fit, size, TURNS)
    return found


def ratios_file(kind: str) -> Path:
    return Path(__file__).parent / "ratios" / f"{kind}.json"


def unrest() -> float:
    """By how much a loop that never changes is slower in the median than at its best: what neighbours cost."""
    block = np.ones(4096, np.float32)
    times = []
    for _ in range(200):
        begin = time.perf_counter()
        for _ in range(50):
            np.multiply(block, 1, out=block)
        times.append(time.perf_counter() - begin)
    return float(np.median(times) / min(times) - 1)


def told(fallen: int) -> None:
    """Before a further round."""
    print(f"{fallen} ratios are too low; they are measured again in {PAUSE} s (unrest {unrest():.0%})", flush=True)
    time.sleep(PAUSE)


def check() -> int:
    """Print the kind of processor, what was seen and what fell; 1 if anything did."""
    kind = here()
    file = ratios_file(kind)
    known = file.exists()
    print(f"processor: {kind}, {machine.processor.name()}; target {kernels.isa()}")
    print(f"ratios of this kind are committed in {file.name}" if known else
          f"no ratios of this kind are committed ({file.name}): only what holds everywhere is checked")
    committed = json.loads(file.read_text(encoding="utf-8"))["ratios"] if known else {}
    print(f"unrest of the machine: {unrest():.0%}", flush=True)
    verdicts = judged(measures(), committed, told)
    fallen = [verdict for verdict in verdicts if verdict.fell]
    repeated = [verdict for verdict in verdicts if len(verdict.seen) > 1 and not verdict.fell]
    if not known:
        print("measured:", *(f"  {verdict.line()}" for verdict in verdicts), sep="\n")
    for title, those in (("too low at first, then not", repeated), ("fallen", fallen)):
        if those:
            print(f"{title}:", *(f"  {verdict.line()}" for verdict in those), sep="\n")
    gone = committed.keys() - {verdict.name for verdict in verdicts}
    if gone:
        print(f"committed, not measurable here: {len(gone)} ratios, {min(gone)!r} among them")
    print(f"{sum(verdict.least is not None for verdict in verdicts)} ratios checked, {len(fallen)} fell; "
          f"unrest at the end {unrest():.0%}")
    return 1 if fallen else 0


def write(path: Path | None = None) -> None:
    """Write the ratios of this processor; each is the median of three, so that luck is not committed."""
    file = path or ratios_file(here())
    found = measures()
    seen: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(3):
        for name, measure in found.items():
            seen[name].append(measure())
    text = json.dumps({"machine": f"{machine.processor.name()}; {machine.line()}",
                       "ratios": {name: float(f"{np.median(ratios):.3g}") for name, ratios in seen.items()}}, indent=1)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, file)
    print(f"{len(found)} ratios written to {file}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the ratios of this kind of processor")
    parser.add_argument("--file", type=Path, help="where --write writes to, instead of bench/ratios/")
    options = parser.parse_args()
    if options.write:
        write(options.file)
        return 0
    return check()


if __name__ == "__main__":
    sys.exit(main())
