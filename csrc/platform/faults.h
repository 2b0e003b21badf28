// Failures that tests ask for.
#pragma once

#include <cstdint>

namespace winit_cuda {

enum class Fault : int {
  kAllocation,   // memory that the CPU core asks for
  kThreadStart,  // of the pool
  kWorkerRange,  // a range of work on another thread than the caller's
};
constexpr const char* kFaultNames[] = {"allocation", "thread_start", "worker_range"};

// The one after `passing` more fails, and those behind it do not; a negative number: none.
void inject(Fault fault, int64_t passing);

// Whether this one fails.
bool fails(Fault fault);

}  // namespace winit_cuda
