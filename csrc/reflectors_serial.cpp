#include "reflectors_kernels.h"
#include "serial_launch.h"

namespace winit_cuda {

void reflectors_serial(const Reflectors& reflectors, const Source& source) {
  fill_serial(reflector_normals(reflectors, source));
  launch_serial([&](const ThreadIndex& at) {
    if (reflectors.dtype == DType::kFloat64)
      make_reflectors<double>(reflectors, at);
    else
      make_reflectors<float>(reflectors, at);
  });
}

}  // namespace winit_cuda
