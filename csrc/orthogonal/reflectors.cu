// The CUDA kernel that makes reflectors, and its launch.
#include <cuda_runtime.h>

#include "cuda/block.h"
#include "orthogonal/reflectors_kernel.h"

namespace winit_cuda {
namespace {

template <class Real>
__global__ void __launch_bounds__(kReflectorColumns* kReflectorLanes)
    reflectors_kernel(const Reflectors reflectors) {
  make_reflectors<Real>(reflectors, this_block());
}

}  // namespace

void reflectors_cuda(const Reflectors& reflectors, const Source& source, const Launch& launch) {
  fill_cuda(reflector_normals(reflectors, source), launch);
  const BlockGrid grid = reflectors_grid(reflectors);
  if (reflectors.dtype == DType::kFloat64)
    launch_blocks(launch, grid, &reflectors_kernel<double>, reflectors);
  else
    launch_blocks(launch, grid, &reflectors_kernel<float>, reflectors);
}

}  // namespace winit_cuda
