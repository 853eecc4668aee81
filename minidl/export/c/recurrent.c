// Recurrent layers, a whole sequence in one call.

// op_rnn: h' = tanh(a + h W^T), or relu, for all steps; work: h in steps + 1 places, of which the first is given
static void op_rnn(float *h, const float *a, num as, const float *w, num ws0, num ws1, num steps, num n, num size,
                   int reverse, int relu) {
  const num place = n * size;
  for (num i = 0; i < steps; i++) {
    const num t = reverse ? steps - 1 - i : i;
    float *z = h + (t + 1 - reverse) * place;
    op_matmul(z, size, h + (t + reverse) * place, size, 1, w, ws0, ws1, a + t * n * as, as, n, size, size);
    for (num j = 0; j < place; j++)
      z[j] = relu ? relu_of(z[j]) : tanh_of(z[j]);
  }
}

// op_lstm: c' = f c + i u, h' = o tanh c' for all steps; work: h and c in steps + 1 places each, then the gates
static void op_lstm(float *h, const float *a, num as, const float *w, num ws0, num ws1, num steps, num n, num size,
                    int reverse) {
  const num place = n * size;
  float *const c = h + (steps + 1) * place, *const gates = c + (steps + 1) * place;
  for (num i = 0; i < steps; i++) {
    const num t = reverse ? steps - 1 - i : i, before = (t + reverse) * place, after = (t + 1 - reverse) * place;
    float *z = gates + 4 * t * place;
    op_matmul(z, 4 * size, h + before, size, 1, w, ws0, ws1, a + t * n * as, as, n, 4 * size, size);
    for (num k = 0; k < n; k++, z += 4 * size)
      for (num j = 0; j < size; j++) {
        const float input = sigmoid_of(z[j]), forget = sigmoid_of(z[size + j]), cell = tanh_of(z[2 * size + j]);
        const float output = sigmoid_of(z[3 * size + j]);
        const float state = forget * c[before + k * size + j] + input * cell;
        c[after + k * size + j] = state;
        h[after + k * size + j] = output * tanh_of(state);
      }
  }
}

// op_gru: h' = n + z (h - n) for all steps; work: h in steps + 1 places, then the gates
static void op_gru(float *h, const float *a, num as, const float *w, num ws0, num ws1, const float *bias, num steps,
                   num n, num size, int reverse) {
  const num place = n * size;
  float *const gates = h + (steps + 1) * place;
  for (num i = 0; i < steps; i++) {
    const num t = reverse ? steps - 1 - i : i, before = (t + reverse) * place, after = (t + 1 - reverse) * place;
    float *q = gates + 3 * t * place;
    op_matmul(q, 3 * size, h + before, size, 1, w, ws0, ws1, bias, 0, n, 3 * size, size);
    for (num k = 0; k < n; k++, q += 3 * size) {
      const float *const p = a + (t * n + k) * as;
      for (num j = 0; j < size; j++) {
        const float reset = sigmoid_of(p[j] + q[j]), update = sigmoid_of(p[size + j] + q[size + j]);
        const float fresh = tanh_of(p[2 * size + j] + reset * q[2 * size + j]);
        h[after + k * size + j] = fresh + update * (h[before + k * size + j] - fresh);
      }
    }
  }
}
