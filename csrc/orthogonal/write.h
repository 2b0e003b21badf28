// From the elements of an orthogonal matrix to the target, in any layout.
#pragma once

#include <algorithm>

#include "orthogonal/orthogonal.h"

namespace winit_cuda {

// Elements [begin, begin + count) of the target, in row-major order, get the values.
template <class T>
void store_elements(const Target& target, int64_t begin, int64_t count, const T* values) {
  T* const base = static_cast<T*>(target.pointer);
  for_each_run(target.box, begin, begin + count, [&](const Run& run) {
    T* const out = base + run.offset;
    if (run.stride == 1)
      std::copy_n(values, run.count, out);
    else
      for (int64_t i = 0; i < run.count; ++i) out[i * run.stride] = values[i];
    values += run.count;
  });
}

}  // namespace winit_cuda
