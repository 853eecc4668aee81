"""The single changes that may be made to a Python file, each one a small mistake that a test should notice.

Made are: another comparison, operator, number, truth value or name; a letter less in ``kind in "iu"``;
``and`` for ``or``, and the reverse; a condition or sign turned round; two arguments exchanged; None
returned; a statement or decorator left out.

Not made is what changes no result: docstrings, annotations, ``__all__``, the text of messages (all within
``raise`` and f-strings), hints that only save time or memory (PERFORMANCE, the size of a cache) and orders
that do not matter (COMMUTATIVE); in reshape(), to which any negative number is the axis that is left, -1 does not
become another. What is equivalent for another reason is made, and counts as not noticed.
"""
from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS = {ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.Lt),
               ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,),
               ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,)}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
             ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
             ast.LShift: ast.RShift, ast.RShift: ast.LShift}
# Arguments and constants that only say how something is to be done fast, or guard what cannot come.
PERFORMANCE = {"copy", "strict", "flush", "maxsize", "exist_ok", "missing_ok", "BLOCK", "STEP", "TIMEOUT", "SECONDS",
               "SAMPLE", "__slots__", "__all__", "__array_priority__"}
COMMUTATIVE = {"max", "min", "add", "multiply", "hypot", "maximum", "minimum", "gcd", "isinstance", "issubclass",
               "broadcast_shapes", "lowering"}
# Functions whose texts are parts of messages.
MESSAGES = re.compile(r"_?(check|expected|described|unsupported|positive_int|unknown|named|arrays_of|print|like)")
NAME = re.compile(r"[A-Za-z_][\w.:-]*")


@dataclass(frozen=True)
class Change:
    """One change: where, of which kind, the lines before and after, and the whole changed file."""

    path: str
    line: int
    kind: str
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}\n    - {self.before}\n    + {self.after}"


def changes(path: str, text: str) -> list[Change]:
    """All changes of a file, in the order of its lines."""
    source, found = text.encode(), {}
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(text)
    for kind, node, new in _Finder().of(tree):
        first = starts[node.lineno - 1] + node.col_offset
        last = starts[node.end_lineno - 1] + node.end_col_offset
        if kind == "decorator left out":  # its whole lines
            first, last = starts[node.lineno - 1], source.index(b"\n", last) + 1
        changed = (source[:first] + new.encode() + source[last:]).decode()
        if changed in found or ast.unparse(node) in (new, new[1:-1]):  # as it was
            continue
        end = source.find(b"\n", last)
        before = source[starts[node.lineno - 1]:end].decode()
        after = (source[starts[node.lineno - 1]:first] + new.encode() + source[last:end]).decode()
        found[changed] = Change(path, node.lineno, kind, *(" ".join(part.split()) for part in (before, after)), changed)
    return sorted(found.values(), key=lambda change: change.line)


def _called(node: ast.Call) -> str:
    """The last name of the function that is called."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _with(node: ast.AST, **fields) -> str:
    """The text of the node with these fields instead of its own."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    text = ast.unparse(new)
    return f"({text})" if isinstance(node, (ast.BinOp, ast.BoolOp, ast.Compare, ast.UnaryOp)) else text


def _letters(node: ast.AST) -> list[ast.AST]:
    """The strings of a comparison that stand for the set of their letters: ``kind in "iu"``."""
    if not isinstance(node, ast.Compare):
        return []
    return [right for op, right in zip(node.ops, node.comparators, strict=True)
            if isinstance(op, (ast.In, ast.NotIn)) and isinstance(right, ast.Constant) and isinstance(right.value, str)]


