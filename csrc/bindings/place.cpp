#include "bindings/place.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace winit_cuda {
namespace {

int64_t item(const pybind11::handle& tuple, pybind11::ssize_t i) {
  return pybind11::cast<int64_t>(
      pybind11::reinterpret_borrow<pybind11::tuple>(tuple)[static_cast<size_t>(i)]);
}

// Adds a dimension, merged with the one before it where they lie one behind the other in memory and
// in the index.
void append_merged(Box& box, int64_t size, int64_t stride, uint64_t index_stride) {
  const int last = box.rank - 1;
  if (size == 1) return;
  if (last >= 0 && box.stride[last] == stride * size &&
      box.index_stride[last] == index_stride * static_cast<uint64_t>(size)) {
    box.size[last] *= size;
    box.stride[last] = stride;
    box.index_stride[last] = index_stride;
  } else {
    append(box, size, stride, index_stride);
  }
}

}  // namespace

DType dtype_of(int code) {
  if (code < 0 || code >= kDTypeCount)
    throw std::invalid_argument("dtype must be a code of DTYPES, not " + std::to_string(code));
  return static_cast<DType>(code);
}

void append(Box& box, int64_t size, int64_t stride, uint64_t index_stride) {
  if (box.rank == kMaxRank - 1)  // a kernel may add one of its own
    throw std::invalid_argument("more than " + std::to_string(kMaxRank - 1) +
                                " dimensions that do not lie one behind the other");
  box.size[box.rank] = size;
  box.stride[box.rank] = stride;
  box.index_stride[box.rank++] = index_stride;
}

Box box_of(int64_t count, const pybind11::handle& given, bool merge) {
  Box box;
  if (given.is_none()) {
    make_row(box, count);
    return box;
  }
  const auto parts = pybind11::cast<pybind11::tuple>(given);
  const pybind11::handle sizes = parts[0], strides = parts[1], index_strides = parts[2];
  box.index_offset = pybind11::cast<uint64_t>(parts[3]);
  int64_t total = 1;
  for (pybind11::ssize_t d = 0; d < static_cast<pybind11::ssize_t>(pybind11::len(sizes)); ++d) {
    const int64_t size = item(sizes, d), stride = item(strides, d);
    const uint64_t index_stride = static_cast<uint64_t>(item(index_strides, d));
    total *= size;
    merge ? append_merged(box, size, stride, index_stride)
          : append(box, size, stride, index_stride);
  }
  if (total != count)
    throw std::invalid_argument("the box has " + std::to_string(total) + " elements, numel is " +
                                std::to_string(count));
  return box;
}

Box in_memory_order(const Box& box) {
  int order[kMaxRank];
  for (int d = 0; d < box.rank; ++d) order[d] = d;
  std::sort(order, order + box.rank, [&](int a, int b) { return box.stride[a] > box.stride[b]; });
  Box sorted;
  for (int i = 0; i < box.rank; ++i)
    append_merged(sorted, box.size[order[i]], box.stride[order[i]], 0);
  for (int d = 0; d < sorted.rank; ++d) sorted.index_stride[d] = 1;  // nobody looks
  return sorted;
}

}  // namespace winit_cuda
