// The body of the kernel that writes the keys of children.
#pragma once

#include "fill/span_kernel.h"
#include "values/child_key.h"

namespace winit_cuda {

// (seed, stream) of children 0, 1, ... of the source's key.
WINIT_HD void write_child_keys(const Source& source, int64_t count, uint64_t* words,
                               const ThreadIndex& at) {
  const StreamKey parent = key_of(source);
  for (int64_t j = at.thread; j < count; j += at.threads) {
    words[2 * j] = seed_of(parent);
    words[2 * j + 1] = child_of(parent, static_cast<uint64_t>(j)).stream;
  }
}

}  // namespace winit_cuda
