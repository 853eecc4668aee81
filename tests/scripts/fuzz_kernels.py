"""Calls of the kernels, with arrays that fit and arrays that do not: a result like the twin's, or an exception.

Found by enumeration: every operation of a target's kernels, its arguments as its own signature has them.
"""
from __future__ import annotations

import contextlib
import random
import re

import fuzz_arrays
import numpy as np
from fuzz_arrays import ALIGNED, DTYPES, HUGE, LAYOUTS, SIZES, Odd, anything, array, overlapping, refuse, repeated

from minidl import kernels, reference

REFUSALS = (TypeError, ValueError, IndexError, OverflowError, BufferError, MemoryError)
# The shapes of the arrays, in letters and numbers. All others: (M, N) for a matrix, (M,) for a vector.
SHAPES = {
    "matmul": "MK KN MN", "linear": "MK NK N MN", "linear_input_gradient": "MK KN MN",
    "linear_weight_gradient": "KN KM MN", "linear_gradients": "KN KM MN M", "column_sum": "KN N",
    "affine_sample": "MN M6 MN",
}
SUMS = {"row_sum"}
IMAGES = {"affine_sample"}  # whose first two settings are the height and the width of rows of pixels
EXACT = set(SHAPES) - IMAGES | SUMS | {"total", "gather_labels_total"}  # of quarters, whatever the order of the sums
OTHER_TYPES = {"uint8_t": "u1", "double": "f8", "int64_t": "i8"}
UPDATES = {"sgd", "adam", "adadelta"}  # which divide by roots of what they are given
# Layer: below. Chain and GroupStep: test_chain_kernels.py. The others are what a captured step is made of.
OWN = {"rnn", "lstm", "gru", "bmm", "take_rows", "add_rows",  # their shapes hang together: test_sequence_kernels.py
       "layer_norm", "batch_norm"}
CLASSES = {"Layer", "Program", "Update", "Chain", "GroupStep"}


class Finding(Exception):
    """What should not have happened; its key says which kind it is."""

    def __init__(self, key: str, text: str):
        super().__init__(text)
        self.key = key


class Kernel:
    """A function of the kernels and its arguments: (kind, const) each.

    The kinds are "vector", "flat" (a vector of stride one), "labels", "matrix" and "number".
    """

    def __init__(self, name: str, function):
        self.name, self.function = name, function
        head = re.match(rf"{name}\((.*)\)", function.__doc__ or "")
        if not head:
            raise Finding(f"signature {name}", f"{name}: expected a docstring that begins with the signature")
        self.arguments = []
        self.types: dict[int, str] = {}  # of matrices that are not of the element type
        for const, kind, axes in re.findall(r"(const )?(\w+)(\[[^]]*\])? \w+(?: not None)?(?:=\w+)?(?:, |$)", head[1]):
            name_of_kind = "matrix" if "," in axes else "flat" if "::1" in axes else "vector" if axes else "number"
            if kind in OTHER_TYPES and name_of_kind == "matrix":
                self.types[len(self.arguments)] = OTHER_TYPES[kind]
            is_labels = kind == "int64_t" and name_of_kind != "matrix"
            self.arguments.append(("labels" if is_labels else name_of_kind, bool(const)))
        letters = SHAPES.get(name, "").split()
        self.shapes = []
        for kind, _ in self.arguments:
            if kind != "number":
                self.shapes.append(letters.pop(0) if letters else "MN" if kind == "matrix" else "M")


def functions(module) -> list[Kernel]:
    """Every operation of the kernels, but those of test_window_kernels.py. Finding for what nobody fuzzes."""
    for name, value in vars(module).items():
        if callable(value) and name not in CLASSES and name not in module.OPERATIONS:
            raise Finding(f"callable {name}", f"kernels has a {name}: fuzz it, too")
    found = {name: getattr(module, name) for name in module.OPERATIONS if name.removesuffix("_backward") not in OWN}
    return [Kernel(name, function) for name, function in found.items()
            if name != "turned" and "tuple geometry" not in function.__doc__]


MODULES = {}


