// Convolution and pooling, over images that lie as (height, width, channels).

// Windows: how they pass over images that lie as (height, width, channels)
typedef struct {
  num height, width, channels, out_height, out_width, out_channels, kernel_height, kernel_width;
  num stride_y, stride_x, dilation_y, dilation_x, groups, top, left, divisor;
} Windows;

// window_sums: of a few neighbouring outputs, so many that it is a constant: one chain each over (ky, kx, c), which
// begins at the bias; what lies outside the image is a term of zero
static inline void window_sums(const int many, float *y, const float *x, const float *w, const float *bias, num oy,
                               num ox, num channels, const Windows *g) {
  const num top = oy * g->stride_y - g->top, left = ox * g->stride_x - g->left;
  float acc[8];
  for (int v = 0; v < many; v++)
    acc[v] = bias ? bias[v] : 0.0f;
  for (num ky = 0, iy = top; ky < g->kernel_height; ky++, iy += g->dilation_y)
    for (num kx = 0, ix = left; kx < g->kernel_width; kx++, ix += g->dilation_x) {
      const int inside = iy >= 0 && iy < g->height && ix >= 0 && ix < g->width;
      const float *const taps = inside ? x + (iy * g->width + ix) * g->channels : NULL;
      for (num c = 0; c < channels; c++, w += g->out_channels) {
        const float value = taps ? taps[c] : 0.0f;
        for (int v = 0; v < many; v++)
          acc[v] = fmaf(value, w[v], acc[v]);
      }
    }
  for (int v = 0; v < many; v++)
    y[v] = acc[v];
}

// op_convolution: y[o] = bias[o] + the sum of patch[k] weight[k, o] over k, for each place
static void op_convolution(float *y, const float *x, const float *weight, const float *bias, num samples,
                           const Windows *g) {
  const num channels = g->channels / g->groups, outputs = g->out_channels / g->groups;
  for (num n = 0; n < samples; n++, x += g->height * g->width * g->channels)
    for (num oy = 0; oy < g->out_height; oy++)
      for (num ox = 0; ox < g->out_width; ox++, y += g->out_channels)
        for (num j = 0, many; j < g->out_channels; j += many) {
          const num group = j / outputs, rest = (group + 1) * outputs - j;
          const float *const from = x + group * channels, *const start = bias ? bias + j : NULL;
          many = rest >= 8 ? 8 : rest >= 4 ? 4 : rest >= 2 ? 2 : 1;
          if (many == 8)
            window_sums(8, y + j, from, weight + j, start, oy, ox, channels, g);
          else if (many == 4)
            window_sums(4, y + j, from, weight + j, start, oy, ox, channels, g);
          else if (many == 2)
            window_sums(2, y + j, from, weight + j, start, oy, ox, channels, g);
          else
            window_sums(1, y + j, from, weight + j, start, oy, ox, channels, g);
        }
}

// taps_inside: of the taps begin, begin + dilation, ... the first that is not negative, and how many are below size
static void taps_inside(num begin, num taps, num dilation, num size, num *first, num *many) {
  const num outside = begin < 0 ? (-begin + dilation - 1) / dilation : 0;
  num there;
  *first = begin + outside * dilation;
  there = *first < size ? (size - *first + dilation - 1) / dilation : 0;
  *many = taps - outside < there ? taps - outside : there;
  *many = *many < 0 ? 0 : *many;
}

// op_max_pool: the largest x of each window; NaN, if there is one
static void op_max_pool(float *y, const float *x, num samples, const Windows *g) {
  for (num n = 0; n < samples; n++, x += g->height * g->width * g->channels)
    for (num oy = 0; oy < g->out_height; oy++)
      for (num ox = 0; ox < g->out_width; ox++) {
        num iy, ix, height, width;
        taps_inside(oy * g->stride_y - g->top, g->kernel_height, g->dilation_y, g->height, &iy, &height);
        taps_inside(ox * g->stride_x - g->left, g->kernel_width, g->dilation_x, g->width, &ix, &width);
        for (num c = 0; c < g->channels; c++) {
          float largest = -INFINITY;
          for (num ky = 0; ky < height; ky++)
            for (num kx = 0; kx < width; kx++) {
              const float value =
                  x[((iy + ky * g->dilation_y) * g->width + ix + kx * g->dilation_x) * g->channels + c];
              largest = value > largest ? value : value >= value ? largest : value;
            }
          *y++ = largest;
        }
      }
}

// op_average_pool: the sum of the x of each window, divided by the divisor, or by a count: 0 of the taps in the image
// and in its padding, -1 of those in the image; -2: windows divide the image
static void op_average_pool(float *y, const float *x, num samples, const Windows *g) {
  for (num n = 0; n < samples; n++, x += g->height * g->width * g->channels)
    for (num oy = 0; oy < g->out_height; oy++)
      for (num ox = 0; ox < g->out_width; ox++) {
        num iy = oy * g->stride_y - g->top, ix = ox * g->stride_x - g->left, height, width;
        float count = (float)g->divisor;
        if (g->divisor == 0) {
          const num down = g->height + g->top - iy, right = g->width + g->left - ix;
          count = (float)((g->kernel_height < down ? g->kernel_height : down) *
                          (g->kernel_width < right ? g->kernel_width : right));
        }
        if (g->divisor == -2) {
          iy = oy * g->height / g->out_height;
          ix = ox * g->width / g->out_width;
          height = ((oy + 1) * g->height + g->out_height - 1) / g->out_height - iy;
          width = ((ox + 1) * g->width + g->out_width - 1) / g->out_width - ix;
        } else {
          taps_inside(iy, g->kernel_height, g->dilation_y, g->height, &iy, &height);
          taps_inside(ix, g->kernel_width, g->dilation_x, g->width, &ix, &width);
        }
        if (g->divisor < 0)
          count = (float)(height * width);
        for (num c = 0; c < g->channels; c++) {
          float acc = 0.0f;
          for (num ky = 0; ky < height; ky++)
            for (num kx = 0; kx < width; kx++)
              acc = acc + x[((iy + ky * g->dilation_y) * g->width + ix + kx * g->dilation_x) * g->channels + c];
          *y++ = acc / count;
        }
      }
}

// op_turned: each row of a as a matrix of so many rows, transposed
static void op_turned(float *y, num ys, const float *a, num as0, num rows, num cols, num height) {
  const num width = cols / height;
  for (num n = 0; n < rows; n++)
    for (num i = 0; i < height; i++)
      for (num j = 0; j < width; j++)
        y[n * ys + j * height + i] = a[n * as0 + i * width + j];
}
