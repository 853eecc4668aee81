/* Memory that arrays lie in. */
#ifndef MINIDL_MEMORY_H
#define MINIDL_MEMORY_H

#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#define HUGE_PAGE ((size_t)1 << 21) /* bytes of a page that the system may give where it is asked to */
#define LINE 64                     /* bytes of a cache line, and of the widest vector */

/* Zeroed memory that begins on a cache line. Under AddressSanitizer it ends where it was asked to end, so
   that one element behind an array is seen; elsewhere calloc returns large blocks without touching them. */
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
  size_t unit = bytes < HUGE_PAGE ? LINE : HUGE_PAGE;
  void *block = calloc(bytes + unit, 1);
  *begin = (void *)(((uintptr_t)block + unit - 1) / unit * unit);
#ifdef MADV_HUGEPAGE
  if (block && unit == HUGE_PAGE) /* a wish for the whole pages: what lies behind them takes no more than it needs */
    madvise(*begin, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
  return block;
}
#endif

/* The head of a NumPy array, whose layout is part of NumPy's binary interface: read at each step, where a
   Python attribute would take longer than the whole check. tests/test_array_flags.py holds it to NumPy. */
typedef struct {
  PyObject_HEAD
  char *data;
  int nd;
  Py_ssize_t *dimensions, *strides;
  PyObject *base, *descr;
  int flags;
} ArrayHead;

#define ARRAY_WRITEABLE 0x0400 /* NPY_ARRAY_WRITEABLE */

static inline int array_is_writeable(PyObject *array) {
  return (((ArrayHead *)array)->flags & ARRAY_WRITEABLE) != 0;
}

#endif
