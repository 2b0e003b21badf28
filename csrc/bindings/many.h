// Lists of fills that are set up once and run together.
#pragma once

#include <pybind11/pybind11.h>

namespace winit_cuda {

// Adds the class `FillList`.
void bind_fill_list(pybind11::module_& module);

}  // namespace winit_cuda
