"""No GPU is used: what scripts ask before they choose the CPU."""
from __future__ import annotations


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0
