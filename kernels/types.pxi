# The element, the vector and the mask of this target, from simd.h. To Cython they are a float and an
# int; the C compiler knows their width.

cdef extern from "simd.h" nogil:
    ctypedef float real
    ctypedef float vec
    ctypedef int mask
    ctypedef int integer
    const int LANES, TILE_ROWS
    vec load(const real* p) noexcept
    void store(real* p, vec v) noexcept
    vec load_part(const real* p, Py_ssize_t n) noexcept
    void store_part(real* p, vec v, Py_ssize_t n) noexcept
    void store_last(real* p, vec v, Py_ssize_t n) noexcept
    vec broadcast(real x) noexcept
    mask broadcast_bits(long long x) noexcept
    mask bits(vec v) noexcept
    vec from_bits(mask m) noexcept
    mask greater(vec a, vec b) noexcept
    mask not_less(vec a, vec b) noexcept
    mask shift_right(mask m, int n) noexcept
    vec choose(mask m, vec a, vec b) noexcept
    vec larger(vec a, vec b) noexcept
    vec smaller(vec a, vec b) noexcept
    vec scaled_by_power(vec v, vec n) noexcept
    const int SCALES
    vec root_of(vec v) noexcept
    vec quotient(vec a, vec b, vec inverse) noexcept
    void transpose(vec* rows) noexcept
    vec picked(vec a, vec b, mask order) noexcept
    void columns_to_rows(vec* columns, const int n) noexcept
    void columns_of_eight(vec* rows) noexcept
    void store_eight(real* p, const vec* v, int which) noexcept
    const int EIGHTS
    void prefetch(const real* p) noexcept
    void fetch(const real* p) noexcept
    vec gather(const real* p, Py_ssize_t step, Py_ssize_t n) noexcept
    void scatter(real* p, Py_ssize_t step, vec v, Py_ssize_t n) noexcept
    vec fma "fma_"(vec a, vec b, vec c) noexcept


cdef inline vec load_strided(const real* p, Py_ssize_t step, Py_ssize_t n) noexcept nogil:
    """The n <= LANES elements at p, p + step, ...; zeros beyond. A step of 0 gives one in all lanes."""
    if step == 1:
        return load(p) if n == LANES else load_part(p, n)
    if step == 0:
        return broadcast(p[0])
    return gather(p, step, n)


cdef inline void store_first(real* p, vec v, Py_ssize_t n) noexcept nogil:
    """Store the first n <= LANES lanes."""
    if n == LANES:
        store(p, v)
    else:
        store_last(p, v, n)


cdef inline void store_in_row(real* p, vec v, Py_ssize_t n) noexcept nogil:
    """store_first(), quicker and with more code, for what comes once a row."""
    if n == LANES:
        store(p, v)
    else:
        store_part(p, v, n)


cdef inline void store_strided(real* p, Py_ssize_t step, vec v, Py_ssize_t n) noexcept nogil:
    """Store the first n <= LANES lanes at p, p + step, ..."""
    if step == 1:
        store_first(p, v, n)
    else:
        scatter(p, step, v, n)