def _module(rng: random.Random):
    """Any target and element type, its functions."""
    target, dtype = rng.choice(kernels.targets()), rng.choice(("f4", "f8"))
    if (target, dtype) not in MODULES:
        module = kernels.load(target, dtype)
        MODULES[target, dtype] = module, functions(module)
    return dtype, *MODULES[target, dtype]


def case(rng: random.Random) -> int:
    """One case; how many calls it was. Raises Finding."""
    dtype, module, kernels_ = _module(rng)
    if rng.random() < 0.15 and hasattr(module, "Layer"):
        return _layer(rng, module, dtype)
    kernel = rng.choice(kernels_)
    sizes = {letter: rng.choice(SIZES) for letter in "MNK"}
    if rng.random() < 0.5:
        fitting(rng, kernel, sizes, dtype)
    else:
        _other(rng, kernel, sizes, dtype)
    return 1


def _shape(letters: str, sizes: dict[str, int]) -> tuple[int, ...]:
    return tuple([int(letter) if letter.isdigit() else sizes[letter] for letter in letters])


def _describe(kernel: Kernel, arguments: list) -> str:
    def one(a):
        if isinstance(a, np.ndarray):
            return f"{a.dtype}{list(a.shape)} strides {a.strides} at +{a.ctypes.data % 64}"
        return repr(a)
    return f"{kernel.name}({', '.join(map(one, arguments))})"


