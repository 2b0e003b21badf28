#pragma once

#include <pybind11/pybind11.h>

namespace winit_cuda {

// Adds `child_stream` and `split_keys`.
void bind_keys(pybind11::module_& module);

}  // namespace winit_cuda
