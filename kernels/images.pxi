# Images, each a row of height times width pixels.

from libc.math cimport floor


cdef inline real pixel(
    const real* image, Py_ssize_t s, double row, double column, Py_ssize_t height, Py_ssize_t width, real fill
) noexcept nogil:
    if 0 <= row < height and 0 <= column < width:
        return image[(<Py_ssize_t>row * width + <Py_ssize_t>column) * s]
    return fill


# The pixel (x, y) of image n, from the centre, is the old image at (u, v) = M (x, y, 1), M = b[n] as (2, 3): the mean
# of the four pixels around (u, v), weighted by how near they are. settings: height, width, fill.
cdef void affine_sample(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t height = <Py_ssize_t>call.settings.all[0], width = <Py_ssize_t>call.settings.all[1]
    cdef Py_ssize_t n, i, j, s = call.a.s1
    cdef real fill = <real>call.settings.all[2], a, b, c, d, right, low
    cdef double x0 = (width - 1) * 0.5, y0 = (height - 1) * 0.5, x, y, u, v, left, top
    cdef double m[6]
    cdef const real* image
    cdef const real* corner
    cdef real* out
    for n in range(rows):
        image, out = call.a.at + n * call.a.s0, call.out.at + n * call.out.s0
        for i in range(6):
            m[i] = call.b.at[n * call.b.s0 + i * call.b.s1]
        for i in range(height):
            y = i - y0
            for j in range(width):
                x = j - x0
                u, v = m[0] * x + m[1] * y + m[2] + x0, m[3] * x + m[4] * y + m[5] + y0
                left, top = floor(u), floor(v)
                right, low = <real>(u - left), <real>(v - top)
                if 0 <= left and left + 1 < width and 0 <= top and top + 1 < height:
                    corner = image + (<Py_ssize_t>top * width + <Py_ssize_t>left) * s
                    a, b, c, d = corner[0], corner[s], corner[width * s], corner[(width + 1) * s]
                else:
                    a = pixel(image, s, top, left, height, width, fill)
                    b = pixel(image, s, top, left + 1, height, width, fill)
                    c = pixel(image, s, top + 1, left, height, width, fill)
                    d = pixel(image, s, top + 1, left + 1, height, width, fill)
                a, c = a + (b - a) * right, c + (d - c) * right
                out[i * width + j] = a + (c - a) * low


register(b"affine_sample", affine_sample, BY_NAME,
         b"y[n] = image x[n] under the map matrices[n], with bilinear interpolation.", b"height width fill")
