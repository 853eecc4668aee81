/* Zeroed memory that begins on a cache line. Under AddressSanitizer it ends where it was asked to end, so
   that one element behind an array is seen; elsewhere calloc gives large pieces without touching them. */
#ifndef MINIDL_MEMORY_H
#define MINIDL_MEMORY_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINE 64 /* bytes of a cache line, and of the widest vector */

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_IS_EXACT 1
static void *claim(size_t bytes, void **begin) {
  void *block = NULL;
  if (posix_memalign(&block, LINE, bytes ? bytes : 1))
    return NULL;
  *begin = memset(block, 0, bytes);
  return block;
}
#else
#define MEMORY_IS_EXACT 0
static void *claim(size_t bytes, void **begin) {
  void *block = calloc(bytes + LINE, 1);
  *begin = (void *)(((uintptr_t)block + LINE - 1) / LINE * LINE);
  return block;
}
#endif

#endif
