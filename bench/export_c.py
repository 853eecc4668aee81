"""Sizes and times of models as C files: ``python -m bench.export_c``; needs gcc, and valgrind for the instructions.

Each file is compiled for this processor, checked for the bits of predict, and timed beside predict for one sample; the
least of many.
"""
from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import numpy as np  # noqa: E402

import minidl  # noqa: E402
from minidl import nn  # noqa: E402

TURNS, CALLS = 15, 200
HARNESS = """
#include <time.h>
double least(const float *x, float *y, int turns, int calls) {
  double best = 1e9;
  for (int turn = 0; turn < turns; turn++) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < calls; i++) predict(x, y);
    clock_gettime(CLOCK_MONOTONIC, &b);
    const double s = ((b.tv_sec - a.tv_sec) + 1e-9 * (b.tv_nsec - a.tv_nsec)) / calls;
    if (s < best) best = s;
  }
  return best;
}
"""
MAIN = "\nstatic float x[{x}], y[{y}];\nint main(void) {{ for (int i = 0; i < {n}; i++) predict(x, y); return 0; }}\n"


class Last(nn.Module):
    """A GRU's outputs at the last step, and a head."""

    def __init__(self):
        self.gru, self.head = nn.GRU(6, 16, batch_first=True), nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.gru(x)[0][:, -1])


def models() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    minidl.manual_seed(0)
    return {
        "perceptron 2-25-25-25-2, tanh": (nn.Sequential(
            nn.Linear(2, 25), nn.Tanh(), nn.Linear(25, 25), nn.Tanh(), nn.Linear(25, 25), nn.Tanh(),
            nn.Linear(25, 2)), (1, 2)),
        "MNIST 784-32-10, ReLU": (nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10)), (1, 784)),
        "LeNet-5, 28 x 28": (nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
            nn.Linear(84, 10)), (1, 1, 28, 28)),
        "GRU, 6 inputs, 16 units, 20 steps": (Last(), (1, 20, 6)),
    }


def gcc(folder: Path, *words: str) -> None:
    subprocess.run(["gcc", "-std=gnu99", "-ffp-contract=off", *words], cwd=folder, check=True)


def measured(model: nn.Module, shape: tuple[int, ...], folder: Path) -> dict[str, float]:
    """Bytes of code, constants and memory; microseconds in C and of predict; instructions of one call."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    minidl.export_c(model.eval(), folder / "model.c", x)
    text = (folder / "model.c").read_text()
    wanted = np.asarray(model.predict(x))
    (folder / "timed.c").write_text(text + HARNESS)
    gcc(folder, "-O3", "-march=native", "-shared", "-fPIC", "-o", "timed.so", "timed.c", "-lm")
    library, y = ctypes.CDLL(str(folder / "timed.so")), np.empty_like(wanted)
    library.least.restype = ctypes.c_double
    seconds = library.least(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), TURNS, CALLS)
    assert y.tobytes() == wanted.tobytes()
    ours = 1.0
    for _ in range(TURNS):
        begin = time.perf_counter()
        for _ in range(CALLS):
            model.predict(x)
        ours = min(ours, (time.perf_counter() - begin) / CALLS)
    gcc(folder, "-Os", "-c", "-ffunction-sections", "-fdata-sections", "-o", "small.o", "model.c")
    told = subprocess.run(["size", "-A", "small.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
    parts = [line.split() for line in told.splitlines() if line.startswith(".")]
    found = {"code": sum(int(size) for name, size, _ in parts if name.startswith(".text")),
             "constants": sum(int(size) for name, size, _ in parts if name.startswith(".rodata")),
             "memory": sum(int(size) for name, size, _ in parts if name.startswith(".bss")),
             "C": 1e6 * seconds, "predict": 1e6 * ours}
    if shutil.which("valgrind"):
        counts = [_instructions(folder, text, x.size, y.size, n) for n in (1, 11)]
        found["instructions"] = (counts[1] - counts[0]) / 10
    return found


def _instructions(folder: Path, text: str, inputs: int, outputs: int, calls: int) -> int:
    (folder / "counted.c").write_text(text + MAIN.format(x=inputs, y=outputs, n=calls))
    gcc(folder, "-O2", "-mfma", "-mavx2", "-o", "counted", "counted.c", "-lm")
    told = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "./counted"], cwd=folder,
                          capture_output=True, text=True, check=True).stderr
    return int(told.split("Collected :")[1].split()[0])


def main() -> None:
    print("| model | parameters | code, bytes | constants | memory | µs in C | µs of predict | instructions |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, (model, shape) in models().items():
        with tempfile.TemporaryDirectory() as folder:
            found = measured(model, shape, Path(folder))
        count = sum(parameter.numel() for parameter in model.parameters())
        print(f"| {name} | {count:,} | {found['code']:,} | {found['constants']:,} | {found['memory']:,} | "
              f"{found['C']:.2f} | {found['predict']:.2f} | {found.get('instructions', 0):,.0f} |")


if __name__ == "__main__":
    main()
