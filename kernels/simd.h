/* The vector of the target: its type, and how to load, store, select and multiply-add it.

   A kernel module is compiled with one target's flags and one element type (MINIDL_F64 or float32).
   Everything else about a kernel stands in the .pxi files, which depend on neither. */
#ifndef MINIDL_SIMD_H
#define MINIDL_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "real.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>
#define NEON /* of every 64-bit ARM processor */
#endif

/* Bytes of a vector, and the rows of the product's register tile: 12 x 2 vectors fill the 32 registers of AVX-512
   and of NEON, 6 x 2 the 16 of the others. */
#if defined(__AVX512F__)
#define VEC_BYTES 64
#define TILE_ROWS 12
#elif defined(__AVX2__)
#define VEC_BYTES 32
#define TILE_ROWS 6
#elif defined(NEON)
#define VEC_BYTES 16
#define TILE_ROWS 12
#elif defined(__GNUC__)
#define VEC_BYTES 16
#define TILE_ROWS 6
#else
#define VEC_BYTES ((int)sizeof(real)) /* no vector extension: one lane */
#define TILE_ROWS 6
#endif
#define LANES ((int)(VEC_BYTES / (int)sizeof(real)))

#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline))
typedef real vec __attribute__((vector_size(VEC_BYTES)));
typedef integer mask __attribute__((vector_size(VEC_BYTES)));
#else
#define INLINE static __inline
typedef real vec;
typedef integer mask;
#endif

INLINE vec load(const real *p) { vec v; memcpy(&v, p, sizeof v); return v; }
INLINE void store(real *p, vec v) { memcpy(p, &v, sizeof v); }
INLINE mask bits(vec v) { mask m; memcpy(&m, &v, sizeof m); return m; }
INLINE vec from_bits(mask m) { vec v; memcpy(&v, &m, sizeof v); return v; }

#ifdef __GNUC__
INLINE vec broadcast(real x) { return x - (vec){0}; }
INLINE mask broadcast_bits(integer x) { return x + (mask){0}; }
#if VEC_BYTES == 16 && defined(__SSE2__) && defined(MINIDL_F64)
/* gcc 12 stops with an internal error where it folds a choice between doubles without SSE4.1 */
INLINE mask greater(vec a, vec b) { return (mask)_mm_cmpgt_pd((__m128d)a, (__m128d)b); }
INLINE mask not_less(vec a, vec b) { return (mask)_mm_cmpge_pd((__m128d)a, (__m128d)b); }
#else
INLINE mask greater(vec a, vec b) { return a > b; }
INLINE mask not_less(vec a, vec b) { return a >= b; }
#endif
INLINE mask shift_right(mask m, int n) { /* logical */
#ifdef MINIDL_F64
  typedef uint64_t unsigned_mask __attribute__((vector_size(VEC_BYTES)));
#else
  typedef uint32_t unsigned_mask __attribute__((vector_size(VEC_BYTES)));
#endif
  return (mask)((unsigned_mask)m >> n);
}
#else
INLINE vec broadcast(real x) { return x; }
INLINE mask broadcast_bits(integer x) { return x; }
INLINE mask greater(vec a, vec b) { return -(mask)(a > b); }
INLINE mask not_less(vec a, vec b) { return -(mask)(a >= b); }
INLINE mask shift_right(mask m, int n) {
#ifdef MINIDL_F64
  return (mask)((uint64_t)m >> n);
#else
  return (mask)((uint32_t)m >> n);
#endif
}
#endif

/* a where m is set, b elsewhere */
INLINE vec choose(mask m, vec a, vec b) { return from_bits((bits(a) & m) | (bits(b) & ~m)); }

/* a where it is greater than b, else b: also where one of them is NaN */
INLINE vec larger(vec a, vec b) {
#if defined(__AVX512F__) && defined(MINIDL_F64)
  return (vec)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif defined(__AVX512F__)
  return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__) && defined(MINIDL_F64)
  return (vec)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif defined(__AVX2__)
  return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return choose(greater(a, b), a, b);
#endif
}

