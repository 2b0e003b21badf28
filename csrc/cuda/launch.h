// Grids of threads that step through their work, whatever the grid's size.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "cuda/device.h"
#include "cuda/loading.h"
#include "platform/grid.h"
#include "platform/stream.h"
#include "platform/tuning.h"

#if CUDART_VERSION < 12010
#error "winit_cuda needs CUDA 12.1 or later: its kernels have parameters longer than 4 KB"
#endif

namespace winit_cuda {

static __device__ inline ThreadIndex this_thread() {
  return {static_cast<int64_t>(blockIdx.x) * tuning::kFillThreads + threadIdx.x,
          static_cast<int64_t>(gridDim.x) * tuning::kFillThreads};
}

// As many blocks as the threads need, but no more than the device runs at once: each would make its
// map anew.
template <class Kernel>
unsigned blocks_for(int64_t threads, Kernel* kernel, int device) {
  const int64_t wanted =
      std::max<int64_t>(1, (threads + tuning::kFillThreads - 1) / tuning::kFillThreads);
  const int processors = attribute(cudaDevAttrMultiProcessorCount, device);
  if (wanted <= processors) return static_cast<unsigned>(wanted);
  int resident = 0;
  check_cuda(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, tuning::kFillThreads, 0),
      "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return static_cast<unsigned>(std::min<int64_t>(wanted, int64_t{resident} * processors));
}

// Launches a kernel for `work` threads' worth of steps.
template <auto* kKernel, class... Arguments>
void launch_on(const Launch& launch, int64_t work, const Arguments&... arguments) {
  require_current(launch.device);
  prepare<kKernel>(launch.device);
  kKernel<<<blocks_for(work, kKernel, launch.device), tuning::kFillThreads, 0,
            static_cast<cudaStream_t>(launch.stream)>>>(arguments...);
  check_cuda(cudaGetLastError(), "kernel launch");
}

}  // namespace winit_cuda
