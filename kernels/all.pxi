# The kernels, in the order of their needs. A target's module is this text, compiled with its flags.
include "types.pxi"
include "gemm.pxi"
include "elementary.pxi"
include "activations.pxi"
include "reductions.pxi"
include "entry.pxi"
