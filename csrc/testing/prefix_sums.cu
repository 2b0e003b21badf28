// The CUDA kernel that tests blocks, and its launch.
#include <cuda_runtime.h>

#include "cuda/block.h"
#include "testing/prefix_sums.h"

namespace winit_cuda {
namespace {

__global__ void prefix_sums_kernel(const PrefixSums sums) { make_prefix_sums(sums, this_block()); }

}  // namespace

void prefix_sums_cuda(const PrefixSums& sums, int64_t threads, const Launch& launch) {
  launch_blocks<&prefix_sums_kernel>(launch, prefix_sums_grid(sums, threads), sums);
}

}  // namespace winit_cuda
