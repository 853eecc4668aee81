/* What the processor, and the operating system's saving of its registers, allow; and what setup.py built. */
#if defined(__GNUC__) && defined(__x86_64__)
#define HAS_AVX2 (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#define HAS_AVX512                                                             \
  (HAS_AVX2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && \
   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
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
