"""How an instruction is written in C: a call of op_NAME of the folder c, with addresses, strides, sizes."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .c_program import CProgram, Instruction

ELEMENTWISE = (
    "absolute", "copy", "elu", "erf", "exp", "leaky_relu", "log", "negative", "relu", "selu", "sigmoid", "sign",
    "softplus", "sqrt", "square", "tanh")
OF_TWO = ("add", "divide", "equal", "less", "less_equal", "multiply", "not_equal", "subtract")
OF_ROWS = ("log_softmax", "softmax")
NULL = "NULL, 0"

Written = Callable[[CProgram, Instruction], str]  # the arguments
CALLS: dict[str, Written] = {}  # by the kernel's name


def written(*names: str):
    """Register how calls of these kernels are written."""
    def register(function: Written) -> Written:
        CALLS.update(dict.fromkeys(names, function))
        return function
    return register


def number_text(x) -> str:
    """A float32 so that a C compiler reads the same bits."""
    x = np.float32(x)
    if np.isnan(x):
        return "NAN"
    if np.isinf(x):
        return "INFINITY" if x > 0 else "-INFINITY"
    text = repr(float(str(x)))
    return f"{text}f"


def call_text(program: CProgram, instruction: Instruction) -> str:
    """One statement; a kernel that can fail ends the function."""
    text = f"op_{instruction.name}({CALLS[instruction.name](program, instruction)})"
    return f"if ({text}) return -1;" if instruction.name == "take_rows" else f"{text};"


def _steps(array: np.ndarray) -> list[int]:
    return [step // array.itemsize for step in array.strides]


def _at(program: CProgram, array: np.ndarray) -> str:
    """Address and both strides."""
    return ", ".join([program.text_of(array), *map(str, _steps(array))])


def _out(program: CProgram, array: np.ndarray, axis: int = 0) -> str:
    """Address and stride of an output, by default that of its rows."""
    return f"{program.text_of(array, True)}, {_steps(array)[axis]}"


def _rows(program: CProgram, array: np.ndarray | None, strides: bool = False) -> str:
    """The address of rows of stride one, or NULL."""
    if array is None:
        return NULL if strides else "NULL"
    return f"{program.text_of(array)}, {_steps(array)[0]}" if strides else program.text_of(array)


def _size(array: np.ndarray) -> str:
    return ", ".join(map(str, array.shape))


@written(*ELEMENTWISE)
def _unary(program, ins):
    return f"{_out(program, ins.out)}, {_at(program, ins.a)}, {_size(ins.out)}, {number_text(ins.setting)}"


@written(*OF_TWO)
def _binary(program, ins):
    return f"{_out(program, ins.out)}, {_at(program, ins.a)}, {_at(program, ins.b)}, {_size(ins.out)}"


@written("where")
def _where(program, ins):
    return (f"{_out(program, ins.out)}, {_at(program, ins.a)}, {_at(program, ins.b)}, {_at(program, ins.c)}, "
            f"{_size(ins.out)}")


@written("zero")
def _zero(program, ins):
    return f"{_out(program, ins.out)}, {_size(ins.out)}"


@written(*OF_ROWS)
def _of_rows(program, ins):
    return f"{_out(program, ins.out)}, {_at(program, ins.a)}, {_size(ins.out)}"


@written("column_sum", "row_sum")
def _sum(program, ins):
    return f"{_out(program, ins.out, 1)}, {_at(program, ins.a)}, {_size(ins.a)}"


@written("matmul")
def _matmul(program, ins):
    start = NULL if ins.c is None else f"{program.text_of(ins.c)}, 0"
    return (f"{_out(program, ins.out)}, {_at(program, ins.a)}, {_at(program, ins.b)}, {start}, {_size(ins.out)}, "
            f"{ins.a.shape[1]}")


@written("bmm")
def _bmm(program, ins):
    out = ", ".join([program.text_of(ins.out, True), *map(str, _steps(ins.out)[:2])])
    return f"{out}, {_at(program, ins.a)}, {_at(program, ins.b)}, {_size(ins.out)}, {ins.a.shape[2]}"


@written("layer_norm", "batch_norm")
def _normalized(program, ins):
    return (f"{_out(program, ins.out)}, {_rows(program, ins.a, True)}, {_rows(program, ins.c)}, "
            f"{_rows(program, ins.bias)}, {_size(ins.a)}, {number_text(ins.setting)}")


@written("convolution")
def _convolution(program, ins):
    return (f"{program.text_of(ins.out, True)}, {program.text_of(ins.a)}, {program.text_of(ins.b)}, "
            f"{_rows(program, ins.c)}, {len(ins.out)}, {_windows(ins)}")


@written("max_pool", "average_pool")
def _pool(program, ins):
    return f"{program.text_of(ins.out, True)}, {program.text_of(ins.a)}, {len(ins.out)}, {_windows(ins)}"


def _windows(ins) -> str:
    return "&g" + "_".join(map(str, ins.geometry)).replace("-", "m")


@written("turned")
def _turned(program, ins):
    return f"{_out(program, ins.out)}, {_rows(program, ins.a, True)}, {_size(ins.a)}, {int(ins.setting)}"


@written("take_rows")
def _take_rows(program, ins):
    return (f"{_out(program, ins.out)}, {_at(program, ins.a)}, {program.text_of(ins.c)}, {len(ins.a)}, "
            f"{_size(ins.out)}")


@written("rnn", "lstm", "gru")
def _recurrent(program, ins):
    steps, reverse, *relu = map(int, ins.settings)
    bias = [_rows(program, ins.c)] if ins.name == "gru" else []
    hidden = ins.b.shape[0]
    return ", ".join([
        program.text_of(ins.out, True), _rows(program, ins.a, True), _at(program, ins.b), *bias,
        *map(str, (steps, len(ins.a) // steps, hidden, reverse, *relu))])
