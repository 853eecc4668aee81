"""Sweeps: a task for many settings and seeds, its results in a file, and tables and pictures of them."""
from .log import Run, read
from .sweeping import attempt, grid, sweep

__all__ = ["Run", "attempt", "grid", "read", "sweep"]
