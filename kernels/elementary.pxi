# exp, expm1, log, tanh, sigmoid and erf of a vector, without a branch.
#
#     x = n ln2 + r, |r| <= ln2 / 2        (Cody and Waite: ln2 in two parts, each product fused)
#     e^r - 1 = r + r^2 q(r)               (q: see fit_coefficients.py)
#     e^x = 2^n (1 + (e^r - 1)),  e^x - 1 = 2^n (e^r - 1) + (2^n - 1)
#     x = 2^n m, sqrt(1/2) <= m < sqrt(2);  f = m - 1, s = f / (2 + f)
#     log m = f - (f^2/2 - s (f^2/2 + s^2 p(s^2)));  log x = n ln2 + log m
#     tanh |x| = -t / (2 + t),  t = e^(-2|x|) - 1
#     sigmoid x = 1 / (1 + e^-|x|), and e^-|x| times that for x < 0
#     erf |x| = |x| (1 + a(x^2)) below 1, and -(e^-h(|x| - 1) - 1) beyond
#
# Adding MAGIC = 1.5 * 2^MANTISSA rounds to an integer and leaves it in the low bits.

cdef extern from "coefficients.h" nogil:
    const int EXP_Q_TERMS, LOG_P_TERMS, ERF_A_TERMS, ERF_H_TERMS
    const real EXP_Q[]
    const real LOG_P[]
    const real ERF_A[]
    const real ERF_H[]
    const real LN2_HIGH, LN2_LOW

cdef extern from * nogil:
    """
    #include <math.h>
    #ifdef MINIDL_F64
    #define MANTISSA 52
    #define BIAS 1023
    #define EXP_LOW (-746.0)  /* below, e^x rounds to zero */
    #define EXP_HIGH 710.0    /* above, it overflows */
    #define EXPM1_LOW (-40.0) /* below, e^x - 1 rounds to -1 */
    #define ERF_HIGH 6.0      /* above, erf x rounds to 1 */
    #else
    #define MANTISSA 23
    #define BIAS 127
    #define EXP_LOW (-105.0f)
    #define EXP_HIGH 89.0f
    #define EXPM1_LOW (-20.0f)
    #define ERF_HIGH 4.0f
    #endif
    #define ONE_BITS ((integer)BIAS << MANTISSA)
    #define SIGN_BIT ((integer)1 << (8 * sizeof(integer) - 1))
    #define MANTISSA_BITS (((integer)1 << MANTISSA) - 1)
    #define TWO_MANTISSA ((real)((integer)1 << MANTISSA))
    #define MAGIC ((real)1.5 * TWO_MANTISSA)
    static const real HALF_ROOT = (real)0.70710678118654752;
    #define LOG2_E ((real)1.4426950408889634)
    #define SMALLEST_NORMAL ((real)(sizeof(real) == 8 ? 2.2250738585072014e-308 : 1.1754943508222875e-38))
    """
    const int MANTISSA, BIAS
    const real EXP_LOW, EXP_HIGH, EXPM1_LOW, ERF_HIGH, TWO_MANTISSA, MAGIC, HALF_ROOT, LOG2_E, SMALLEST_NORMAL
    const long long ONE_BITS, SIGN_BIT, MANTISSA_BITS
    const real INFINITY, NAN


cdef inline vec polynomial(vec x, const real* coefficients, const int terms) noexcept nogil:
    """Horner's rule, the highest power first."""
    cdef vec y = broadcast(coefficients[0])
    cdef int i
    for i in range(1, terms):
        y = fma(y, x, broadcast(coefficients[i]))
    return y


cdef inline vec at_least(vec x, real bound) noexcept nogil:
    return larger(broadcast(bound), x)


cdef inline vec at_most(vec x, real bound) noexcept nogil:
    return smaller(broadcast(bound), x)


cdef inline vec power_of_two(vec n) noexcept nogil:
    """2^n for an integer n in the range of normal numbers."""
    return from_bits((bits(n + broadcast(MAGIC)) << MANTISSA) + broadcast_bits(ONE_BITS))


