"""JSON, of which a reader may be sure: finite numbers, no name twice, an error of one kind."""
from __future__ import annotations

import math
from typing import Any


def parsed(text: str | bytes, *, nan: bool = False) -> Any:
    """The content of a JSON text; with ``nan`` NaN, Infinity and -Infinity in it, too, which JSON does not have.

    Raises ValueError for what is no JSON, for text that is not UTF-8, for a name that stands twice in an object, for
    numbers that are not finite, or of more digits than Python takes, and for content that is nested too deeply.
    """
    import json  # here, since importing minidl should cost little

    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        return json.loads(text, object_pairs_hook=_each_once, parse_float=_finite,
                          parse_constant=float if nan else _finite)
    except RecursionError:
        raise ValueError("expected JSON of a modest depth, got one that is nested too deeply") from None


def written(content: Any) -> str:
    """The content as JSON on one line; ValueError for NaN and infinity."""
    import json

    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1) if len(names) < 1000 else "some"
        raise ValueError(f"expected each name of an object once, got {twice!r} twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected finite numbers, got {text[:40]}")
    return value
