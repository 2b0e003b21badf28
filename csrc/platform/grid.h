// The threads of a kernel, as its body sees them: each by itself, or in blocks.
//
// Where threads work together, in a block with shared memory and barriers, the body is a template
// on the block it runs in (cuda/block.h), which offers:
//
//   int thread(), threads()   this thread in its block, 0 <= thread < threads
//   int64_t index(), blocks() this block in the grid; a body steps through its work by `blocks`
//   T* shared<T>(bytes)       the block's shared memory from this byte on, full of garbage at first
//   void sync()               a barrier: every thread of the block comes to each, or none does
//   uint32_t add(cell, n)     adds to a shared or global integer at once, returns what was there
#pragma once

#include "platform/host_device.h"

namespace winit_cuda {

// One thread of all those that run a body by themselves. Each walks the work in steps of their
// number, so that no value depends on how many there are.
struct ThreadIndex {
  int64_t thread, threads;
};

// A grid of blocks.
struct BlockGrid {
  int64_t blocks;
  int threads;           // of a block
  int64_t shared_bytes;  // of a block
};

}  // namespace winit_cuda