class _Finder:
    """Walks a tree and yields (kind, node, the text in its place)."""

    def __init__(self):
        self.negative: set[ast.AST] = set()  # numbers behind a minus whose size does not matter

    def of(self, node: ast.AST, within: str = "") -> Iterator[tuple[str, ast.AST, str]]:
        """The changes of the node and all below it, ``within`` the body of a "function" or a "message"."""
        kind = type(node).__name__
        if kind in ("Raise", "JoinedStr", "Import", "ImportFrom", "Global", "Assert"):
            if kind == "Raise" and within == "function":
                yield "statement left out", node, "pass"
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":  # in the name of an annotation
            return
        yield from getattr(self, f"_{kind}", self._other)(node, within)
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            within = "function"
        elif isinstance(node, ast.ClassDef):
            within = "class"
        elif isinstance(node, ast.Call) and MESSAGES.match(_called(node)):
            within = "message"
        letters = _letters(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "ctx", "bases") or (name == "body" and isinstance(node, ast.Module)):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and child not in letters and not self._needless(child):
                    yield from self.of(child, within)
        if isinstance(node, ast.Module):
            for child in node.body:
                if not self._needless(child):
                    yield from self.of(child)

    @staticmethod
    def _needless(node: ast.AST) -> bool:
        """Whether nothing in it changes a result: a docstring, a hint, when a cache is emptied."""
        if isinstance(node, ast.If):
            return len(node.body) == 1 and re.match(r"len\(self\._\w+\) > \d+$", ast.unparse(node.test)) is not None \
                and ast.unparse(node.body[0]).endswith(".clear()")
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Constant)
        if isinstance(node, ast.keyword):
            return node.arg in PERFORMANCE
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        return any(getattr(target, "id", "") in PERFORMANCE for target in targets)

    def _other(self, node, within):
        return ()

    def _Compare(self, node, within):
        for i, op in enumerate(node.ops):
            for other in COMPARISONS[type(op)]:
                yield "comparison", node, _with(node, ops=[*node.ops[:i], other(), *node.ops[i + 1:]])
        for letters in _letters(node):
            for i in range(len(letters.value)):
                yield "letter left out", letters, repr(letters.value[:i] + letters.value[i + 1:])

    def _BinOp(self, node, within):
        if type(node.op) in OPERATORS and not isinstance(node.left, (ast.JoinedStr, ast.List, ast.Tuple)):
            yield "operator", node, _with(node, op=OPERATORS[type(node.op)]())

    def _AugAssign(self, node, within):
        if type(node.op) in OPERATORS:
            yield "operator", node, _with(node, op=OPERATORS[type(node.op)]())
        yield "statement left out", node, "pass"

    def _BoolOp(self, node, within):
        yield "and, or", node, _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())

    def _UnaryOp(self, node, within):
        if isinstance(node.op, (ast.Not, ast.USub)):
            yield "not, sign", node, f"({ast.unparse(node.operand)})"

    def _Constant(self, node, within):
        value = node.value
        if isinstance(value, bool):
            yield "truth", node, str(not value)
        elif isinstance(value, (int, float)):
            if node in self.negative:
                others: tuple = (value - 1,)
            else:
                others = (value + 1, value - 1) if isinstance(value, int) or not value else (value * 2,)
            for other in (*others, *([-value] if value else [])):
                yield "number", node, repr(other) if other > 0 else f"({other!r})"
        elif isinstance(value, str) and within != "message" and NAME.fullmatch(value):
            yield "name", node, repr(value + "_")

    def _IfExp(self, node, within):
        yield "condition", node.test, f"(not ({ast.unparse(node.test)}))"

    _If = _IfExp
    _While = _other

    def _Return(self, node, within):
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "None returned", node, "return None"

    def _left_out(self, node, within):
        if within == "function":
            yield "statement left out", node, "pass"

    _Assign = _AnnAssign = _Expr = _Delete = _left_out

    def _Call(self, node, within):
        if _called(node) == "reshape":
            self.negative.update(part.operand for part in ast.walk(node) if isinstance(part, ast.UnaryOp))
        plain = len(node.args) > 1 and not any(isinstance(part, ast.Starred) for part in node.args[:2])
        if plain and within != "message" and _called(node) not in COMMUTATIVE and not MESSAGES.match(_called(node)):
            yield "arguments", node, _with(node, args=[node.args[1], node.args[0], *node.args[2:]])

    def _FunctionDef(self, node, within):
        for decorator in node.decorator_list:
            if not re.search("property|setter|staticmethod|classmethod|contextmanager", ast.unparse(decorator)):
                yield "decorator left out", decorator, ""
