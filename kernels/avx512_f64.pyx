"""The kernels for AVX-512 in float64."""
include "all.pxi"
