// From the codes and tuples that Python passes to the dtypes and boxes of the core.
#pragma once

#include <pybind11/pybind11.h>

#include "fill/box.h"
#include "values/dtype.h"

namespace winit_cuda {

constexpr int kCpu = -1, kSerial = -2;  // device codes beside the CUDA devices 0, 1, ...

// Each throws std::invalid_argument for what it cannot take.
DType dtype_of(int code);

// The box of `count` elements: all of a contiguous tensor where `given` is None, else (sizes,
// strides, index_strides, index_offset). `merge` makes one dimension of those that lie one behind
// the other.
Box box_of(int64_t count, const pybind11::handle& given, bool merge);

// Adds a dimension.
void append(Box& box, int64_t size, int64_t stride, uint64_t index_stride);

// The same elements in the order of memory, for a fill that does not look at the index.
Box in_memory_order(const Box& box);

}  // namespace winit_cuda
