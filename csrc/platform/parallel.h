// A small pool of worker threads for the CPU fills.
#pragma once

#include <cstdint>
#include <functional>

namespace winit_cuda {

// Splits [0, count) into ranges that begin at multiples of `grain` and calls body(begin, end) for
// each, on the calling thread and on at most threads - 1 workers; returns when all are done. Work
// of one grain or less never leaves the calling thread. Callers may overlap: one that finds the
// pool taken does all ranges itself.
//
// Threads that sleep are woken for 16 grains or more, and where `wake` says that fewer are worth it
// too: those of a hundred microseconds and more.
//
// The ranges are handed out as threads come for them, so that a worker that wakes late, or that the
// machine takes away, holds nobody up for longer than one range.
void parallel_for(int64_t count, int64_t grain, int threads,
                  const std::function<void(int64_t, int64_t)>& body, bool wake = false);

}  // namespace winit_cuda
