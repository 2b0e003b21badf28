// The CUDA kernel that writes the keys of children, and its launch.
#include <cuda_runtime.h>

#include "cuda/launch.h"
#include "fill/child_key_kernels.h"

namespace winit_cuda {
namespace {

__global__ void __launch_bounds__(kBlockThreads)
    split_keys_kernel(const __grid_constant__ Source source, int64_t count, uint64_t* words) {
  write_child_keys(source, count, words, this_thread());
}

}  // namespace

void split_keys_cuda(const Source& source, int64_t count, uint64_t* words, const Launch& launch) {
  launch_on(launch, count, &split_keys_kernel, source, count, words);
}

}  // namespace winit_cuda
