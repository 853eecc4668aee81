// Products, sums, functions of rows, normalisation and tables.

// op_matmul: y = start + a b. Each sum is one chain of fused multiply-adds, in the order of k; start NULL: zeros
static void op_matmul(float *y, num ys, const float *a, num as0, num as1, const float *b, num bs0, num bs1,
                      const float *start, num ss, num rows, num cols, num depth) {
  const num wide = bs1 == 1 ? cols / 8 * 8 : 0;
  for (num i = 0; i < rows; i++) {
    for (num j = 0; j < wide; j += 8) {
      float acc[8];
      for (int v = 0; v < 8; v++)
        acc[v] = start ? start[i * ss + j + v] : 0.0f;
      for (num k = 0; k < depth; k++) {
        const float factor = a[i * as0 + k * as1], *row = b + k * bs0 + j;
        for (int v = 0; v < 8; v++)
          acc[v] = fmaf(factor, row[v], acc[v]);
      }
      for (int v = 0; v < 8; v++)
        y[i * ys + j + v] = acc[v];
    }
    for (num j = wide; j < cols; j++) {
      float acc = start ? start[i * ss + j] : 0.0f;
      for (num k = 0; k < depth; k++)
        acc = fmaf(a[i * as0 + k * as1], b[k * bs0 + j * bs1], acc);
      y[i * ys + j] = acc;
    }
  }
}

// op_bmm: y = a b for each of a stack of matrices
static void op_bmm(float *y, num yn, num ys, const float *a, num an, num as0, num as1, const float *b, num bn,
                   num bs0, num bs1, num count, num rows, num cols, num depth) {
  for (num n = 0; n < count; n++)
    op_matmul(y + n * yn, ys, a + n * an, as0, as1, b + n * bn, bs0, bs1, NULL, 0, rows, cols, depth);
}

// op_column_sum: y[j] = the sum of a[i, j] over i, in the order of i
static void op_column_sum(float *y, num ys, const float *a, num as0, num as1, num rows, num cols) {
  for (num j = 0; j < cols; j++) {
    float acc = 0.0f;
    for (num i = 0; i < rows; i++)
      acc = acc + a[i * as0 + j * as1];
    y[j * ys] = acc;
  }
}

// op_row_sum: y[i] = the sum of row i, of eight partial sums in double, over every eighth element
static void op_row_sum(float *y, num ys, const float *a, num as0, num as1, num rows, num cols) {
  for (num i = 0; i < rows; i++) {
    double part[8] = {0};
    for (num j = 0; j < cols; j++)
      part[j % 8] += a[i * as0 + j * as1];
    y[i * ys] = (float)(((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])));
  }
}

// largest_of: of a row; a NaN that it skips still reaches the sum
static float largest_of(const float *x, num step, num cols) {
  float largest = x[0];
  for (num j = 1; j < cols; j++)
    largest = x[j * step] > largest ? x[j * step] : largest;
  return largest;
}

// op_softmax: y = e^(x - max) / sum of e^(x - max), row by row
static void op_softmax(float *y, num ys, const float *a, num as0, num as1, num rows, num cols) {
  for (num i = 0; i < rows; i++) {
    const float largest = largest_of(a + i * as0, as1, cols);
    float acc = 0.0f;
    for (num j = 0; j < cols; j++) {
      y[i * ys + j] = exp_of(a[i * as0 + j * as1] - largest);
      acc = acc + y[i * ys + j];
    }
    for (num j = 0; j < cols; j++)
      y[i * ys + j] = y[i * ys + j] / acc;
  }
}

// op_log_softmax: y = (x - max) - log(sum of e^(x - max)), row by row
static void op_log_softmax(float *y, num ys, const float *a, num as0, num as1, num rows, num cols) {
  for (num i = 0; i < rows; i++) {
    const float largest = largest_of(a + i * as0, as1, cols);
    float acc = 0.0f;
    for (num j = 0; j < cols; j++)
      acc = acc + exp_of(a[i * as0 + j * as1] - largest);
    acc = log_of(acc);
    for (num j = 0; j < cols; j++)
      y[i * ys + j] = (a[i * as0 + j * as1] - largest) - acc;
  }
}

// sum_in_pairs: of 16 partial sums, 0 + 8, 1 + 9, ..., then 0 + 4, and so on
static float sum_in_pairs(float *part) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++)
      part[i] = part[i] + part[i + half];
  return part[0];
}

// op_layer_norm: y = (x - mean) / s w + b, row by row; w or b NULL: 1 or 0
static void op_layer_norm(float *y, num ys, const float *x, num xs, const float *w, const float *b, num rows, num cols,
                          float eps) {
  for (num i = 0; i < rows; i++, x += xs, y += ys) {
    float part[16] = {0}, squares[16] = {0}, mean, r;
    for (num j = 0; j < cols; j++)
      part[j % 16] = part[j % 16] + x[j];
    mean = sum_in_pairs(part) / (float)cols;
    for (num j = 0; j < cols; j++) {
      y[j] = x[j] - mean;
      squares[j % 16] = squares[j % 16] + y[j] * y[j];
    }
    r = 1.0f / sqrtf(sum_in_pairs(squares) / (float)cols + eps);
    for (num j = 0; j < cols; j++) {
      y[j] = y[j] * r;
      if (w)
        y[j] = y[j] * w[j];
      if (b)
        y[j] = y[j] + b[j];
    }
  }
}

// op_batch_norm: the same of columns; then the means, and the variances, as two rows more
static void op_batch_norm(float *y, num ys, const float *x, num xs, const float *w, const float *b, num rows, num cols,
                          float eps) {
  for (num j = 0; j < cols; j++) {
    float mean = 0.0f, variance = 0.0f, r;
    for (num i = 0; i < rows; i++)
      mean = mean + x[i * xs + j];
    mean = mean / (float)rows;
    for (num i = 0; i < rows; i++) {
      const float d = x[i * xs + j] - mean;
      variance = variance + d * d;
    }
    variance = variance / (float)rows;
    r = 1.0f / sqrtf(variance + eps);
    for (num i = 0; i < rows; i++) {
      float u = (x[i * xs + j] - mean) * r;
      if (w)
        u = u * w[j];
      if (b)
        u = u + b[j];
      y[i * ys + j] = u;
    }
    y[rows * ys + j] = mean;
    y[(rows + 1) * ys + j] = variance;
  }
}

// op_take_rows: y[i] = table[index[i]]; -1 for an index outside 0..size-1
static int op_take_rows(float *y, num ys, const float *table, num ts0, num ts1, const int64_t *index, num size,
                        num rows, num cols) {
  for (num i = 0; i < rows; i++) {
    if (index[i] < 0 || index[i] >= size)
      return -1;
    for (num j = 0; j < cols; j++)
      y[i * ys + j] = table[index[i] * ts0 + j * ts1];
  }
  return 0;
}
