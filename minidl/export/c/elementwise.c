// The elementwise kernels, each a loop over rows and columns.

// UNARY: y[i, j] = value of x = x[i, j] and of the setting s
#define UNARY(name, value)                                                                             \
  static void name(float *y, num ys, const float *a, num as0, num as1, num rows, num cols, float s) { \
    for (num i = 0; i < rows; i++)                                                                     \
      for (num j = 0; j < cols; j++) {                                                                 \
        const float x = a[i * as0 + j * as1];                                                          \
        y[i * ys + j] = (value);                                                                       \
      }                                                                                                \
    (void)s;                                                                                           \
  }

// op_copy
UNARY(op_copy, x)

// op_negative
UNARY(op_negative, -x)

// op_absolute
UNARY(op_absolute, absolute_of(x))

// op_sqrt
UNARY(op_sqrt, sqrtf(x))

// op_square
UNARY(op_square, x *x)

// op_sign
UNARY(op_sign, sign_of(x))

// op_exp
UNARY(op_exp, exp_of(x))

// op_log
UNARY(op_log, log_of(x))

// op_erf
UNARY(op_erf, erf_of(x))

// op_relu
UNARY(op_relu, relu_of(x))

// op_leaky_relu
UNARY(op_leaky_relu, x > 0.0f ? x : s * x)

// op_elu
UNARY(op_elu, elu_of(x, s))

// op_selu
UNARY(op_selu, 1.05070099f * elu_of(x, 1.67326324f))

// op_tanh
UNARY(op_tanh, tanh_of(x))

// op_sigmoid
UNARY(op_sigmoid, sigmoid_of(x))

// op_softplus
UNARY(op_softplus, softplus_of(x, s))

// BINARY: y[i, j] = value of g = a[i, j] and x = b[i, j]
#define BINARY(name, type, value)                                                                                 \
  static void name(type *y, num ys, const float *a, num as0, num as1, const float *b, num bs0, num bs1, num rows, \
                   num cols) {                                                                                    \
    for (num i = 0; i < rows; i++)                                                                                \
      for (num j = 0; j < cols; j++) {                                                                            \
        const float g = a[i * as0 + j * as1], x = b[i * bs0 + j * bs1];                                           \
        y[i * ys + j] = (value);                                                                                  \
      }                                                                                                           \
  }

// op_add
BINARY(op_add, float, g + x)

// op_subtract
BINARY(op_subtract, float, g - x)

// op_multiply
BINARY(op_multiply, float, g * x)

// op_divide
BINARY(op_divide, float, g / x)

// op_less
BINARY(op_less, unsigned char, g < x)

// op_less_equal
BINARY(op_less_equal, unsigned char, g <= x)

// op_equal
BINARY(op_equal, unsigned char, g == x)

// op_not_equal
BINARY(op_not_equal, unsigned char, g != x)

// op_where: y = a where the condition is not 0, b elsewhere
static void op_where(float *y, num ys, const float *a, num as0, num as1, const float *b, num bs0, num bs1,
                     const unsigned char *condition, num cs0, num cs1, num rows, num cols) {
  for (num i = 0; i < rows; i++)
    for (num j = 0; j < cols; j++)
      y[i * ys + j] = condition[i * cs0 + j * cs1] ? a[i * as0 + j * as1] : b[i * bs0 + j * bs1];
}

// op_zero
static void op_zero(float *y, num ys, num rows, num cols) {
  for (num i = 0; i < rows; i++)
    for (num j = 0; j < cols; j++)
      y[i * ys + j] = 0.0f;
}
