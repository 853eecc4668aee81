// The kernels of a prediction as scalar C99, which minidl.export_c copies into the files that it writes, as far as a
// model needs them. Each gives the bits of the block of its name in kernels/*.pxi: the same operations, the same order.
// A block begins with a line "// name" and ends before a blank line; it needs the blocks that its text names.

// num
typedef ptrdiff_t num;

// bits_of
static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

// from_bits
static float from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// absolute_of
static float absolute_of(float x) { return from_bits(bits_of(x) & 0x7fffffffu); }

// with_sign: |x| with the sign of another number
static float with_sign(float x, float of) {
  return from_bits((bits_of(x) & 0x7fffffffu) | (bits_of(of) & 0x80000000u));
}

// polynomial: Horner's rule, the highest power first
static float polynomial(float x, const float *coefficients, int terms) {
  float y = coefficients[0];
  for (int i = 1; i < terms; i++)
    y = fmaf(y, x, coefficients[i]);
  return y;
}

// EXP_Q
static const float EXP_Q[] = {0.00139269268f, 0.00836377405f, 0.0416665487f, 0.166665733f, 0.5f};

// LOG_P
static const float LOG_P[] = {0.295903176f, 0.399885505f, 0.666666865f};

// ERF_A
static const float ERF_A[] = {7.87587487e-05f, -0.00080168643f, 0.00518908724f, -0.0268542115f, 0.112835944f,
                              -0.37612626f, 0.128379166f};

// ERF_H
static const float ERF_H[] = {-1.6371514e-06f, 3.29608301e-05f, -0.000320239575f, 0.00205430086f, -0.0100778081f,
                              0.041575741f, 0.84310472f, 2.63896775f, 1.84960556f};

// LN2_HIGH
#define LN2_HIGH 0.693145752f

// LN2_LOW
#define LN2_LOW 1.42860677e-06f

// MAGIC: added, it rounds to an integer and leaves that in the low bits
#define MAGIC 12582912.0f

// power_of_two: 2^n for an integer n in the range of normal numbers
static float power_of_two(float n) { return from_bits((bits_of(n + MAGIC) << 23) + 0x3f800000u); }

// reduced_expm1: e^r - 1 where x = n ln2 + r
static float reduced_expm1(float x, float *n) {
  float r;
  *n = fmaf(x, 1.44269504f, MAGIC) - MAGIC;
  r = fmaf(*n, -LN2_HIGH, x);
  r = fmaf(*n, -LN2_LOW, r);
  return fmaf(r * r, polynomial(r, EXP_Q, 5), r);
}

// exp_of: 2^n in two factors, since n ranges from the denormal numbers to overflow
static float exp_of(float x) {
  float n, half, y;
  x = -105.0f > x ? -105.0f : x;
  x = x > 89.0f ? 89.0f : x;
  y = 1.0f + reduced_expm1(x, &n);
  half = fmaf(n, 0.5f, MAGIC) - MAGIC;
  return y * power_of_two(half) * power_of_two(n - half);
}

// expm1_negative: e^x - 1 for x <= 0
static float expm1_negative(float x) {
  float n, y, scale;
  y = reduced_expm1(-20.0f > x ? -20.0f : x, &n);
  scale = power_of_two(n);
  return fmaf(scale, y, scale - 1.0f);
}

// log_of
static float log_of(float x) {
  const float half_root = 0.707106781f;
  const int denormal = 1.17549435e-38f > x;
  const uint32_t shifted = bits_of(denormal ? x * 33554432.0f : x) + 0x3f800000u - bits_of(half_root);
  const float n = from_bits((shifted >> 23) | 0x4b000000u) - 8388735.0f - (denormal ? 25.0f : 0.0f);
  const float f = from_bits((shifted & 0x007fffffu) + bits_of(half_root)) - 1.0f;
  const float s = f / (2.0f + f), z = s * s, half_square = 0.5f * f * f;
  const float correction = fmaf(s, fmaf(z, polynomial(z, LOG_P, 3), half_square), n * LN2_LOW);
  float y = fmaf(n, LN2_HIGH, f - (half_square - correction));
  y = INFINITY > x ? y : x;
  y = 0.0f > x ? NAN : y;
  return absolute_of(x) > 0.0f ? y : x - INFINITY;
}

