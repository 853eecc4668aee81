"""What the tests find by themselves: every activation and every loss of minidl.nn, with the operation of each."""
from __future__ import annotations

from minidl import functional as F
from minidl import nn
from minidl.nn.activations import Activation


def _classes(base: type) -> dict[str, type]:
    found = {name: getattr(nn, name) for name in nn.__all__}
    return {name: kind for name, kind in found.items()
            if isinstance(kind, type) and issubclass(kind, base) and kind is not base}


ACTIVATIONS, LOSSES = _classes(Activation), _classes(nn.Loss)


def away_from_defaults(kind: type[Activation]) -> dict:
    """Settings that are not the defaults."""
    return {name: 1.7 * value for name, value in kind().settings.items() if isinstance(value, float)}


def function_of(kind: type) -> str:
    """The name of its operation in minidl.functional."""
    return next(name for name in F.__all__ if getattr(F, name) is kind.operation)


def settings_of(kind: type[Activation]) -> str:
    """Settings that are not the defaults, as they stand in a call."""
    return "".join(f", {name}={value!r}" for name, value in away_from_defaults(kind).items())


def operations_of(step, compiled: bool = True) -> set[str]:
    """The operations of a recorded step that its programs run by kernels, or those that they call as Python."""
    return {line.operation.name for recording in step._kept.values() for line, _, _, by_kernel in recording.listing
            if line.what == "operation" and by_kernel == compiled}
