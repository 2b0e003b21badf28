#include "cuda/fills.h"
#include "orthogonal/reflectors_kernel.h"
#include "testing/serial_block.h"

namespace winit_cuda {

void reflectors_serial(const Reflectors& reflectors, const Source& source) {
  fill_serial(reflector_normals(reflectors, source));
  BlockGrid grid = reflectors_grid(reflectors);
  grid.blocks = (grid.blocks + 1) / 2;  // as on a device that has too few
  launch_serial_blocks(grid, [&](const SerialBlock& block) {
    if (reflectors.dtype == DType::kFloat64)
      make_reflectors<double>(reflectors, block);
    else
      make_reflectors<float>(reflectors, block);
  });
}

}  // namespace winit_cuda
