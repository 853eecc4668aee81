"""Fit the polynomials of exp, expm1, log and erf, and write them to coefficients.h beside this file.

Four functions are smooth enough for a short polynomial on a short interval:

    q(r) = (e^r - 1 - r) / r^2                 on |r| <= ln(2)/2        (exp, expm1, tanh, sigmoid)
    p(z) = (log((1+s)/(1-s)) / s - 2) / z      on 0 <= z = s^2 <= s_max^2,  s_max = 3 - 2 sqrt(2)   (log)
    a(z) = erf(x) / x - 1                      on 0 <= z = x^2 <= 1                      (erf near zero)
    h(u) = -log(1 - erf(1 + u))                on 0 <= u <= 3 (float32), 5 (float64)     (erf beyond 1)

An error of h counts by the factor 1 - erf, which is at most 0.16; where it ends, erf rounds to 1.

Each is interpolated at Chebyshev's nodes in 50-digit arithmetic, which is within a small factor of the
best polynomial of its degree, and its coefficients are rounded to the element type, the highest power
first. tests/test_elementary.py measures the error of what is built on them. Needs mpmath:

    python kernels/fit_coefficients.py
"""
from pathlib import Path

import mpmath as mp
import numpy as np

mp.mp.dps = 50


def q(r):
    """(e^r - 1 - r) / r^2, from its series where the formula cancels."""
    return (mp.expm1(r) - r) / r**2 if abs(r) > mp.mpf("1e-12") else mp.mpf(1) / 2 + r / 6


def p(z):
    """(log((1+s)/(1-s)) / s - 2) / z with s = sqrt(z), from its series where the formula cancels."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z if z > mp.mpf("1e-12") else mp.mpf(2) / 3 + 2 * z / 5


def a(z):
    """erf(x) / x - 1 with x = sqrt(z), from its series at zero."""
    x = mp.sqrt(z)
    return mp.erf(x) / x - 1 if z > mp.mpf("1e-12") else 2 / mp.sqrt(mp.pi) * (1 - z / 3) - 1


def h(u):
    """-log(1 - erf(1 + u))."""
    return -mp.log(mp.erfc(1 + u))


EDGE = mp.log(2) / 2 * mp.mpf("1.01")
LARGEST_Z = (3 - 2 * mp.sqrt(2))**2 * mp.mpf("1.01")


def fit(function, interval, terms):
    return mp.chebyfit(function, interval, terms)


def split(value, dtype):
    """value = high + low; high is short enough that its product with any exponent is exact."""
    places = 15 if dtype is np.float32 else 41
    high = mp.nint(value * 2**places) / 2**places
    return dtype(str(high)), dtype(str(value - high))


def array(name, values, dtype):
    digits = 9 if dtype is np.float32 else 17
    body = ", ".join(f"{float(dtype(str(value))):.{digits}g}" for value in values)
    return f"#define {name}_TERMS {len(values)}\nstatic const real {name}[] = {{{body}}};\n"


def block(dtype, exp_terms, log_terms, erf_terms, erfc_terms):
    digits = 9 if dtype is np.float32 else 17
    high, low = split(mp.log(2), dtype)
    return (array("EXP_Q", fit(q, [-EDGE, EDGE], exp_terms), dtype)
            + array("LOG_P", fit(p, [0, LARGEST_Z], log_terms), dtype)
            + array("ERF_A", fit(a, [0, 1], erf_terms), dtype)
            + array("ERF_H", fit(h, [0, 3 if dtype is np.float32 else 5], erfc_terms), dtype)
            + f"#define LN2_HIGH {float(high):.{digits}g}\n#define LN2_LOW {float(low):.{digits}g}\n")


if __name__ == "__main__":
    text = ("/* Written by fit_coefficients.py, which says what each polynomial approximates. */\n"
            "#ifdef MINIDL_F64\n" + block(np.float64, 11, 7, 12, 25) + "#else\n"
            + block(np.float32, 5, 3, 7, 9) + "#endif\n")
    Path(__file__).with_name("coefficients.h").write_text(text)
