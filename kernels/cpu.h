/* What the processor, and the operating system's saving of its registers, allow; and what setup.py built. */
#if defined(__GNUC__) && defined(__x86_64__)
/* Asked of the processor itself: what __builtin_cpu_supports() reads is filled by a part of the compiler's own library
   that not every linker takes along. */
#include <cpuid.h>
enum { SAVED_AVX = 0x06, SAVED_AVX512 = 0xe6 }; /* registers that the operating system saves, in XCR0 */
static int has_all(unsigned word, unsigned bits) { return (word & bits) == bits; }

static int is_saved(unsigned registers) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return has_all(a, registers);
}

static int has_avx2(void) {
  unsigned a, b, c, d;
  if (!is_saved(SAVED_AVX) || !__get_cpuid(1, &a, &b, &c, &d) || !has_all(c, bit_AVX | bit_FMA)) return 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && has_all(b, bit_AVX2);
}

static int has_avx512(void) {
  unsigned a, b, c, d;
  return has_avx2() && is_saved(SAVED_AVX512) && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
         has_all(b, bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL);
}
#define HAS_AVX2 has_avx2()
#define HAS_AVX512 has_avx512()
#else
#define HAS_AVX2 0
#define HAS_AVX512 0
#endif
#if defined(__GNUC__) && defined(__aarch64__)
#define HAS_NEON 1
#else
#define HAS_NEON 0
#endif

#ifdef MINIDL_BUILT_GENERIC
#define RUNS_GENERIC 1
#else
#define RUNS_GENERIC 0
#endif
#ifdef MINIDL_BUILT_AVX2
#define RUNS_AVX2 HAS_AVX2
#else
#define RUNS_AVX2 0
#endif
#ifdef MINIDL_BUILT_AVX512
#define RUNS_AVX512 HAS_AVX512
#else
#define RUNS_AVX512 0
#endif
#ifdef MINIDL_BUILT_NEON
#define RUNS_NEON HAS_NEON
#else
#define RUNS_NEON 0
#endif
