"""What the guard holds a ratio to, and when one counts as fallen: no measuring here."""
from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ALLOWED = 2 / 3  # of the ratio that a processor of this kind has committed
ROUNDS = 4       # in which a ratio must fall, with all others measured in between, before it counts

# What holds on every processor: reached, with room, by an AMD of family 26, two of family 25 (Zen 3 and 4) and an
# Intel Sapphire Rapids. The first pattern that a name matches decides; a name without one is only reported. In the
# wide networks NumPy's step is its BLAS, which without AVX-512 comes as close to the peak as minidl's products do.
EVERYWHERE = (
    (r"product \w+, 100x25x25, to the peak", 0.25),
    (r"product \w+, .*, to the peak", 0.4),
    (r"minidl captured, step of S, .*, to minidl", 1.4),
    (r"minidl captured, step of \w+, .*, to minidl", 1.0),
    (r"minidl captured, step of S, .*, to NumPy by hand", 1.0),
    (r"minidl captured, step of \w+, .*, to NumPy by hand", 0.9),
    (r"minidl captured, step of \w+ half frozen, .*, to all trained", 1.0),
    (r"minidl, step of S, .*, to NumPy by hand", 1.2),
    (r"minidl, step of \w+, .*, to NumPy by hand", 0.85),
    (r"minidl captured, step of S, batch 4, to its arithmetic alone", 0.33),
    (r"minidl captured, step of S, .*, to its arithmetic alone", 0.4),
    (r"fit of S, .*, to its arithmetic alone", 0.8),
    (r"(matmul|linear\w*), .*, to its twin", 0.6),  # the twin is a product of NumPy's BLAS
    (r"(exp|log|tanh|sigmoid), .*, to its twin", 0.5),  # NumPy has vector code for these, too
    (r".*, to its twin", 1.0),
)


@dataclass
class Verdict:
    """A ratio: the least that it may be (None: it is only reported), and what was measured, round by round."""

    name: str
    least: float | None
    seen: list[float] = field(default_factory=list)

    @property
    def fell(self) -> bool:
        return self.least is not None and max(self.seen) < self.least

    def line(self) -> str:
        tries = ", ".join(f"{ratio:.3g}" for ratio in self.seen)
        bound = "" if self.least is None else f", at least {self.least:.3g}"
        return f"{self.name}: {tries}{bound}"


def processor(cpuinfo: str, machine: str = platform.machine()) -> str:
    """The kind of processor that /proc/cpuinfo describes: vendor, family and model, or ARM's implementer and part."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    for names in (("vendor_id", "cpu family", "model"), ("cpu implementer", "cpu part")):
        if all(name in fields for name in names):
            return re.sub(r"[^A-Za-z0-9-]", "", "-".join(fields[name] for name in names))
    return f"unknown-{machine}"


def here() -> str:
    """The kind of the processor at hand."""
    try:
        return processor(Path("/proc/cpuinfo").read_text())
    except OSError:  # not Linux: no kind, so that what holds everywhere is checked
        return processor("")


def everywhere(name: str) -> float | None:
    """The least that the ratio may be on any processor; a name begins with its target."""
    _, _, case = name.partition(": ")
    return next((least for pattern, least in EVERYWHERE if re.fullmatch(pattern, case)), None)


def least_of(name: str, committed: Mapping[str, float]) -> float | None:
    """The least that the ratio may be on a processor whose kind has committed these."""
    bounds = [bound for bound in (everywhere(name), ALLOWED * committed[name] if name in committed else None)
              if bound is not None]
    return max(bounds) if bounds else None


def judged(measures: Mapping[str, Callable[[], float]], committed: Mapping[str, float],
           between: Callable[[int], None] = lambda number: None, rounds: int = ROUNDS) -> list[Verdict]:
    """Measure all; then, round after round, what fell, so that a noisy moment passes.

    between : called with the number of ratios that fell before each further round.
    """
    verdicts = [Verdict(name, least_of(name, committed)) for name in measures]
    again: Iterable[Verdict] = verdicts
    for number in range(rounds):
        fallen = [verdict for verdict in again if not number or verdict.fell]
        if number and fallen:
            between(len(fallen))
        for verdict in fallen:
            verdict.seen.append(measures[verdict.name]())
        again = fallen
    return verdicts
