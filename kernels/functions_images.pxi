# The functions of images.

def affine_sample(Operations operations, str name):
    cdef const Operation* operation = operations.find(name)

    def function(const real[:, :] x not None, const real[:, :] matrices not None, real[:, ::1] y not None,
                 *settings):
        cdef Py_ssize_t n = x.shape[0], pixels = x.shape[1]
        cdef Call call
        begin(&call, operation.run)
        call.cols = pixels
        set_settings(&call, settings, operation)
        cdef Py_ssize_t height = settings[0], width = settings[1]
        if not 0 <= height <= pixels or not 0 <= width <= pixels or height * width != pixels:
            raise ValueError(f"expected images of height times width pixels, got rows of {pixels} for "
                             f"{height} times {width}")
        fill(&call.a, x, n, pixels)
        fill(&call.b, matrices, n, 6)
        fill(&call.out, y, n, pixels)
        run_rows(&call, n, 16 * n * pixels)

    return function