/* a where it is less than b, else b: also where one of them is NaN */
INLINE vec smaller(vec a, vec b) {
#if defined(__AVX512F__) && defined(MINIDL_F64)
  return (vec)_mm512_min_pd((__m512d)a, (__m512d)b);
#elif defined(__AVX512F__)
  return (vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__) && defined(MINIDL_F64)
  return (vec)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif defined(__AVX2__)
  return (vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return choose(greater(b, a), a, b);
#endif
}

/* v 2^n in one rounding, for integers n, where the target has it (AVX-512) */
#if defined(__AVX512F__)
#define SCALES 1
INLINE vec scaled_by_power(vec v, vec n) {
#if defined(MINIDL_F64)
  return (vec)_mm512_scalef_pd((__m512d)v, (__m512d)n);
#else
  return (vec)_mm512_scalef_ps((__m512)v, (__m512)n);
#endif
}
#else
#define SCALES 0
INLINE vec scaled_by_power(vec v, vec n) { return v * n; } /* is not called */
#endif

/* a b + c in one rounding where the target has it (AVX2, AVX-512, NEON), in two elsewhere */
INLINE vec fma_(vec a, vec b, vec c) {
#if defined(__AVX512F__) && defined(MINIDL_F64)
  return (vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX512F__)
  return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(MINIDL_F64)
  return (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__AVX2__)
  return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(NEON) && defined(MINIDL_F64)
  return (vec)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#elif defined(NEON)
  return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

/* a / b in one rounding, for inverse = 1 / b, where neither the quotient nor its last bit over- or underflows: with a
   fused multiply-add the remainder of a quotient is exact, and corrects it (Markstein 1990); the first time to within
   one unit in the last place, the second time to the right one. It takes half the time of a division. */
INLINE vec quotient(vec a, vec b, vec inverse) {
#if defined(__AVX2__)
  vec first = a * inverse, q = fma_(fma_(-first, b, a), inverse, first);
  return choose(not_less(a - a, broadcast(0)), fma_(fma_(-q, b, a), inverse, q), first); /* infinity has no remainder */
#else
  return a / b;
#endif
}

/* The square root of each lane */
INLINE vec root_of(vec v) {
#if defined(__AVX512F__) && defined(MINIDL_F64)
  return (vec)_mm512_sqrt_pd((__m512d)v);
#elif defined(__AVX512F__)
  return (vec)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX2__) && defined(MINIDL_F64)
  return (vec)_mm256_sqrt_pd((__m256d)v);
#elif defined(__AVX2__)
  return (vec)_mm256_sqrt_ps((__m256)v);
#elif defined(NEON) && defined(MINIDL_F64)
  return (vec)vsqrtq_f64((float64x2_t)v);
#elif defined(NEON)
  return (vec)vsqrtq_f32((float32x4_t)v);
#else
  real lanes[LANES];
  store(lanes, v);
  for (int i = 0; i < LANES; i++)
    lanes[i] = sizeof(real) == 8 ? (real)sqrt(lanes[i]) : (real)sqrtf((float)lanes[i]);
  return load(lanes);
#endif
}

/* The first n lanes (0 <= n <= LANES): the others load as zero and are not stored. The sanitizer does not
   check masked instructions. */
INLINE vec load_part(const real *p, ptrdiff_t n) {
#if defined(__SANITIZE_ADDRESS__)
  vec v = broadcast(0);
  memcpy(&v, p, (size_t)n * sizeof(real));
  return v;
#elif defined(__AVX512F__) && defined(MINIDL_F64)
  return (vec)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#elif defined(__AVX512F__)
  return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined(__AVX2__) && defined(MINIDL_F64)
  return (vec)_mm256_maskload_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)));
#elif defined(__AVX2__)
  return (vec)_mm256_maskload_ps(
      p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
#else
  vec v = broadcast(0);
  memcpy(&v, p, (size_t)n * sizeof(real));
  return v;
#endif
}
#if defined(__AVX2__) && !defined(__AVX512F__)
INLINE void store_masked(real *p, vec v, ptrdiff_t n) {
#ifdef MINIDL_F64
  _mm256_maskstore_pd(
      p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)), (__m256d)v);
#else
  _mm256_maskstore_ps(
      p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)), (__m256)v);
