"""The kernels of one target in one element type: the arithmetic, in the order of its needs.

setup.py compiles this text for each target and each element type, as modules whose names say which: avx2_f32. Python
finds their table alone there.
"""
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
include "fusion.pxi"
include "fused_loops.pxi"
