# Rows of a table by their numbers, and their gradients added up, one after the other in the order of the numbers.
#
#     y[i] = table[label i]            total[label i] += g[i], unless label i is the setting

cdef void take_rows(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef const real* row
    for i in range(rows):
        row = call.a.at + call.labels[i] * call.a.s0
        if call.a.s1 == 1:
            memcpy(call.out.at + i * call.out.s0, row, call.cols * sizeof(real))
        else:
            for j in range(call.cols):
                call.out.at[i * call.out.s0 + j] = row[j * call.a.s1]


cdef void add_rows(Call* call, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i, j, n
    cdef const real* g
    cdef real* total
    for i in range(rows):
        if call.labels[i] == call.settings.value:
            continue
        g, total, j = call.a.at + i * call.a.s0, call.out.at + call.labels[i] * call.out.s0, 0
        while j < call.cols:
            n = min(call.cols - j, LANES)
            store_first(total + j, load_strided(total + j, 1, n) + load_strided(g + j * call.a.s1, call.a.s1, n), n)
            j += LANES


register(b"take_rows", take_rows, TABLE_ROWS | BY_NAME, b"y[i] = table[labels[i]]: (V, E) (N,) -> (N, E).")
register(b"add_rows", add_rows, TABLE_ROWS | BY_NAME,
         b"total[labels[i]] += g[i], in the order of i, but where the label is skip: (N, E) (N,) -> (V, E).")
