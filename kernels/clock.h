/* Seconds since any moment, for differences. */
#ifndef MINIDL_CLOCK_H
#define MINIDL_CLOCK_H
#include <time.h>

static double seconds_now(void) {
#if defined(CLOCK_MONOTONIC)
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#else
  return (double)clock() / CLOCKS_PER_SEC; /* Windows counts the time of the clock on the wall */
#endif
}
#endif
