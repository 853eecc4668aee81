# What Python calls, for one element type: functions that check their arguments and run the actions in a target's table.

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
include "layer.pxi"
include "bound.pxi"
include "parallel.pxi"
include "updates.pxi"
include "program.pxi"
include "chain.pxi"
include "group_step.pxi"
