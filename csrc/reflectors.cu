// The CUDA kernel that makes reflectors, and its launch.
#include <cuda_runtime.h>

#include "cuda_launch.h"
#include "reflectors_kernels.h"

namespace winit_cuda {
namespace {

template <class Real>
__global__ void __launch_bounds__(kBlockThreads) reflectors_kernel(const Reflectors reflectors) {
  make_reflectors<Real>(reflectors, this_thread());
}

}  // namespace

void reflectors_cuda(const Reflectors& reflectors, const Source& source, const Launch& launch) {
  fill_cuda(reflector_normals(reflectors, source), launch);
  if (reflectors.dtype == DType::kFloat64)
    launch_on(launch, reflectors.columns, &reflectors_kernel<double>, reflectors);
  else
    launch_on(launch, reflectors.columns, &reflectors_kernel<float>, reflectors);
}

}  // namespace winit_cuda
