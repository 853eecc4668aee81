"""The kernels for AVX2 in float32."""
include "all.pxi"
