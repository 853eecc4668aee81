"""export_c: a model's predictions as one C file, with the bits of predict."""
from __future__ import annotations

import itertools
import math
import os
import re
from pathlib import Path

import numpy as np

from ..files import part_of
from ..kernels.ledger import span_of
from ..nn.module import Module
from .c_calls import CALLS, call_text, number_text
from .c_program import FLOAT, TYPES, CProgram
from .recording import ExportError, example_of, names_of, recorded

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
TAKEN = """
alignas alignof asm auto bool break case catch char class const continue default delete do double else enum explicit
export extern false float for friend goto if inline int long memory mutable namespace new operator private protected
public register restrict return short signed sizeof static struct switch template this throw true try typedef typeid
typename union unsigned using virtual void volatile while memcpy main x y
"""  # of C, of C++, and of the file itself
WIDTH = 118
FILES = ("elementary", "elementwise", "products", "windows", "recurrent")  # of the folder c, from bottom to top
HEAD = """\
/* {title}, written by minidl: the bits of minidl.predict.

   int {name}({arguments});

{arrays}
   It returns 0, or -1 if an index lies outside its table. It uses {work} bytes of static memory, so one call at a time,
   and {constants} bytes of constants; no heap, and of the library fmaf, sqrtf and memcpy alone.

   C99 or C++11. A compiler that fuses a product and a sum by itself would change the bits: the pragmas below forbid it
   to gcc and clang; others have an option like -ffp-contract=off. With -mfma or the like, where the processor has it,
   fmaf is one instruction. */
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__) || (FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16)
#error "this code needs IEEE arithmetic in float: compile it without -ffast-math, and not for the x87"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#endif
"""
TAIL = """\
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
"""


def export_c(model: Module, path: str | os.PathLike, example=None, *, name: str = "predict") -> None:
    """Write ``int predict(const float *x, float *y)`` as one self-contained C99 file, which C++ compiles, too.

    Its results have the bits of ``model.predict`` (a NaN is a NaN). The function takes an input of the example's shape,
    whole: give ``X[:1]`` for a row at a time. It needs no heap, and of the library fmaf, sqrtf and memcpy.

    model : in float32; it may be of one's own, residual or recurrent, as long as all that it does to its input has
        kernels, as a step that runs "compiled" does.
    example : an input as ``predict`` takes it, or a tuple of several, which become x0, x1, ...; None for a Sequential
        that begins with a Linear. name : of the function.

    The file appears whole or not at all. Raises ExportError (a ValueError) that names the operation for which there is
    no kernel, and for a model in float64 or that changes its state; OSError where nothing can be written.
    """
    text = c_text(model, example, name)
    with part_of(Path(path)) as part:
        part.write_text(text)
        os.replace(part, path)


def c_text(model: Module, example=None, name: str = "predict") -> str:
    """The text of the file."""
    if not NAME.fullmatch(name) or name in TAKEN.split() or name in blocks() or hasattr(math, name.removesuffix("f")):
        raise ExportError(f"export_c: expected a name that C allows and nobody has, got {name!r}")
    arrays = example_of("export_c", model, example)
    for array in arrays:
        if array.dtype not in TYPES:
            raise ExportError(f"export_c: expected a model in float32, got an input of {array.dtype}")
    recording = recorded("export_c", model, arrays)
    inputs = _numbered("x", len(arrays))
    program = CProgram(recording, inputs)
    unknown = {ins.name for ins in program.instructions.found} - CALLS.keys()
    if unknown:
        raise ExportError(f"export_c: the kernel {min(unknown)} has no C text")
    outputs = _numbered("y", len(program.outputs))
    arguments = ", ".join([*[f"const {TYPES[x.dtype]} *{x_name}" for x, x_name in zip(arrays, inputs, strict=True)],
                           *[f"{TYPES[y.dtype]} *{y_name}"
                             for y, y_name in zip(program.outputs, outputs, strict=True)]])
    told = "\n".join(f"   {x_name}: {TYPES[x.dtype]} of shape {x.shape}, in C order"
                     for x, x_name in zip([*arrays, *program.outputs], [*inputs, *outputs], strict=True))
    scratches = sum(x.nbytes for x in program.scratches)
    head = HEAD.format(title=type(model).__name__, name=name, arguments=arguments,
                       arrays=f"{told}\n", work=program.bytes + scratches,
                       constants=sum(high - low for low, high, _ in program.constants))
    body = _body(program, outputs)
    parts = [head, *needed_blocks("\n".join(body)), *_constants(program, names_of(model)), *_memory(program),
             *_windows(program), _function(name, arguments, inputs, body), TAIL]
    return "\n".join(parts)


def _numbered(letter: str, count: int) -> list[str]:
    return [letter] if count == 1 else [f"{letter}{i}" for i in range(count)]