// tanh_of
static float tanh_of(float x) {
  const float t = expm1_negative(-2.0f * absolute_of(x));
  return with_sign(t / (2.0f + t), x);
}

// sigmoid_of
static float sigmoid_of(float x) {
  const float decay = exp_of(-absolute_of(x));
  return (0.0f > x ? decay : 1.0f) / (1.0f + decay);
}

// erf_of
static float erf_of(float x) {
  const float size = absolute_of(x), inner = fmaf(x, polynomial(x * x, ERF_A, 7), x);
  const float outer = -expm1_negative(-polynomial((size > 4.0f ? 4.0f : size) - 1.0f, ERF_H, 9));
  return 1.0f > size ? inner : with_sign(outer, x);
}

// relu_of
static float relu_of(float x) { return 0.0f > x ? 0.0f : x; }

// elu_of
static float elu_of(float x, float alpha) { return x > 0.0f ? x : alpha * expm1_negative(x > 0.0f ? 0.0f : x); }

// softplus_of
static float softplus_of(float x, float threshold) {
  const float u = exp_of(-absolute_of(x)), w = 1.0f + u;
  const float y = relu_of(x) + (log_of(w) + (u - (w - 1.0f)) / w);
  return x > threshold ? x : y;
}

// sign_of
static float sign_of(float x) { return x > 0.0f ? 1.0f : 0.0f > x ? -1.0f : 0.0f >= x ? 0.0f : x; }

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

// op_matmul: y = start + a b. Each sum is one chain of fused multiply-adds, in the order of k; start NULL: zeros
static void op_matmul(float *y, num ys, const float *a, num as0, num as1, const float *b, num bs0, num bs1,
                      const float *start, num ss, num rows, num cols, num depth) {
  const num wide = bs1 == 1 ? cols / 8 * 8 : 0;
  for (num i = 0; i < rows; i++) {
    for (num j = 0; j < wide; j += 8) {
      float acc[8];
      for (int v = 0; v < 8; v++)
        acc[v] = start ? start[i * ss + j + v] : 0.0f;
      for (num k = 0; k < depth; k++) {
        const float factor = a[i * as0 + k * as1], *row = b + k * bs0 + j;
        for (int v = 0; v < 8; v++)
          acc[v] = fmaf(factor, row[v], acc[v]);
      }
      for (int v = 0; v < 8; v++)
        y[i * ys + j + v] = acc[v];
    }
    for (num j = wide; j < cols; j++) {
      float acc = start ? start[i * ss + j] : 0.0f;
      for (num k = 0; k < depth; k++)
        acc = fmaf(a[i * as0 + k * as1], b[k * bs0 + j * bs1], acc);
      y[i * ys + j] = acc;
    }
  }
}

// op_bmm: y = a b for each of a stack of matrices
static void op_bmm(float *y, num yn, num ys, const float *a, num an, num as0, num as1, const float *b, num bn,
                   num bs0, num bs1, num count, num rows, num cols, num depth) {
  for (num n = 0; n < count; n++)
    op_matmul(y + n * yn, ys, a + n * an, as0, as1, b + n * bn, bs0, bs1, NULL, 0, rows, cols, depth);
}

// op_column_sum: y[j] = the sum of a[i, j] over i, in the order of i
static void op_column_sum(float *y, num ys, const float *a, num as0, num as1, num rows, num cols) {
  for (num j = 0; j < cols; j++) {
    float acc = 0.0f;
    for (num i = 0; i < rows; i++)
      acc = acc + a[i * as0 + j * as1];
    y[j * ys] = acc;
  }
}

// op_row_sum: y[i] = the sum of row i, of eight partial sums in double, over every eighth element
static void op_row_sum(float *y, num ys, const float *a, num as0, num as1, num rows, num cols) {
  for (num i = 0; i < rows; i++) {
    double part[8] = {0};
    for (num j = 0; j < cols; j++)
      part[j % 8] += a[i * as0 + j * as1];
    y[i * ys] = (float)(((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])));
  }
}

// largest_of: of a row; a NaN that it skips still reaches the sum
static float largest_of(const float *x, num step, num cols) {
  float largest = x[0];
  for (num j = 1; j < cols; j++)
    largest = x[j * step] > largest ? x[j * step] : largest;
  return largest;
}

