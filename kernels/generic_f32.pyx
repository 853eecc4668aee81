"""The kernels for any processor in float32."""
include "all.pxi"
