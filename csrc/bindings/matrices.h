// The fills that look at a whole matrix.
#pragma once

#include <pybind11/pybind11.h>

namespace winit_cuda {

// Adds `sparse`.
void bind_sparse(pybind11::module_& module);

// Adds `orthogonal` and `reflectors`.
void bind_orthogonal(pybind11::module_& module);

// Adds `orthogonal_batch` and what tells whether and how it can be called.
void bind_orthogonal_batch(pybind11::module_& module);

}  // namespace winit_cuda