// op_softmax: y = e^(x - max) / sum of e^(x - max), row by row
static void op_softmax(float *y, num ys, const float *a, num as0, num as1, num rows, num cols) {
  for (num i = 0; i < rows; i++) {
    const float largest = largest_of(a + i * as0, as1, cols);
    float acc = 0.0f;
    for (num j = 0; j < cols; j++) {
      y[i * ys + j] = exp_of(a[i * as0 + j * as1] - largest);
      acc = acc + y[i * ys + j];
    }
    for (num j = 0; j < cols; j++)
      y[i * ys + j] = y[i * ys + j] / acc;
  }
}

// op_log_softmax: y = (x - max) - log(sum of e^(x - max)), row by row
static void op_log_softmax(float *y, num ys, const float *a, num as0, num as1, num rows, num cols) {
  for (num i = 0; i < rows; i++) {
    const float largest = largest_of(a + i * as0, as1, cols);
    float acc = 0.0f;
    for (num j = 0; j < cols; j++)
      acc = acc + exp_of(a[i * as0 + j * as1] - largest);
    acc = log_of(acc);
    for (num j = 0; j < cols; j++)
      y[i * ys + j] = (a[i * as0 + j * as1] - largest) - acc;
  }
}

// sum_in_pairs: of 16 partial sums, 0 + 8, 1 + 9, ..., then 0 + 4, and so on
static float sum_in_pairs(float *part) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++)
      part[i] = part[i] + part[i + half];
  return part[0];
}

// op_layer_norm: y = (x - mean) / s w + b, row by row; w or b NULL: 1 or 0
static void op_layer_norm(float *y, num ys, const float *x, num xs, const float *w, const float *b, num rows, num cols,
                          float eps) {
  for (num i = 0; i < rows; i++, x += xs, y += ys) {
    float part[16] = {0}, squares[16] = {0}, mean, r;
    for (num j = 0; j < cols; j++)
      part[j % 16] = part[j % 16] + x[j];
    mean = sum_in_pairs(part) / (float)cols;
    for (num j = 0; j < cols; j++) {
      y[j] = x[j] - mean;
      squares[j % 16] = squares[j % 16] + y[j] * y[j];
    }
    r = 1.0f / sqrtf(sum_in_pairs(squares) / (float)cols + eps);
    for (num j = 0; j < cols; j++) {
      y[j] = y[j] * r;
      if (w)
        y[j] = y[j] * w[j];
      if (b)
        y[j] = y[j] + b[j];
    }
  }
}

// op_batch_norm: the same of columns; then the means, and the variances, as two rows more
static void op_batch_norm(float *y, num ys, const float *x, num xs, const float *w, const float *b, num rows, num cols,
                          float eps) {
  for (num j = 0; j < cols; j++) {
    float mean = 0.0f, variance = 0.0f, r;
    for (num i = 0; i < rows; i++)
      mean = mean + x[i * xs + j];
    mean = mean / (float)rows;
    for (num i = 0; i < rows; i++) {
      const float d = x[i * xs + j] - mean;
      variance = variance + d * d;
    }
    variance = variance / (float)rows;
    r = 1.0f / sqrtf(variance + eps);
    for (num i = 0; i < rows; i++) {
      float u = (x[i * xs + j] - mean) * r;
      if (w)
        u = u * w[j];
      if (b)
        u = u + b[j];
      y[i * ys + j] = u;
    }
    y[rows * ys + j] = mean;
    y[(rows + 1) * ys + j] = variance;
  }
}

// Windows: how they pass over images that lie as (height, width, channels)
typedef struct {
  num height, width, channels, out_height, out_width, out_channels, kernel_height, kernel_width;
  num stride_y, stride_x, dilation_y, dilation_x, groups, top, left, divisor;
} Windows;

