"""The single changes that may be made to the text of a kernel: Cython (.pyx, .pxi) or C (.h).

Made are: another comparison, operator, sign, number, truth value, minimum or stride; a loop that ends one earlier or
later; the next element of an array; a condition turned round; a statement left out. The text is read by lines and
words, not as a program: a change that does not compile, or compiles to the same code (see rebuilt.py), is no change.

Not made is what changes no result: comments, docstrings, declarations, the text of messages; the table of operations
(``register``), where any mistake shows at import. Nor what only decides how fast a result comes, by SPEED, SPEED_ALONE
and WORK, and the sizes of blocks, by SIZES: a result has the same bits for all of them, which other tests prove by
their shapes. Nor a last pass of a loop over nothing, by PASS.
"""
from __future__ import annotations

import re
from collections.abc import Iterator

from changes import Change

# What is fetched or packed in advance, how a thread waits, and from how much work on another way is the faster one.
SPEED = re.compile(
    r"\b(fetch\w*|prefetch|fetched|behind|together|AHEAD|LINE_ELEMENTS|far_b|fetch_b|pack_a|lone|only|FAR|LARGE|WIDE"
    r"|SHORT|WORK_\w+|in_rows_of_tiles|relax|SPINS\w*|sched_yield|sleepers|giver|aside|CPU_\w+|HUGE_PAGE|madvise"
    r"|across|soon|SOON|work|WORTH\w*|USUAL_TIME|TRIES|MEETINGS|inline)\b")
# Functions that decide nothing else: whether tiles are full enough, from how much work on threads are faster.
SPEED_ALONE = re.compile(r"(cdef|static) [\w ]*\b(fill_tiles|only_meet|work_for_threads)\(.*[:{]$")
# The last argument says how many operations it is: whether other threads take a part, and may run meanwhile.
WORK = re.compile(r"\brun_rows\([^,]*,[^,]*,")
# A loop in steps of a constant, the last of which is over what is left: a pass more is over nothing.
PASS = re.compile(r"while ([\w.]+) < ([\w.]+):[^\n]*\n( +)[^\n]*\bmin\(\2 - \1, ([A-Z]\w*)\)")
# How large memory is: one element less is what sanitizers see, not tests (sanitize.py).
MEMORY = re.compile(r"\b[mc]alloc\(|\brealloc\(")
# How much is done at a time. In memory that is as large as they say, a smaller one is as right.
SIZES = re.compile(
    r"#define (PANEL_K|A_ELEMENTS|PATCH_\w+|PADDED_ELEMENTS|NARROW_ROWS|STRIP_COLS|UNIT_ROWS|LINE|MAX_THREADS)\b")
COMPARISONS = {"<": ("<=", ">"), "<=": ("<", ">"), ">": (">=", "<"), ">=": (">", "<"), "==": ("!=",), "!=": ("==",)}
OPERATORS = {"+": "-", "-": "+", "*": "+", "/": "*", "//": "*", "%": "+", "<<": ">>", ">>": "<<", "&": "|", "|": "&",
             "and": "or", "or": "and", "&&": "||", "||": "&&", "is": "is not", "is not": "is", "in": "not in",
             "not in": "in"}
OTHERS = {"True": "False", "False": "True", "min(": "max(", "max(": "min(", "s0": "s1", "s1": "s0", "as0": "as1",
          "as1": "as0", "bs0": "bs1", "bs1": "bs0", "xs0": "xs1", "xs1": "xs0", "rows": "cols", "cols": "rows",
          "begin": "end", "end": "begin", "break": "continue", "continue": "break"}
SPACED = re.compile(r"(?<= )(<=|>=|==|!=|<<|>>|//|&&|\|\||is not|not in|is|in|and|or|[-+*/%&|<>])(?= )")
AUGMENTED = re.compile(r"(?<= )(\+|-|\*|//|/|\||&)=(?= )")
WORD = re.compile(r"(?<!\w)(?<!strict=)"
                  r"(True|False|(?:min|max)\(|break|continue|(?:[abx]?s[01]|rows|cols|begin|end)(?![\w(]))")
