/* The element type of a module: double where MINIDL_F64 is defined, float elsewhere. */
#ifndef MINIDL_REAL_H
#define MINIDL_REAL_H

#include <stdint.h>

#ifdef MINIDL_F64
typedef double real;
typedef int64_t integer;
#else
typedef float real;
typedef int32_t integer;
#endif

#endif
