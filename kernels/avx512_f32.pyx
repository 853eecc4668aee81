"""The kernels for AVX-512 in float32."""
include "all.pxi"
