"""Arrays of very many rows with nothing in them, and of none that would be very long: over at once."""
import itertools
import re
import subprocess
import sys

import pytest

from minidl import kernels

MODULE = kernels.load(kernels.targets()[-1], "f4")
MANY = 1 << 41
PRODUCTS = {
    "matmul": "MK KN MN", "linear": "MK NK N MN", "linear_input_gradient": "MK KN MN",
    "linear_weight_gradient": "KN KM MN", "linear_gradients": "KN KM MN M", "column_sum": "KN N",
}
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


def arguments(name):
    """What its docstring says that it takes, each array as an expression, for sizes that are 0 or MANY."""
    head = re.match(rf"{name}\((.*)\)", getattr(MODULE, name).__doc__)[1]
    kinds = re.findall(r"(\w+)(\[[^]]*\])? \w+(?: not None)?(?:=\w+)?(?:, |$)", head)
    for sizes in itertools.product((0, MANY), repeat=3):
        at = dict(zip("MNK", sizes, strict=True))
        letters, made = iter(PRODUCTS.get(name, "").split()), []
        for kind, axes in kinds:
            shape = [str(at[letter]) for letter in next(letters, "MN" if "," in axes else "M") if axes]
            dtype = ", dtype='i8'" if kind == "int64_t" else ""
            made.append(f"empty({', '.join(shape)}{dtype})" if axes else "0.5")
        if all(f"({MANY}, {MANY})" not in one for one in made) and 0 in sizes:
            yield f"({', '.join(made)},)"


FUNCTIONS = [name for name, value in vars(MODULE).items() if name[0] != "_" and name != "set_num_threads" and callable(
    value) and not isinstance(value, type) and getattr(value, "__module__", "") == MODULE.__name__]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_kernel_ends_at_once(name):
    calls = list(arguments(name))
    assert calls, "of a function of the kernels"
    command = [sys.executable, "-c", CALLS, kernels.targets()[-1], "f4", name, f"[{', '.join(calls)}]"]
    done = subprocess.run(command, timeout=20, capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == len(calls)
