"""The kernels for AVX2 in float64."""
include "all.pxi"
