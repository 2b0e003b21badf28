// The CUDA kernels of orthogonal matrices, and their launches.
#include <cuda_runtime.h>

#include "cuda/block.h"
#include "cuda/maps.h"
#include "orthogonal/kernel.h"
#include "platform/tuning.h"

namespace winit_cuda {
namespace {

template <class Real>
__global__ void __launch_bounds__(kReflectorColumns* kReflectorLanes)
    reflectors_kernel(const Reflectors reflectors) {
  make_reflectors<Real>(reflectors, this_block());
}

__global__ void __launch_bounds__(tuning::kBatchThreads)
    orthogonal_batch_kernel(const __grid_constant__ OrthogonalBatch batch,
                            const __grid_constant__ BatchPlan plan) {
  make_orthogonal_batch(batch, plan, normal_table(double{}), this_block());
}

BatchPlan plan_on(const OrthogonalBatch& batch, int device) {
  return plan_batch(batch, attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
}

}  // namespace

void reflectors_cuda(const Reflectors& reflectors, const Source& source, const Launch& launch) {
  fill_cuda(reflector_normals(reflectors, source), launch);
  const BlockGrid grid = reflectors_grid(reflectors);
  if (reflectors.dtype == DType::kFloat64)
    launch_blocks<&reflectors_kernel<double>>(launch, grid, reflectors);
  else
    launch_blocks<&reflectors_kernel<float>>(launch, grid, reflectors);
}

int64_t orthogonal_batch_workspace_cuda(const OrthogonalBatch& batch, int device) {
  require_current(device);
  const BatchPlan plan = plan_on(batch, device);
  return batch_workspace(plan, resident_blocks<&orthogonal_batch_kernel>(
                                   plan.grid.threads, plan.grid.shared_bytes, device));
}

void orthogonal_batch_cuda(const OrthogonalBatch& batch, const Launch& launch) {
  const BatchPlan plan = plan_on(batch, launch.device);
  launch_blocks<&orthogonal_batch_kernel>(launch, plan.grid, batch, plan);
}

}  // namespace winit_cuda