cdef inline vec reduced_expm1(vec x, vec* n) noexcept nogil:
    """e^r - 1 where x = n ln2 + r."""
    n[0] = fma(x, broadcast(LOG2_E), broadcast(MAGIC)) - broadcast(MAGIC)
    cdef vec r = fma(n[0], broadcast(-LN2_HIGH), x)
    r = fma(n[0], broadcast(-LN2_LOW), r)
    return fma(r * r, polynomial(r, EXP_Q, EXP_Q_TERMS), r)


cdef inline vec vexp(vec x, vec unused) noexcept nogil:
    # 2^n in two factors, unless one instruction does it, since n ranges from the denormal numbers to overflow.
    cdef vec n, half, y = broadcast(1) + reduced_expm1(at_most(at_least(x, EXP_LOW), EXP_HIGH), &n)
    if SCALES:
        return scaled_by_power(y, n)
    half = fma(n, broadcast(0.5), broadcast(MAGIC)) - broadcast(MAGIC)
    return y * power_of_two(half) * power_of_two(n - half)


cdef inline vec expm1_negative(vec x) noexcept nogil:
    """e^x - 1 for x <= 0."""
    cdef vec n, y = reduced_expm1(at_least(x, EXPM1_LOW), &n), scale = power_of_two(n)
    return fma(scale, y, scale - broadcast(1))


cdef inline vec absolute(vec x) noexcept nogil:
    return from_bits(bits(x) & ~broadcast_bits(SIGN_BIT))


cdef inline vec vlog(vec x, vec unused) noexcept nogil:
    cdef mask denormal = greater(broadcast(SMALLEST_NORMAL), x)
    cdef mask shifted = (bits(choose(denormal, x * broadcast(4 * TWO_MANTISSA), x))
                         + broadcast_bits(ONE_BITS) - bits(broadcast(HALF_ROOT)))
    cdef vec n = (from_bits(shift_right(shifted, MANTISSA) | bits(broadcast(TWO_MANTISSA)))
                  - broadcast(TWO_MANTISSA + BIAS)
                  - choose(denormal, broadcast(MANTISSA + 2), broadcast(0)))
    cdef vec f = from_bits((shifted & broadcast_bits(MANTISSA_BITS)) + bits(broadcast(HALF_ROOT))) - broadcast(1)
    cdef vec s = f / (broadcast(2) + f), z = s * s, half_square = broadcast(0.5) * f * f
    cdef vec correction = fma(s, fma(z, polynomial(z, LOG_P, LOG_P_TERMS), half_square), n * broadcast(LN2_LOW))
    cdef vec y = fma(n, broadcast(LN2_HIGH), f - (half_square - correction))
    y = choose(greater(broadcast(INFINITY), x), y, x)               # inf gives inf, NaN gives NaN,
    y = choose(greater(broadcast(0), x), broadcast(NAN), y)         # negative numbers give NaN,
    return choose(greater(absolute(x), broadcast(0)), y, x - broadcast(INFINITY))   # and zero -inf


cdef inline vec vtanh(vec x, vec unused) noexcept nogil:
    cdef vec t = expm1_negative(broadcast(-2) * absolute(x))
    cdef mask sign = bits(x) & broadcast_bits(SIGN_BIT)
    return from_bits(bits(absolute(t / (broadcast(2) + t))) | sign)


cdef inline vec vsigmoid(vec x, vec unused) noexcept nogil:
    cdef vec decay = vexp(-absolute(x), unused)
    return choose(greater(broadcast(0), x), decay, broadcast(1)) / (broadcast(1) + decay)


cdef inline vec verf(vec x, vec unused) noexcept nogil:
    cdef vec size = absolute(x), one = broadcast(1)
    cdef vec near = fma(x, polynomial(x * x, ERF_A, ERF_A_TERMS), x)
    cdef vec far = -expm1_negative(-polynomial(at_most(size, ERF_HIGH) - one, ERF_H, ERF_H_TERMS))
    cdef mask sign = bits(x) & broadcast_bits(SIGN_BIT)
    return choose(greater(one, size), near, from_bits(bits(absolute(far)) | sign))
