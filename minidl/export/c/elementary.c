// The elementary functions of predictions as scalar C99, with the bits of kernels/elementary.pxi and activations.pxi.
//
// minidl.export_c copies the blocks of this folder into the files that it writes, as far as a model needs them. Each
// gives the bits of the block of its name in kernels/*.pxi: the same operations in the same order. A block begins with a
// line "// name" and ends before a blank line; it needs the blocks that its text names. A file begins with a comment
// like this one.

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
