#include "bindings/blocks.h"

#include <stdexcept>

#include "bindings/box.h"
#include "testing/prefix_sums.h"
#include "testing/serial_block.h"

namespace py = pybind11;

namespace winit_cuda {

void bind_blocks(py::module_& module) {
  module.def("set_serial_order", &set_serial_order);
  module.def("prefix_sums", [](uintptr_t values, uintptr_t odd_counts, int64_t count, int threads,
                               int omission, int device, uintptr_t cuda_stream) {
    if (count < 1 || threads < 1 || threads > 1024)
      throw std::invalid_argument("count must be positive, threads in [1, 1024]");
    if (omission < 0 || omission > 3) throw std::invalid_argument("omission must be in [0, 3]");
    const PrefixSums sums{reinterpret_cast<uint32_t*>(values),
                          reinterpret_cast<uint32_t*>(odd_counts), count,
                          static_cast<Omission>(omission)};
    const py::gil_scoped_release unlocked;
    if (device == kSerial)
      launch_serial_blocks(prefix_sums_grid(sums, threads),
                           [&](const SerialBlock& block) { make_prefix_sums(sums, block); });
    else
      prefix_sums_cuda(sums, threads, {device, reinterpret_cast<void*>(cuda_stream)});
  });
}

}  // namespace winit_cuda
