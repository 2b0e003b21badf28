// Blocks of CUDA threads that work together (platform/grid.h), and their launch.
#pragma once

#include "cuda/launch.h"
#include "platform/grid.h"

namespace winit_cuda {

// Each member has a body on the device alone: the host compiles the kernels' bodies for this block,
// too, but never runs them.
struct CudaBlock {
  char* memory;

  WINIT_HD_MEMBER int thread() const {
#if defined(__CUDA_ARCH__)
    return static_cast<int>(threadIdx.x);
#else
    return 0;
#endif
  }
  WINIT_HD_MEMBER int threads() const {
#if defined(__CUDA_ARCH__)
    return static_cast<int>(blockDim.x);
#else
    return 1;
#endif
  }
  WINIT_HD_MEMBER int64_t index() const {
#if defined(__CUDA_ARCH__)
    return blockIdx.x;
#else
    return 0;
#endif
  }
  WINIT_HD_MEMBER int64_t blocks() const {
#if defined(__CUDA_ARCH__)
    return gridDim.x;
#else
    return 1;
#endif
  }
  template <class T>
  WINIT_HD_MEMBER T* shared(int64_t byte = 0) const {
    return reinterpret_cast<T*>(memory + byte);
  }
  WINIT_HD_MEMBER void sync() const {
#if defined(__CUDA_ARCH__)
    __syncthreads();
#endif
  }
  WINIT_HD_MEMBER uint32_t add(uint32_t* cell, uint32_t value) const {
#if defined(__CUDA_ARCH__)
    return atomicAdd(cell, value);
#else
    return *cell + value;
#endif
  }
};

// The block of a kernel that launch_blocks has started.
static __device__ inline CudaBlock this_block() {
  extern __shared__ uint4 dynamic_shared[];
  return {reinterpret_cast<char*>(dynamic_shared)};
}

// Blocks of the kernel that the device, the current one, runs at once.
template <auto* kKernel>
int64_t resident_blocks(int threads, int64_t shared_bytes, int device) {
  prepare_with_shared_memory<kKernel>(device);
  int resident = 0;
  check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kKernel, threads,
                                                           static_cast<size_t>(shared_bytes)),
             "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return int64_t{resident} * attribute(cudaDevAttrMultiProcessorCount, device);
}

// Launches the kernel for so many blocks' work; the device gets no more blocks than it runs at
// once, each of which goes through what is left.
template <auto* kKernel, class... Arguments>
void launch_blocks(const Launch& launch, const BlockGrid& work, const Arguments&... arguments) {
  require_current(launch.device);
  const int64_t resident = resident_blocks<kKernel>(work.threads, work.shared_bytes, launch.device);
  const auto blocks = static_cast<unsigned>(std::max<int64_t>(1, std::min(work.blocks, resident)));
  kKernel<<<blocks, static_cast<unsigned>(work.threads), static_cast<size_t>(work.shared_bytes),
            static_cast<cudaStream_t>(launch.stream)>>>(arguments...);
  check_cuda(cudaGetLastError(), "kernel launch");
}

}  // namespace winit_cuda
