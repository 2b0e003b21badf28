// Kernels whose threads work together: a block of threads with shared memory and barriers.
//
// The body of such a kernel is written once, as a WINIT_HD template on the block it runs in. The
// device has CudaBlock (cuda/block.h), the CPU SerialBlock (testing/serial_block.h), and both
// offer:
//
//   int thread(), threads()   this thread in its block, 0 <= thread < threads
//   int64_t index(), blocks() this block in the grid; a body steps through its work by `blocks`
//   T* shared<T>(bytes)       the block's shared memory from this byte on, full of garbage at first
//   void sync()               a barrier: every thread of the block comes to each, or none does
//   uint32_t add(cell, n)     adds to a shared or global integer at once, returns what was there
#pragma once

#include "platform/host_device.h"

namespace winit_cuda {

// A grid of blocks.
struct BlockGrid {
  int64_t blocks;
  int threads;           // of a block
  int64_t shared_bytes;  // of a block
};

}  // namespace winit_cuda
