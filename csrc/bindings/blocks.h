#pragma once

#include <pybind11/pybind11.h>

namespace winit_cuda {

// Adds `prefix_sums` and `set_serial_order`, for the tests of kernels with barriers.
void bind_blocks(pybind11::module_& module);

}  // namespace winit_cuda
