// Where the elements of a tensor lie in memory, and which elements of the logical, global tensor
// they are.
#pragma once

#include <algorithm>

#include "platform/host_device.h"

namespace winit_cuda {

constexpr int kMaxRank = 16;  // after merging dimensions that lie one behind the other

// Element (x0, x1, ...) lies sum(x * stride) elements behind the pointer and has the row-major
// index index_offset + sum(x * index_stride) in the global tensor. A rank of 0 is one element.
struct Box {
  int rank = 0;
  int64_t size[kMaxRank] = {};
  int64_t stride[kMaxRank] = {};
  uint64_t index_stride[kMaxRank] = {};
  uint64_t index_offset = 0;
};

WINIT_HD int64_t element_count(const Box& box) {
  int64_t count = 1;
  for (int d = 0; d < box.rank; ++d) count *= box.size[d];
  return count;
}

// A stretch of elements along the last dimension.
struct Run {
  uint64_t index;
  uint64_t index_stride;
  int64_t offset;
  int64_t stride;
  int64_t count;
};

// Calls visit(run) for the local elements [begin, end), counted in row-major order of the box.
template <class Visit>
static inline void for_each_run(const Box& box, int64_t begin, int64_t end, Visit&& visit) {
  if (begin >= end) return;
  if (box.rank == 0) {
    visit(Run{box.index_offset, 1, 0, 1, 1});
    return;
  }
  const int last = box.rank - 1;
  int64_t position[kMaxRank];
  uint64_t index = box.index_offset;
  int64_t offset = 0, rest = begin;
  for (int d = last; d >= 0; --d) {
    position[d] = rest % box.size[d];
    rest /= box.size[d];
    index += static_cast<uint64_t>(position[d]) * box.index_stride[d];
    offset += position[d] * box.stride[d];
  }
  for (int64_t done = begin; done < end;) {
    const int64_t count = std::min(box.size[last] - position[last], end - done);
    visit(Run{index, box.index_stride[last], offset, box.stride[last], count});
    done += count;
    index += static_cast<uint64_t>(count) * box.index_stride[last];
    offset += count * box.stride[last];
    position[last] += count;
    for (int d = last; d > 0 && position[d] == box.size[d]; --d) {
      position[d] = 0;
      index += box.index_stride[d - 1] - static_cast<uint64_t>(box.size[d]) * box.index_stride[d];
      offset += box.stride[d - 1] - box.size[d] * box.stride[d];
      ++position[d - 1];
    }
  }
}

}  // namespace winit_cuda
