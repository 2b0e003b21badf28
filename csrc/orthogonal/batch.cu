// The CUDA kernel for many small orthogonal matrices, and its launch.
#include <cuda_runtime.h>

#include "cuda/block.h"
#include "cuda/tables.h"
#include "orthogonal/batch_kernel.h"

namespace winit_cuda {
namespace {

constexpr int kMostThreads = 512;  // 2 lanes of 256 columns

__global__ void __launch_bounds__(kMostThreads)
    orthogonal_batch_kernel(const __grid_constant__ OrthogonalBatch batch,
                            const __grid_constant__ BatchPlan plan) {
  make_orthogonal_batch(batch, plan, normal_table(double{}), this_block());
}

BatchPlan plan_on(const OrthogonalBatch& batch, int device) {
  return plan_batch(batch, attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
}

}  // namespace

int64_t orthogonal_batch_workspace_cuda(const OrthogonalBatch& batch, int device) {
  const CurrentDevice current(device);
  const BatchPlan plan = plan_on(batch, device);
  return batch_workspace(plan, resident_blocks(&orthogonal_batch_kernel, plan.grid.threads,
                                               plan.grid.shared_bytes, device));
}

void orthogonal_batch_cuda(const OrthogonalBatch& batch, const Launch& launch) {
  const BatchPlan plan = plan_on(batch, launch.device);
  launch_blocks(launch, plan.grid, &orthogonal_batch_kernel, batch, plan);
}

}  // namespace winit_cuda
