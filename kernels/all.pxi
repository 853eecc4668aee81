# The arithmetic, in the order of its needs. A target's module is this text, compiled with its flags; Python finds
# its table alone there.
include "types.pxi"
include "call.pxi"
include "gemm.pxi"
include "registry.pxi"
include "elementary.pxi"
include "elementwise.pxi"
include "products.pxi"
include "activations.pxi"
include "arithmetic.pxi"
include "reductions.pxi"
include "losses.pxi"
include "optimizers.pxi"