// op_convolution: each output is one chain over (ky, kx, c), which begins at the bias; padding is a term of zero
static void op_convolution(float *y, const float *x, const float *weight, const float *bias, num samples,
                           const Windows *g) {
  const num channels = g->channels / g->groups, outputs = g->out_channels / g->groups;
  for (num n = 0; n < samples; n++, x += g->height * g->width * g->channels)
    for (num oy = 0; oy < g->out_height; oy++)
      for (num ox = 0; ox < g->out_width; ox++, y += g->out_channels)
        for (num j = 0, many; j < g->out_channels; j += many) {
          const num group = j / outputs, rest = (group + 1) * outputs - j;
          const float *row = weight + j;
          float acc[8];
          many = rest < 8 ? rest : 8;
          for (num v = 0; v < many; v++)
            acc[v] = bias ? bias[j + v] : 0.0f;
          for (num ky = 0; ky < g->kernel_height; ky++)
            for (num kx = 0; kx < g->kernel_width; kx++) {
              const num iy = oy * g->stride_y - g->top + ky * g->dilation_y;
              const num ix = ox * g->stride_x - g->left + kx * g->dilation_x;
              const int inside = iy >= 0 && iy < g->height && ix >= 0 && ix < g->width;
              const float *taps = inside ? x + (iy * g->width + ix) * g->channels + group * channels : NULL;
              for (num c = 0; c < channels; c++, row += g->out_channels) {
                const float value = taps ? taps[c] : 0.0f;
                if (many == 8)
                  for (num v = 0; v < 8; v++)
                    acc[v] = fmaf(value, row[v], acc[v]);
                else
                  for (num v = 0; v < many; v++)
                    acc[v] = fmaf(value, row[v], acc[v]);
              }
            }
          for (num v = 0; v < many; v++)
            y[j + v] = acc[v];
        }
}

// taps_inside: of the taps begin, begin + dilation, ... the first that is not negative, and how many are below size
static void taps_inside(num begin, num taps, num dilation, num size, num *first, num *many) {
  const num outside = begin < 0 ? (-begin + dilation - 1) / dilation : 0;
  num there;
  *first = begin + outside * dilation;
  there = *first < size ? (size - *first + dilation - 1) / dilation : 0;
  *many = taps - outside < there ? taps - outside : there;
  *many = *many < 0 ? 0 : *many;
}

// op_max_pool: the largest x of each window; NaN, if there is one
static void op_max_pool(float *y, const float *x, num samples, const Windows *g) {
  for (num n = 0; n < samples; n++, x += g->height * g->width * g->channels)
    for (num oy = 0; oy < g->out_height; oy++)
      for (num ox = 0; ox < g->out_width; ox++) {
        num iy, ix, height, width;
        taps_inside(oy * g->stride_y - g->top, g->kernel_height, g->dilation_y, g->height, &iy, &height);
        taps_inside(ox * g->stride_x - g->left, g->kernel_width, g->dilation_x, g->width, &ix, &width);
        for (num c = 0; c < g->channels; c++) {
          float largest = -INFINITY;
          for (num ky = 0; ky < height; ky++)
            for (num kx = 0; kx < width; kx++) {
              const float value =
                  x[((iy + ky * g->dilation_y) * g->width + ix + kx * g->dilation_x) * g->channels + c];
              largest = value > largest ? value : value >= value ? largest : value;
            }
          *y++ = largest;
        }
      }
}

// op_average_pool: the sum of the x of each window, divided by the divisor, or by a count: 0 of the taps in the image
// and in its padding, -1 of those in the image; -2: windows divide the image
static void op_average_pool(float *y, const float *x, num samples, const Windows *g) {
  for (num n = 0; n < samples; n++, x += g->height * g->width * g->channels)
    for (num oy = 0; oy < g->out_height; oy++)
      for (num ox = 0; ox < g->out_width; ox++) {
        num iy = oy * g->stride_y - g->top, ix = ox * g->stride_x - g->left, height, width;
        float count = (float)g->divisor;
        if (g->divisor == 0) {
          const num down = g->height + g->top - iy, right = g->width + g->left - ix;
          count = (float)((g->kernel_height < down ? g->kernel_height : down) *
                          (g->kernel_width < right ? g->kernel_width : right));
        }
        if (g->divisor == -2) {
          iy = oy * g->height / g->out_height;
          ix = ox * g->width / g->out_width;
          height = ((oy + 1) * g->height + g->out_height - 1) / g->out_height - iy;
          width = ((ox + 1) * g->width + g->out_width - 1) / g->out_width - ix;
        } else {
          taps_inside(iy, g->kernel_height, g->dilation_y, g->height, &iy, &height);
          taps_inside(ix, g->kernel_width, g->dilation_x, g->width, &ix, &width);
        }
        if (g->divisor < 0)
          count = (float)(height * width);
        for (num c = 0; c < g->channels; c++) {
          float acc = 0.0f;
          for (num ky = 0; ky < height; ky++)
            for (num kx = 0; kx < width; kx++)
              acc = acc + x[((iy + ky * g->dilation_y) * g->width + ix + kx * g->dilation_x) * g->channels + c];
          *y++ = acc / count;
        }
      }
}

