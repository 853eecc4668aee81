/* exact.install(): from now on NumPy gets each array's memory from malloc, to the byte and on a cache line,
   and gives it back at once. By default it keeps small blocks and hands them out again, so that the use of
   an array that is gone would not be seen by a sanitizer.

   The handler of the memory belongs to a context: a new thread begins with NumPy's own, unless it calls
   install(), too. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>
#include <stdlib.h>
#include <string.h>

static void *take(void *context, size_t size) {
  void *memory = NULL;
  return posix_memalign(&memory, 64, size ? size : 1) ? NULL : memory;
}

static void *take_zeroed(void *context, size_t count, size_t size) {
  if (size && count > (size_t)-1 / size)
    return NULL;
  void *memory = take(context, count * size);
  return memory ? memset(memory, 0, count * size) : NULL;
}

static void *take_again(void *context, void *memory, size_t size) { return realloc(memory, size ? size : 1); }

static void give_back(void *context, void *memory, size_t size) { free(memory); }

static PyDataMem_Handler handler = {"exact", 1, {NULL, take, take_zeroed, take_again, give_back}};

static PyObject *install(PyObject *module, PyObject *unused) {
  PyObject *capsule = PyCapsule_New(&handler, "mem_handler", NULL);
  PyObject *before = capsule ? PyDataMem_SetHandler(capsule) : NULL;
  Py_XDECREF(capsule);
  if (!before)
    return NULL;
  Py_DECREF(before);
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"install", install, METH_NOARGS, "Let NumPy allocate arrays to the byte."}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "exact", NULL, -1, methods};

PyMODINIT_FUNC PyInit_exact(void) {
  import_array();
  return PyModule_Create(&definition);
}
