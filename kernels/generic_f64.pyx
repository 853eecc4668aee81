"""The kernels for any processor in float64."""
include "all.pxi"