#endif
}
#endif
/* float32 by powers of two: a masked store of AVX2 takes AMD's Zen 3 a dozen cycles and more. */
INLINE void store_part(real *p, vec v, ptrdiff_t n) {
#if defined(__SANITIZE_ADDRESS__)
  memcpy(p, &v, (size_t)n * sizeof(real));
#elif defined(__AVX512F__) && defined(MINIDL_F64)
  _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
#elif defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif defined(__AVX2__) && defined(MINIDL_F64)
  store_masked(p, v, n);
#elif defined(__AVX2__)
  __m128 low = _mm256_castps256_ps128((__m256)v);
  if (n & 8)
    store(p, v);
  if (n & 4) {
    _mm_storeu_ps(p, low);
    p += 4;
    low = _mm256_extractf128_ps((__m256)v, 1);
  }
  if (n & 2) {
    _mm_storel_pi((__m64 *)p, low);
    p += 2;
    low = _mm_movehl_ps(low, low);
  }
  if (n & 1)
    _mm_store_ss(p, low);
#else
  memcpy(p, &v, (size_t)n * sizeof(real));
#endif
}
/* The same in less code, for what does not come once a row. */
INLINE void store_last(real *p, vec v, ptrdiff_t n) {
#if defined(__AVX2__) && !defined(__AVX512F__) && !defined(__SANITIZE_ADDRESS__)
  store_masked(p, v, n);
#else
  store_part(p, v, n);
#endif
}

/* The first n lanes at p, p + step, ...; zero behind them. These loops stand in every elementwise kernel, so they stay
   loops: unrolled, or made of vectors, they are most of its code, and no faster. Nor are they functions, of which a
   call would push the vectors out of the registers. */
#ifdef __GNUC__
#define STAYS_A_LOOP __asm__ volatile("")
#else
#define STAYS_A_LOOP
#endif
INLINE vec gather(const real *p, ptrdiff_t step, ptrdiff_t n) {
  real lanes[LANES];
  if (n == LANES) {
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i++, p += step) {
      lanes[i] = *p;
      STAYS_A_LOOP;
    }
    return load(lanes);
  }
  store(lanes, broadcast(0));
#pragma GCC unroll 1
  for (ptrdiff_t i = 0; i < n; i++) {
    lanes[i] = p[i * step];
    STAYS_A_LOOP;
  }
  return load(lanes);
}
INLINE void scatter(real *p, ptrdiff_t step, vec v, ptrdiff_t n) {
  real lanes[LANES];
  store(lanes, v);
#pragma GCC unroll 1
  for (ptrdiff_t i = 0; i < n; i++) {
    p[i * step] = lanes[i];
    STAYS_A_LOOP;
  }
}

/* The LANES x LANES matrix of these vectors, transposed: each round interleaves the upper half with the
   lower, and after log2(LANES) rounds rows have become columns. */