def _arguments(rng, kernel, sizes, dtype, special: bool, inputs=ALIGNED) -> list:
    """Such that the call is right."""
    shapes, made = iter(kernel.shapes), []
    if kernel.name in IMAGES:
        height = rng.choice([n for n in range(sizes["N"] + 1) if n * (sizes["N"] // max(n, 1)) == sizes["N"]])
        image = iter((height, sizes["N"] // max(height, 1)))
    for number, (kind, const) in enumerate(kernel.arguments):
        own = kernel.types.get(number, dtype)
        if kind == "number" and kernel.name in IMAGES and number < len(kernel.shapes) + 2:
            made.append(next(image))
        elif kind == "number":
            made.append(rng.choice((0.0, 0.25, 0.5, 2) if kernel.name in UPDATES else (0.0, 0.01, 0.5, 1.3, -0.7, 2)))
        if kind == "number":
            continue
        shape = _shape(next(shapes), sizes)
        if kind == "labels":
            a = np.array([rng.randrange(max(sizes["N"], 1)) for _ in range(shape[0])], np.int64)
            made.append(rng.choice(inputs)(rng, a))
        elif own in ("u1", "i8"):
            whole = np.array([rng.randrange(2) for _ in range(int(np.prod(shape)))], own).reshape(shape)
            made.append(rng.choice(inputs)(rng, whole) if const else fuzz_arrays.behind_an_element(rng, whole))
        elif const and kind != "flat" and rng.random() < 0.15:
            made.append(repeated(rng, shape, own))
        elif const and kind != "flat":
            made.append(rng.choice(inputs)(rng, array(rng, shape, own, special)))
        else:
            made.append(fuzz_arrays.behind_an_element(rng, array(rng, shape, own, special and const)))
    return made


def fitting(rng, kernel: Kernel, sizes, dtype) -> None:
    """A call that must give the twin's result."""
    special = rng.random() < 0.2
    if any(kind == "labels" for kind, _ in kernel.arguments) and not sizes["N"]:
        sizes["N"] = 1
    arguments = _arguments(rng, kernel, sizes, dtype, special)
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    what = _describe(kernel, arguments)
    try:
        number = kernel.function(*arguments)
    except Exception as error:
        raise Finding(f"{kernel.name} refuses", f"{what}: a call that fits raises {error!r}") from None
    _compare(kernel, before, arguments, number, dtype, special, what)


def _compare(kernel, before, after, number, dtype, special, what) -> None:
    """That the outputs and the number are the twin's, and the inputs as before."""
    with np.errstate(all="ignore"):
        wide = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == dtype else a for a in before]
        sizes = [n for a in before if isinstance(a, np.ndarray) for n in a.shape]
        expected = getattr(reference, kernel.name)(*wide)
    eps = np.finfo(dtype).eps
    pairs = [(number, expected)] if expected is not None else []
    for (kind, const), old, new, want in zip(kernel.arguments, before, after, wide, strict=True):
        if kind == "number" or old is None:
            continue
        if const:
            if old.tobytes() != new.tobytes():
                raise Finding(f"{kernel.name} input", f"{what}: changed an input")
        else:
            pairs.append((new, want))
    for got, want in pairs:
        with np.errstate(all="ignore"):
            want = np.asarray(want).astype(dtype).astype(np.float64)
            if special and (kernel.name in {*SHAPES, *SUMS, *UPDATES} or "soft" in kernel.name or np.ndim(want) == 0):
                continue  # infinities meet in another order, and what is small vanishes sooner
            largest = max([1.0, *(float(np.nanmax(abs(a), initial=0, where=np.isfinite(a)))
                                  for a in wide if isinstance(a, np.ndarray) and a.dtype == np.float64)])
            bound = 0 if kernel.name in EXACT else 8 * eps * (16 + max(sizes)) * (1 + abs(want) + min(largest, 16) ** 2)
            right = (abs(np.asarray(got, np.float64) - want) <= bound) | (got == want) | np.isnan(got) & np.isnan(want)
            if special:  # the smallest of all numbers, and overflow, are another matter in float64
                right |= ~np.isfinite(want) | ~np.isfinite(got) | (abs(want) > 1e30)
        if not np.all(right):
            raise Finding(f"{kernel.name} wrong", f"{what}: got {got}, expected {want}")


def _other(rng, kernel: Kernel, sizes, dtype) -> None:
    """A call of which something does not fit, or lies in a way that may be refused."""
    arguments = _arguments(rng, kernel, sizes, dtype, False, LAYOUTS)
    shapes = iter(kernel.shapes)
    wanted = [_shape(next(shapes), sizes) if kind != "number" else None for kind, _ in kernel.arguments]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        i = rng.randrange(len(arguments))
        arguments[i] = _altered(rng, kernel.arguments[i], wanted[i], arguments, dtype)
    if rng.random() < 0.03:
        arguments = arguments[:-1] if rng.random() < 0.5 else [*arguments, None]
    if _takes_long(kernel, arguments):
        return
    arrays = [a for a in arguments if isinstance(a, np.ndarray) and a.size < 1 << 20]
    before = [a.tobytes() for a in arrays]
    try:
        kernel.function(*arguments)
    except REFUSALS:
        if [a.tobytes() for a in arrays] != before:
            raise Finding(f"{kernel.name} half", f"{_describe(kernel, arguments)}: raises and has written") from None
    except Exception as error:
        raise Finding(f"{kernel.name} raises", f"{_describe(kernel, arguments)}: raises {error!r}") from None
    else:
        for (_, const), a in zip(kernel.arguments, arguments, strict=False):
            shared = sum(np.may_share_memory(a, b) for b in arrays) > 1 if isinstance(a, np.ndarray) else True
            if const and not shared and a.size < 1 << 20:
                now = a.tobytes()
                if not any(a is b and now == old for b, old in zip(arrays, before, strict=True)):
                    raise Finding(f"{kernel.name} input", f"{_describe(kernel, arguments)}: changed an input")


def _altered(rng, argument, shape, arguments, dtype):
    kind, const = argument
    if kind == "number":
        return rng.choice((np.nan, np.inf, -1e300, 1 << 80, None, "1", Odd(0.5, refuse), Odd(0.5, gc_now), [1], 1j))
    choice = rng.randrange(9)
    if choice == 0:
        return anything(rng, dtype)
    if choice == 1:  # another size
        shape = tuple(max(n + rng.choice((-1, 0, 1, 8)), 0) for n in shape)
    elif choice == 2:  # so large that no memory has it; some with nothing in it
        shape = tuple(rng.choice((rng.choice(HUGE), 0, n)) for n in shape)
        try:
            return np.broadcast_to(np.zeros((), np.int64 if kind == "labels" else dtype), shape)
        except ValueError:
            return None
    elif choice == 3:
        dtype = rng.choice(DTYPES)
        return np.zeros(shape, dtype)
    elif choice == 4 and kind != "labels":
        return repeated(rng, shape, dtype) if const else overlapping(rng, shape, dtype)
    elif choice == 5:  # the same array twice, or a part of it
        others = [a for a in arguments if isinstance(a, np.ndarray) and a.ndim == len(shape)]
        return rng.choice(others) if others else None
    elif choice == 6:
        return None
    if kind == "labels":
        wrong = (-1, 0, 1, 1 << 31, (1 << 63) - 1, -(1 << 63), shape[0])
        return rng.choice(LAYOUTS)(rng, np.array([rng.choice(wrong) for _ in range(min(shape[0], 200))], np.int64))
    return rng.choice(LAYOUTS)(rng, array(rng, tuple(min(n, 200) for n in shape), dtype, rng.random() < 0.3))


def _takes_long(kernel, arguments) -> bool:
    """Arrays of strides of zero are cheap to make and dear to walk. Those that no output could hold are refused."""
    sizes = [a.size for a in arguments if isinstance(a, np.ndarray)]
    large = sum(size > 1 << 22 for size in sizes)
    if large and all(const for kind, const in kernel.arguments if kind != "number"):  # a number is all that it gives
        return True
    if kernel.name in EXACT and large >= (1 if kernel.name in ("total", "column_sum") else 2):  # small outputs
        return True
    return 1 << 22 < max(sizes, default=0) < 1 << 42


def gc_now():
    import gc
    gc.collect(0)


# A layer, which holds its arrays

def _layer(rng, module, dtype) -> int:
    """A Layer, made of arrays that may not fit, and calls of it; between them its arrays become others."""
    m, i, o = (rng.choice(SIZES[:10]) for _ in range(3))
    layouts = LAYOUTS if rng.random() < 0.5 else ALIGNED

    def any_array(*shape):
        if rng.random() < 0.05:
            return anything(rng, dtype)
        if rng.random() < 0.1:
            shape = tuple(max(n + rng.choice((-1, 1)), 0) for n in shape)
        return rng.choice(layouts)(rng, array(rng, shape, dtype))

    weight, bias, dweight, dbias = any_array(o, i), any_array(o), any_array(o, i), any_array(o)
    if rng.random() < 0.3:
        bias = dbias = None
    try:
        layer = module.Layer(weight, bias, dweight, dbias)
    except REFUSALS:
        return 1
    calls = 1
    for _ in range(rng.randint(1, 4)):
        x, dy = any_array(m, i), any_array(m, o)
        if rng.random() < 0.1:
            for a in (weight, dweight, bias, dbias, x):
                if rng.random() < 0.4 and isinstance(a, np.ndarray) and a.base is None and type(a) is np.ndarray:
                    with_size = rng.choice((0, 1, a.size + 9))
                    with contextlib.suppress(ValueError):  # it is held
                        a.resize(with_size, refcheck=False)
        calls += 1
        given = [a.copy() if isinstance(a, np.ndarray) else a for a in (weight, bias, dweight, dbias, x, dy)]
        what = f"Layer of {[getattr(a, 'strides', a) for a in (weight, bias, dweight, dbias)]}, shapes {(m, i, o)}"
        try:
            if rng.random() < 0.5:
                got = layer.forward(x, weight, bias)
                if got is None:
                    continue
                want = np.zeros((len(x), len(given[0])), dtype)
                reference.linear(given[4], given[0], given[1], want)
            else:
                got = layer.backward(x, dy, weight, bias, rng.random() < 0.5)
                if got is None:
                    continue
                reference.linear_gradients(given[4], given[5], given[2], given[3])
                if not np.array_equal(given[2], dweight) or (bias is not None and not np.array_equal(given[3], dbias)):
                    raise Finding("Layer gradients wrong", f"{what}: backward gives other gradients than the twin")
                if got is True:
                    continue
                want = np.zeros((len(x), given[0].shape[1]), dtype)
                reference.linear_input_gradient(given[5], given[0], want)
        except REFUSALS:
            continue
        if not np.array_equal(got, want):
            raise Finding("Layer wrong", f"{what}: got {got}, expected {want}")
    return calls
