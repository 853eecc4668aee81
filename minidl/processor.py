"""The processor at hand: its name, and how many of its cores this process may use."""
from __future__ import annotations

import os
import platform
from pathlib import Path


def name() -> str:
    """What the processor calls itself, with family and model where the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        return f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']})"
    except (OSError, KeyError):
        return platform.processor() or platform.machine()


def cores() -> int:
    """The cores that this process may use, where the system says so; else all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
