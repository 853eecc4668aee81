"""The one device that there is, for scripts that name it."""
from __future__ import annotations

from typing import Any


class device:
    """``device("cpu")``, as scripts write it. ValueError for any other: minidl computes on the CPU."""

    type, index = "cpu", None

    def __init__(self, type: Any = "cpu", index: int | None = None):
        name = type.type if isinstance(type, device) else type
        if not isinstance(name, str):
            raise TypeError(f"device: expected a name such as 'cpu', got {name!r}")
        if name not in ("cpu", "cpu:0") or index not in (None, 0):
            raise ValueError(f"device: expected 'cpu', the one that there is, got {name!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) or other == "cpu"

    def __hash__(self) -> int:
        return hash("cpu")

    def __str__(self) -> str:
        return "cpu"

    def __repr__(self) -> str:
        return "device(type='cpu')"


def is_cpu(what: Any) -> bool:
    """Whether this names the CPU, as a device or a text."""
    return isinstance(what, device) or (isinstance(what, str) and what in ("cpu", "cpu:0"))


def check_device(given: Any) -> None:
    """ValueError or TypeError for what is not the CPU, None aside."""
    if given is not None:
        device(given)