NUMBER = re.compile(r"(?<![\w.])(\d[\d_]*\.\d*(?:e[-+]?\d+)?|\d[\d_]*(?:e[-+]?\d+)?)(?=f?(?![\w.]))")
INDEX = re.compile(r"(?<=[\w\])])\[(\w*[A-Za-z_]\w*)\]")
NOT = re.compile(r"(?<!is )\bnot (?!in\b)|!(?=[\w(])|(?:(?<=[(\[])|(?<=[,=] )|(?<=return ))-(?=[\w(])")
DECLARED = re.compile(r"\s*(cdef|cpdef|const|static|ctypedef|typedef|unsigned|int|vec|mask|real|size_t|void)\b")
OMITTED = re.compile(r"\s*(register\(|from |import |cimport |include |@|class |#(?!define)|__all__|ctypedef |typedef )")
HIDDEN = {
    "cython": r'(?P<text>[bfr]{0,2}(?:"""(?:.|\n)*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'))'
              r'|(?P<comment>#[^\n]*)',
    "c": r'(?P<text>"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\')|(?P<comment>/\*(?:.|\n)*?\*/|//[^\n]*)',
}
C_WITHIN = re.compile(r'(cdef extern from [^\n]*:\n\s*""")((?:.|\n)*?)(""")')


def changes(path: str, text: str) -> list[Change]:
    """All changes of a file, in the order of its lines."""
    found = {}
    for c, begin, end in _parts(path, text):
        code = _without_text(text, begin, end, c)
        for first, last in _statements(code, begin, end, c):
            work = WORK.search(code, first, last)
            end_of_work = _closing(code, code.index("(", work.start())) if work else -1
            over_nothing = _steps(code, first + len(code[first:last]) - len(code[first:last].lstrip()))
            for kind, at, to, new in _of(code, first, last, c):
                changed = text[:at] + new + text[to:]
                faster = work and work.end() <= at < end_of_work
                if changed != text and changed not in found and not faster and not (over_nothing and new == "<="):
                    line = text.count("\n", 0, at) + 1
                    start, stop = text.rfind("\n", 0, at) + 1, text.find("\n", to)
                    lines = text[start:stop], text[start:at] + new + text[to:stop]
                    found[changed] = Change(path, line, kind, *(" ".join(part.split()) for part in lines), changed)
    return sorted(found.values(), key=lambda change: change.line)


def _parts(path: str, text: str) -> Iterator[tuple[bool, int, int]]:
    """The parts of a file in one language: (whether it is C, begin, end)."""
    if path.endswith(".h"):
        yield True, 0, len(text)
        return
    begin = 0
    for match in C_WITHIN.finditer(text):
        yield False, begin, match.start(3)
        yield True, match.start(2), match.end(2)
        begin = match.end()
    yield False, begin, len(text)


def _without_text(text: str, begin: int, end: int, c: bool) -> str:
    """The same text, as long, with blanks for comments and for what stands in quotes; blank outside of the part."""
    def blank(match: re.Match) -> str:
        return re.sub(r"[^\n]", '"' if match["text"] and "\n" not in match[0] else " ", match[0])

    part = re.sub(HIDDEN["c" if c else "cython"], blank, text[begin:end])
    return re.sub(r"[^\n]", " ", text[:begin]) + part + re.sub(r"[^\n]", " ", text[end:])


def _statements(code: str, begin: int, end: int, c: bool) -> Iterator[tuple[int, int]]:
    """The statements (of C the lines) in which something may be changed, from and to."""
    closed = -1  # the indentation of what declares, or decides speed alone: its lines, further in, are left out
    at = begin
    while at < end:
        last = code.find("\n", at, end)
        last = end if last < 0 else last
        while not c and last < end and _depth(code[at:last]) > 0:  # goes on in the next line
            after = code.find("\n", last + 1, end)
            last = end if after < 0 else after
        statement = code[at:last]
        if statement.strip():
            indent = len(statement) - len(statement.lstrip())
            if indent <= closed:
                closed = -1
            declares = not c and re.match(r"\s*(cdef|ctypedef) (extern|struct|enum|class.*extern)", statement)
            if declares or SPEED_ALONE.match(statement.strip()):
                closed = indent
            elif closed < 0 and not OMITTED.match(statement) and not (c and re.match(r"\s*#define \w+\(", statement)) \
                    and not any(kind.search(statement) for kind in (SPEED, MEMORY, SIZES)):
                yield at, last
        at = last + 1


def _depth(code: str) -> int:
    """How many brackets are open."""
    return sum(code.count(mark) for mark in "([{") - sum(code.count(mark) for mark in ")]}")


def _closing(code: str, at: int) -> int:
    """Where the bracket at ``at`` is closed."""
    depth = 0
    for i in range(at, len(code)):
        depth += (code[i] in "([{") - (code[i] in ")]}")
        if not depth:
            return i
    return -1


