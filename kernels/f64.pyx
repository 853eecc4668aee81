"""What Python calls of the kernels, in float64, whichever target's they are."""
include "dtype.pxi"
