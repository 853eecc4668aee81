"""The targets that this processor can run."""

cdef extern from "cpu.h":
    bint HAS_AVX2, HAS_AVX512


def targets():
    """The names of the targets that this processor can run, the best first."""
    names = ["generic"]
    if HAS_AVX2:
        names.insert(0, "avx2")
    if HAS_AVX512:
        names.insert(0, "avx512")
    return names