def _steps(code: str, at: int) -> bool:
    """Whether a loop begins here that goes on by the same constant each time, whatever is left."""
    head = PASS.match(code, at)
    if not head:
        return False
    advance = re.compile(rf"^{head[3]}{re.escape(head[1])} \+= (.*?) *$", re.MULTILINE).search(code, head.end())
    return advance is not None and advance[1] == head[4]


def _of(code: str, first: int, last: int, c: bool) -> Iterator[tuple[str, int, int, str]]:
    """The changes of a statement: (kind, from, to, the new text)."""
    statement = code[first:last]
    inner = first + len(statement) - len(statement.lstrip())
    head = statement.strip()
    yield from _left_out(statement, head, inner, first + len(statement.rstrip()), c)
    if head.startswith(("raise", "assert", "pass")) or (not c and re.match(r"(cdef|cpdef|def) .*:$", head, re.DOTALL)):
        return
    at = first
    if DECLARED.match(statement) and not (c and "(" in head.split("=")[0]):  # only what it is set to
        value = statement.find(" = ")
        if value < 0:
            return
        at = first + value + 2
    define = re.match(r"\s*#define \w+", statement)
    if define:
        at = first + define.end()
    if c and "{" in head and head.startswith(("static", "INLINE")):  # a function, on one line: its body
        at = first + statement.index("{")
    yield from _words(code, at, last, c, loop=head.startswith("for "))
    test = re.match(r"\s*(?:el)?if (?=.*:$)" if not c else r"\s*(?:\} else )?if (?=\()", statement, re.DOTALL)
    if test:
        begin = first + test.end()
        end = _closing(code, begin) + 1 if c else first + len(statement.rstrip()) - 1
        yield "condition", begin, end, f"(!{code[begin:end]})" if c else f"not ({code[begin:end]})"


def _words(code: str, at: int, last: int, c: bool, loop: bool) -> Iterator[tuple[str, int, int, str]]:
    for match in SPACED.finditer(code, at, last):
        word = match[1]
        if word == "in" and (loop or re.search(r"\bfor \w[\w, ]*$", code[:match.start()].rsplit("\n", 1)[-1].rstrip())):
            continue
        for other in COMPARISONS.get(word, [OPERATORS[word]] if word in OPERATORS else []):
            yield "comparison" if word in COMPARISONS else "operator", match.start(), match.end(), other
    for match in AUGMENTED.finditer(code, at, last):
        yield "operator", match.start(1), match.end(1), OPERATORS[match[1]]
    for match in WORD.finditer(code, at, last):
        yield "name" if match[1] in ("break", "continue") or match[1].isalnum() else "minimum", *match.span(1), \
            OTHERS[match[1]]
    for match in NUMBER.finditer(code, at, last):
        if "." in match[1] or "e" in match[1]:
            yield "number", *match.span(1), f"{float(match[1]) * 2!r}"
        else:
            value = int(match[1])
            for other in (value + 1, value - 1) if value else (1,):
                yield "number", *match.span(1), str(other)
    for match in NOT.finditer(code, at, last):
        yield "not, sign", match.start(), match.end(), ""
    for match in INDEX.finditer(code, at, last):
        for other in (" + 1", " - 1"):
            yield "index", match.end(1), match.end(1), other
    for match in re.finditer(r"\brange\(", code[at:last]):
        end = _closing(code, at + match.end() - 1)
        if end > 0 and code[at + match.end():end].count(",") < 2:
            for other in (" + 1", " - 1"):
                yield "bound", end, end, other


def _left_out(statement: str, head: str, begin: int, end: int, c: bool) -> Iterator[tuple[str, int, int, str]]:
    """The statement left out: an assignment, a call, a jump."""
    if c:
        if head.endswith(";") and head.count(";") == 1 and not DECLARED.match(statement) \
                and not head.startswith(("return", "}", "for", "#", "INLINE")) and _depth(head) == 0:
            yield "statement left out", begin, end - 1, ""
        return
    if DECLARED.match(statement) or head.endswith(":") or re.match(r"(pass|global|assert)\b|return .|def ", head):
        return
    if re.match(r"[\w.\[\]<>*&() +/,-]+ (?:[-+*/|&]|//)?= |[\w.]+(?:\[[^\]]*\])?\(|(raise|break|continue|return)\b",
                head):
        yield "statement left out", begin, end, "pass" + "\n" * statement.strip().count("\n")
