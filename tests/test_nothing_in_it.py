"""Arrays of very many rows with nothing in them, and of none that would be very long: over at once."""
import itertools
import subprocess
import sys

import fuzz_kernels
import pytest

from minidl import kernels

TARGET = kernels.targets()[-1]
FUNCTIONS = {kernel.name: kernel for kernel in fuzz_kernels.functions(kernels.load(TARGET, "f4"))}
MANY = 1 << 41
CALLS = """
import sys, numpy as np
from minidl import kernels
function = getattr(kernels.load(*sys.argv[1:3]), sys.argv[3])
def empty(*shape, dtype="f4"):
    return np.zeros(shape, dtype) if 0 in shape else np.broadcast_to(np.zeros((), dtype), shape)
for arguments in eval(sys.argv[4]):
    try:
        function(*arguments)
    except (ValueError, TypeError, MemoryError) as error:
        print(type(error).__name__)
    else:
        print("done")
"""


def arguments(kernel):
    """What it takes, each array as an expression, for sizes that are 0 or MANY."""
    for sizes in itertools.product((0, MANY), repeat=3):
        at = dict(zip("MNK", sizes, strict=True))
        shapes, made = iter(kernel.shapes), []
        for kind, _ in kernel.arguments:
            if kind == "number":
                made.append("0.5")
            else:
                shape = ", ".join(str(at.get(letter, letter)) for letter in next(shapes))
                made.append(f"empty({shape}, dtype={'i8' if kind == 'labels' else 'f4'!r})")
        if all(f"({MANY}, {MANY}" not in one for one in made) and 0 in sizes:
            yield f"({', '.join(made)},)"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_kernel_ends_at_once(name):
    calls = list(arguments(FUNCTIONS[name]))
    assert calls, "of a function of the kernels"
    command = [sys.executable, "-c", CALLS, TARGET, "f4", name, f"[{', '.join(calls)}]"]
    done = subprocess.run(command, timeout=20, capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == len(calls)