#if defined(__GNUC__)
#if VEC_BYTES / (4 + 4 * defined(MINIDL_F64)) == 16
#define ZIP_LOW {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23}
#define ZIP_HIGH {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31}
#elif VEC_BYTES / (4 + 4 * defined(MINIDL_F64)) == 8
#define ZIP_LOW {0, 8, 1, 9, 2, 10, 3, 11}
#define ZIP_HIGH {4, 12, 5, 13, 6, 14, 7, 15}
#elif VEC_BYTES / (4 + 4 * defined(MINIDL_F64)) == 4
#define ZIP_LOW {0, 4, 1, 5}
#define ZIP_HIGH {2, 6, 3, 7}
#else
#define ZIP_LOW {0, 2}
#define ZIP_HIGH {1, 3}
#endif
INLINE vec zip(vec a, vec b, const int high) {
#ifdef __clang__
  vec z;
  for (int i = 0; i < LANES; i++) { /* clang recognises the pattern */
    int from = high * LANES / 2 + i / 2;
    z[i] = i % 2 ? b[from] : a[from];
  }
  return z;
#else
  const mask low = ZIP_LOW, upper = ZIP_HIGH;
  return high ? __builtin_shuffle(a, b, upper) : __builtin_shuffle(a, b, low);
#endif
}
INLINE void transpose(vec *rows) {
#if defined(__AVX512F__) && !defined(MINIDL_F64)
  /* The same with instructions that take half the time, since they stay within quarters of a vector, or move them */
  __m512d pairs[16];
  __m512 fours[16], *row = (__m512 *)rows;
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = (__m512d)_mm512_unpacklo_ps(row[i], row[i + 1]);
    pairs[i + 1] = (__m512d)_mm512_unpackhi_ps(row[i], row[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; j++) {
      fours[i + 2 * j] = (__m512)_mm512_unpacklo_pd(pairs[i + j], pairs[i + j + 2]);
      fours[i + 2 * j + 1] = (__m512)_mm512_unpackhi_pd(pairs[i + j], pairs[i + j + 2]);
    }
  for (int i = 0; i < 4; i++) {
    __m512 a = _mm512_shuffle_f32x4(fours[i], fours[i + 4], 0x88);
    __m512 c = _mm512_shuffle_f32x4(fours[i], fours[i + 4], 0xdd);
    __m512 b = _mm512_shuffle_f32x4(fours[i + 8], fours[i + 12], 0x88);
    __m512 d = _mm512_shuffle_f32x4(fours[i + 8], fours[i + 12], 0xdd);
    row[i] = _mm512_shuffle_f32x4(a, b, 0x88);
    row[i + 8] = _mm512_shuffle_f32x4(a, b, 0xdd);
    row[i + 4] = _mm512_shuffle_f32x4(c, d, 0x88);
    row[i + 12] = _mm512_shuffle_f32x4(c, d, 0xdd);
  }
#else
  vec next[LANES];
  for (int half = 1; half < LANES; half *= 2) {
    for (int i = 0; i < LANES / 2; i++) {
      next[2 * i] = zip(rows[i], rows[i + LANES / 2], 0);
      next[2 * i + 1] = zip(rows[i], rows[i + LANES / 2], 1);
    }
    for (int i = 0; i < LANES; i++)
      rows[i] = next[i];
  }
#endif
}
/* n vectors, a power of two up to eight, as n columns: in their order, the lanes are the rows side by side. */
INLINE void columns_to_rows(vec *columns, const int n) {
  vec next[8];
  for (int half = 1; half < n; half *= 2) {
    for (int i = 0; i < n / 2; i++) {
      next[2 * i] = zip(columns[i], columns[i + n / 2], 0);
      next[2 * i + 1] = zip(columns[i], columns[i + n / 2], 1);
    }
    for (int i = 0; i < n; i++)
      columns[i] = next[i];
  }
}
/* Eight rows of LANES columns, column by column: of the vectors' eights, in their order, each is a column. */
INLINE void columns_of_eight(vec *rows) { columns_to_rows(rows, 8); }
INLINE void prefetch(const real *p) { __builtin_prefetch(p); }
INLINE void fetch(const real *p) { __builtin_prefetch(p, 0, 2); } /* into the second-level cache */
#else
INLINE void transpose(vec *rows) {}
INLINE void columns_to_rows(vec *columns, const int n) {}
INLINE void columns_of_eight(vec *rows) {}
INLINE void prefetch(const real *p) {}
INLINE void fetch(const real *p) {}
#endif

/* Lane i is lane order[i] of a and b, of which those of b count from LANES on */
INLINE vec picked(vec a, vec b, mask order) {
#if defined(__AVX512F__) && defined(MINIDL_F64)
  return (vec)_mm512_permutex2var_pd((__m512d)a, (__m512i)order, (__m512d)b);
#elif defined(__AVX512F__)
  return (vec)_mm512_permutex2var_ps((__m512)a, (__m512i)order, (__m512)b);
#elif defined(__GNUC__) && !defined(__clang__)
  return __builtin_shuffle(a, b, order);
#else
  real lanes[2 * LANES], found[LANES];
  integer places[LANES];
  store(lanes, a);
  store(lanes + LANES, b);
  memcpy(places, &order, sizeof order);
  for (int i = 0; i < LANES; i++)
    found[i] = lanes[places[i]];
  return load(found);
#endif
}

/* An eight of the lanes of these vectors */
#define EIGHTS (LANES / 8)
INLINE void store_eight(real *p, const vec *v, int which) {
  memcpy(p, (const char *)v + (size_t)which * 8 * sizeof(real), 8 * sizeof(real));
}

/* The buffers of a product's packed panels are of each thread, since products run in parallel. They begin with a cache
   line, as no compiler makes them do by itself: else each second vector lies in two lines. */
#if defined(__GNUC__)
#define OF_A_THREAD __attribute__((aligned(64))) __thread
#elif defined(_MSC_VER)
#define OF_A_THREAD __declspec(align(64)) __declspec(thread)
#endif

#endif