// op_turned: each row of a as a matrix of so many rows, transposed
static void op_turned(float *y, num ys, const float *a, num as0, num rows, num cols, num height) {
  const num width = cols / height;
  for (num n = 0; n < rows; n++)
    for (num i = 0; i < height; i++)
      for (num j = 0; j < width; j++)
        y[n * ys + j * height + i] = a[n * as0 + i * width + j];
}

// op_take_rows: y[i] = table[index[i]]; -1 for an index outside 0..size-1
static int op_take_rows(float *y, num ys, const float *table, num ts0, num ts1, const int64_t *index, num size,
                        num rows, num cols) {
  for (num i = 0; i < rows; i++) {
    if (index[i] < 0 || index[i] >= size)
      return -1;
    for (num j = 0; j < cols; j++)
      y[i * ys + j] = table[index[i] * ts0 + j * ts1];
  }
  return 0;
}

// op_rnn: h' = tanh(a + h W^T), or relu, for all steps; work: h in steps + 1 places, of which the first is given
static void op_rnn(float *h, const float *a, num as, const float *w, num ws0, num ws1, num steps, num n, num size,
                   int reverse, int relu) {
  const num place = n * size;
  for (num i = 0; i < steps; i++) {
    const num t = reverse ? steps - 1 - i : i;
    float *z = h + (t + 1 - reverse) * place;
    op_matmul(z, size, h + (t + reverse) * place, size, 1, w, ws0, ws1, a + t * n * as, as, n, size, size);
    for (num j = 0; j < place; j++)
      z[j] = relu ? relu_of(z[j]) : tanh_of(z[j]);
  }
}

// op_lstm: c' = f c + i u, h' = o tanh c' for all steps; work: h and c in steps + 1 places each, then the gates
static void op_lstm(float *h, const float *a, num as, const float *w, num ws0, num ws1, num steps, num n, num size,
                    int reverse) {
  const num place = n * size;
  float *const c = h + (steps + 1) * place, *const gates = c + (steps + 1) * place;
  for (num i = 0; i < steps; i++) {
    const num t = reverse ? steps - 1 - i : i, before = (t + reverse) * place, after = (t + 1 - reverse) * place;
    float *z = gates + 4 * t * place;
    op_matmul(z, 4 * size, h + before, size, 1, w, ws0, ws1, a + t * n * as, as, n, 4 * size, size);
    for (num k = 0; k < n; k++, z += 4 * size)
      for (num j = 0; j < size; j++) {
        const float input = sigmoid_of(z[j]), forget = sigmoid_of(z[size + j]), cell = tanh_of(z[2 * size + j]);
        const float output = sigmoid_of(z[3 * size + j]);
        const float state = forget * c[before + k * size + j] + input * cell;
        c[after + k * size + j] = state;
        h[after + k * size + j] = output * tanh_of(state);
      }
  }
}

// op_gru: h' = n + z (h - n) for all steps; work: h in steps + 1 places, then the gates
static void op_gru(float *h, const float *a, num as, const float *w, num ws0, num ws1, const float *bias, num steps,
                   num n, num size, int reverse) {
  const num place = n * size;
  float *const gates = h + (steps + 1) * place;
  for (num i = 0; i < steps; i++) {
    const num t = reverse ? steps - 1 - i : i, before = (t + reverse) * place, after = (t + 1 - reverse) * place;
    float *q = gates + 3 * t * place;
    op_matmul(q, 3 * size, h + before, size, 1, w, ws0, ws1, bias, 0, n, 3 * size, size);
    for (num k = 0; k < n; k++, q += 3 * size) {
      const float *const p = a + (t * n + k) * as;
      for (num j = 0; j < size; j++) {
        const float reset = sigmoid_of(p[j] + q[j]), update = sigmoid_of(p[size + j] + q[size + j]);
        const float fresh = tanh_of(p[2 * size + j] + reset * q[2 * size + j]);
        h[after + k * size + j] = fresh + update * (h[before + k * size + j] - fresh);
      }
    }
  }
}
