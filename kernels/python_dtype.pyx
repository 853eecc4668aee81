# cython: binding=True
"""What Python calls of the kernels in one element type, whichever target's they are.

It checks what it is given, and runs the actions of a target by its table. setup.py compiles this text for each
element type, as the modules f32 and f64.
"""

cimport cython

cdef extern from "real.h" nogil:
    ctypedef float real  # to Cython; the C compiler knows its width

include "call.pxi"
include "geometry.pxi"
include "arguments.pxi"
include "operations.pxi"
include "functions.pxi"
include "functions_arithmetic.pxi"
include "functions_labels.pxi"
include "functions_products.pxi"
include "functions_images.pxi"
include "functions_windows.pxi"
include "functions_recurrent.pxi"
include "functions_tables.pxi"
include "functions_normalization.pxi"
include "layer.pxi"
include "bound.pxi"
include "parallel.pxi"
include "updates.pxi"
include "program.pxi"
include "stretch.pxi"
include "members.pxi"
include "chain.pxi"
include "group_step.pxi"
