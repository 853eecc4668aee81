# The kernels of a target, as Python has them: a function for each operation, and the classes that use several.

from functools import partial

cdef str ONE = "const real[:, :] x not None"
cdef str TWO = "const real[:, :] dy not None, const real[:, :] x not None"
cdef str PAIR = "const real[:, :] a not None, const real[:, :] b not None"
cdef str LABELS = "const real[:, :] z not None, const int64_t[:] labels not None"
cdef str STATE = "const real[::1] g not None, real[::1] w not None, real[::1] state not None"

cdef str GEOMETRY = "tuple geometry not None"

# What an operation takes and gives -> what makes its function, and how the function is called
cdef dict BY_FLAGS = {
    HAS_OUTPUT: (unary, f"{ONE}, real[:, ::1] y"),
    HAS_OUTPUT | HAS_SETTING: (unary_with_setting, f"{ONE}, real[:, ::1] y, double setting"),
    HAS_B | HAS_OUTPUT: (binary, f"{TWO}, real[:, ::1] dx"),
    HAS_B | HAS_OUTPUT | HAS_SETTING: (binary_with_setting, f"{TWO}, real[:, ::1] dx, double setting"),
    GIVES_NUMBER: (number, ONE),
    HAS_B | GIVES_NUMBER: (number_of_two, PAIR),
    HAS_B | HAS_OUTPUT | GIVES_NUMBER: (binary_and_number, f"{PAIR}, real[:, ::1] y"),
    HAS_LABELS | GIVES_NUMBER: (labelled_number, LABELS),
    HAS_LABELS | HAS_OUTPUT | GIVES_NUMBER: (labelled_and_number, f"{LABELS}, real[:, ::1] y"),
    HAS_LABELS | HAS_OUTPUT | HAS_SETTING: (labelled_with_setting, f"{LABELS}, real[:, ::1] y, double setting"),
    HAS_B | GIVES_BYTES: (comparison, f"{PAIR}, uint8_t[:, ::1] y not None"),
    HAS_STATE: (update_with_state, STATE),
    HAS_STATES: (update_with_states, f"{STATE}, real[::1] state_2 not None"),
}
cdef dict WRITTEN_OUT = {
    "matmul": (product, "const real[:, :] a not None, const real[:, :] b not None, real[:, ::1] c not None"),
    "linear": (linear, "const real[:, :] x not None, const real[:, :] weight not None, const real[:] bias, "
                       "real[:, ::1] y not None"),
    "linear_input_gradient": (
        product, "const real[:, :] dy not None, const real[:, :] weight not None, real[:, ::1] dx not None"),
    "linear_weight_gradient": (
        weight_gradient, "const real[:, :] x not None, const real[:, :] dy not None, real[:, :] dweight not None"),
    "linear_gradients": (
        linear_gradients, "const real[:, :] x not None, const real[:, :] dy not None, real[:, :] dweight not None, "
                          "real[:] db"),
    "column_sum": (column_sum, "const real[:, :] dy not None, real[:] db not None"),
    "add_at_labels": (add_at_labels, "real[:, ::1] z not None, const int64_t[:] labels not None, double value"),
    "row_sum": (row_sum, "const real[:, :] x not None, real[:] y not None"),
    "where": (where, "const uint8_t[:, :] condition not None, const real[:, :] a not None, "
                     "const real[:, :] b not None, real[:, ::1] y not None"),
    "to_double": (to_double, "const real[:, :] x not None, double[:, ::1] y not None"),
    "from_double": (from_double, "const double[:, :] x not None, real[:, ::1] y not None"),
    "add_integer": (add_integer, "const int64_t[:, :] x not None, int64_t[:, ::1] y not None, double value"),
    "affine_sample": (affine_sample, "const real[:, :] x not None, const real[:, :] matrices not None, "
                                     "real[:, ::1] y not None"),
    "zero": (zero, "real[:, ::1] y not None"),
    "turned": (turned, "const real[:, ::1] x not None, real[:, ::1] y not None, Py_ssize_t rows"),
    "convolution": (convolution, "const real[:, ::1] x not None, const real[:, ::1] weight not None, "
                                 f"const real[::1] bias, real[:, ::1] y not None, {GEOMETRY}"),
    "convolution_input_gradient": (
        windows_of_two, "const real[:, ::1] dy not None, const real[:, ::1] weight not None, "
                        f"real[:, ::1] dx not None, {GEOMETRY}"),
    "convolution_weight_gradient": (
        windows_of_two, "const real[:, ::1] x not None, const real[:, ::1] dy not None, "
                        f"real[:, ::1] dweight not None, {GEOMETRY}"),
    "max_pool": (windows, f"const real[:, ::1] x not None, real[:, ::1] y not None, {GEOMETRY}"),
    "max_pool_backward": (
        windows_of_two, f"const real[:, ::1] dy not None, const real[:, ::1] x not None, real[:, ::1] dx not None, "
                        f"{GEOMETRY}"),
    "max_pool_pick": (
        windows_of_two, f"const real[:, ::1] u not None, const real[:, ::1] x not None, real[:, ::1] y not None, "
                        f"{GEOMETRY}"),
    "average_pool": (windows, f"const real[:, ::1] x not None, real[:, ::1] y not None, {GEOMETRY}"),
    "average_pool_backward": (windows, f"const real[:, ::1] dy not None, real[:, ::1] dx not None, {GEOMETRY}"),
    "bmm": (product_of_stacks, "a not None, b not None, c not None"),
    **{name: (normalization, "const real[:, ::1] x not None, const real[:] weight, const real[:] bias, "
                             "real[:, ::1] y not None, double eps") for name in ("layer_norm", "batch_norm")},
    **{name: (normalization_backward, "const real[:, ::1] g not None, const real[:, ::1] x not None, "
                                      "const real[:] weight, real[:, ::1] out not None, double eps")
       for name in ("layer_norm_backward", "batch_norm_backward")},
    "take_rows": (take_rows, "const real[:, :] table not None, const int64_t[:] labels not None, "
                             "real[:, ::1] y not None"),
    "add_rows": (add_rows, "const real[:, :] g not None, const int64_t[:] labels not None, "
                           "real[:, ::1] total not None, double skip"),
    **{name: (recurrent, "const real[:, :] a not None, const real[:, :] weight not None, const real[:] bias, "
                         "real[::1] work not None, *settings") for name in RECURRENT_SIZES},
    **{f"{name}_backward": (
        recurrent_backward, "const real[:, ::1] g not None, const real[:, :] weight not None, "
                            "real[::1] work not None, real[:, ::1] out not None, *settings")
       for name in RECURRENT_SIZES},
}


def bound(capsule):
    """The kernels of a target, given the table of its module: names and what they stand for.

    OPERATIONS are the names of the functions that run one operation each, RULES those of the optimizers whose update
    is an operation.
    """
    cdef Operations operations = Operations(capsule)
    cdef const Operation* operation
    found = {}
    for name in operations.places:
        operation = operations.find(name)
        if operation.flags & BY_NAME:
            make, signature = WRITTEN_OUT[name]
        else:
            make, signature = BY_FLAGS[operation.flags & ~ELEMENTWISE]
        function = make(operations, name)
        settings = "".join([f", double {setting}" for setting in operation.settings.decode().split()])
        function.__name__ = function.__qualname__ = name
        function.__doc__ = f"{name}({signature}{settings})\n\n{operation.formula.decode()}"
        found[name] = function
    return {
        "TABLE": capsule, **found, "OPERATIONS": tuple(found), "RULES": tuple(operations.rules),
        "Layer": partial(Layer, operations),
        "Program": partial(Program, operations), "Update": partial(Update, operations),
        "Chain": partial(Chain, operations), "GroupStep": GroupStep}
