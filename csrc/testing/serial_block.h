// The serial launcher of kernels with barriers (platform/grid.h): the very same bodies on CPU
// memory.
//
// Every thread of a block is a thread of the CPU, but only one runs at a time: it runs up to its
// next barrier and hands on to its neighbour, upwards through the block in one phase and downwards
// in the next. So a run is the same every time, and where a barrier is missing, one of the two
// orders (set_serial_order) reads what is not written yet, or no longer there. Shared memory starts
// as garbage for each block.
#pragma once

#include <cstddef>
#include <functional>

#include "platform/grid.h"

namespace winit_cuda {

class SerialScheduler;

class SerialBlock {
 public:
  SerialBlock(SerialScheduler& scheduler, int thread) : scheduler_(scheduler), thread_(thread) {}

  int thread() const { return thread_; }
  int threads() const;
  int64_t index() const;
  int64_t blocks() const;
  void sync() const;
  template <class T>
  T* shared(int64_t byte = 0) const {
    return reinterpret_cast<T*>(shared_bytes() + byte);
  }
  uint32_t add(uint32_t* cell, uint32_t value) const {
    const uint32_t before = *cell;
    *cell += value;
    return before;
  }

 private:
  char* shared_bytes() const;

  SerialScheduler& scheduler_;
  int thread_;
};

// Runs the body for all threads of all blocks, block after block. std::logic_error: some threads of
// a block waited at a barrier when the others had ended, or shared memory was written beyond its
// end. What a body throws comes out too, of the first thread that throws.
void launch_serial_blocks(const BlockGrid& grid,
                          const std::function<void(const SerialBlock&)>& body);

// Whether the first phase of a launch's first block goes downwards; the default is upwards.
void set_serial_order(bool descending);

}  // namespace winit_cuda
