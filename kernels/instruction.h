/* One instruction of a recorded step: what to do, and where its operands lie.

   Addresses are untyped, since the interpreter serves both element types; strides count elements. An
   operand that is broadcast along an axis has a stride of zero there. */
#ifndef MINIDL_INSTRUCTION_H
#define MINIDL_INSTRUCTION_H

#include <stddef.h>

typedef struct {
  void *p;
  ptrdiff_t s0, s1; /* from one row to the next, from one column to the next */
} Operand;

typedef struct Instruction {
  void (*action)(const struct Instruction *);
  Operand y, a, b, c; /* the output, then the inputs */
  ptrdiff_t rows, cols, depth;
  double setting;   /* a slope, a probability, a factor */
  double *number;   /* where a loss is written */
  int kind;         /* see kernels/replay.pyx */
  int accumulates;  /* whether the result is added to what y holds */
} Instruction;

#endif
