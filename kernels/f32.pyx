"""What Python calls of the kernels, in float32, whichever target's they are."""
include "dtype.pxi"
