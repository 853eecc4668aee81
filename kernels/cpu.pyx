"""The targets that this processor can run, of those that were built."""

cdef extern from "cpu.h":
    bint RUNS_GENERIC, RUNS_AVX2, RUNS_AVX512, RUNS_NEON


def targets():
    """The names of the targets that were built and that this processor can run, the best first."""
    runs = {"avx512": RUNS_AVX512, "avx2": RUNS_AVX2, "neon": RUNS_NEON, "generic": RUNS_GENERIC}
    return [name for name in runs if runs[name]]
