// The calls that a small tensor notices, by CPython's own calling convention: pybind11's costs as
// much as filling a hundred elements.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace winit_cuda {

// So few elements are written sooner than the interpreter's lock is handed over and taken back.
constexpr int64_t kQuickCount = 1024;

// Adds `quick_uniform` and `quick_normal`: contiguous tensors on the CPU.
void bind_quick_fills(pybind11::module_& module);

}  // namespace winit_cuda