# The kernels


def blocks() -> dict[str, str]:
    """The blocks of the folder c by their names, in their order, without the line of the name alone."""
    found = {}
    for file in FILES:
        for block in (Path(__file__).parent / "c" / f"{file}.c").read_text().split("\n\n")[1:]:
            name, _, rest = block.strip("\n").removeprefix("// ").partition("\n")
            name, _, told = name.partition(":")
            lines = rest.split("\n")
            while lines[0].startswith("// "):  # what is told goes on
                told += f"\n  {lines.pop(0).removeprefix('//')}"
            text = "\n".join(lines)
            found[name] = f"/*{told} */\n{text}" if told else text
    return found


def needed_blocks(text: str) -> list[str]:
    """The blocks that a text names, and those that they name, in their order."""
    known = blocks()
    names: set[str] = set()
    waiting = [text]
    while waiting:
        for word in set(re.findall(r"[A-Za-z_]\w*", waiting.pop())) & known.keys() - names:
            names.add(word)
            waiting.append(known[word])
    return [f"{known[name]}\n" for name in known if name in names | {"num"}]


# Data


def _constants(program: CProgram, names: list[tuple[str, np.ndarray]]) -> list[str]:
    spans = [(name, *span_of(array)) for name, array in names]
    parts = []
    for i, (low, high, dtype) in enumerate(program.constants):
        of = [name for name, begin, end in spans if begin < high and low < end]
        told = f" /* {', '.join(of)} */" if of else ""
        values = program.content_of(i)
        texts = _float_texts(values) if dtype == FLOAT else map(str, values.astype(np.int64).tolist())
        parts.append(f"static const {TYPES[dtype]} c{i}[{len(values)}] = {{{told}\n{_wrapped(texts)}}};\n")
    return parts


def _float_texts(values: np.ndarray) -> list[str]:
    """Nine digits, which tell every float32; number_text for what is none."""
    texts = [f"{value:.9g}" for value in values.tolist()]
    if not np.isfinite(values).all():
        return list(map(number_text, values))
    return [f"{text}f" if "." in text or "e" in text else f"{text}.0f" for text in texts]


def _wrapped(texts) -> str:
    lines, line = [], ""
    for text in texts:
        if len(line) + len(text) + 2 > WIDTH:
            lines.append(line)
            line = ""
        line += f"{text}, " if line else f"  {text}, "
    return "\n".join(part.rstrip() for part in [*lines, line]).removesuffix(",")


def _memory(program: CProgram) -> list[str]:
    sizes = {"memory": program.bytes} if program.bytes else {}
    sizes |= {f"scratch{i}": x.nbytes for i, x in enumerate(program.scratches)}
    return [f"static float {name}[{-(-size // FLOAT.itemsize)}];\n" for name, size in sizes.items()]


def _windows(program: CProgram) -> list[str]:
    geometries = dict.fromkeys(ins.geometry for ins in program.instructions.found if ins.geometry)
    return [f"static const Windows g{'_'.join(map(str, g)).replace('-', 'm')} = {{{', '.join(map(str, g))}}};\n"
            for g in geometries]


# The function


def _body(program: CProgram, outputs: list[str]) -> list[str]:
    lines = [call_text(program, ins) for ins in program.instructions.found]
    for array, name in zip(program.outputs, outputs, strict=True):
        lines += _copied_out(program, array, name)
    return lines


def _copied_out(program: CProgram, array: np.ndarray, name: str) -> list[str]:
    """Loops that copy an output in C order, whatever order it lies in."""
    steps = [step // array.itemsize for step in array.strides]
    if array.flags.c_contiguous:
        return [f"memcpy({name}, {program.text_of(array)}, {array.nbytes});"]
    kept = [(n, step) for n, step in zip(array.shape, steps, strict=True) if n != 1]
    letters = [f"i{i}" for i in range(len(kept))]
    lines = [f"for (num {i} = 0; {i} < {n}; {i}++)" for i, (n, _) in zip(letters, kept, strict=True)]
    place = " + ".join(f"{i} * {step}" for i, (_, step) in zip(letters, kept, strict=True))
    lines = [f"{'  ' * depth}{line}" for depth, line in enumerate(lines)]
    return [f"{{ {TYPES[array.dtype]} *to = {name};", *lines,
            f"{'  ' * len(lines)}*to++ = ({program.text_of(array)})[{place}];", "}"]


def _function(name: str, arguments: str, inputs: list[str], body: list[str]) -> str:
    unused = [f"(void){x};" for x in inputs if not any(re.search(rf"\b{x}\b", line) for line in body)]
    lines = list(itertools.chain(unused, body, ["return 0;"]))
    return f"int {name}({arguments}) {{\n" + "\n".join(f"  {line}" for line in lines) + "\n}\n"
