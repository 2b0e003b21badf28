// The parts of the Python module winit_cuda._C, each of which adds its functions.
#pragma once

#include <pybind11/pybind11.h>

namespace winit_cuda {

// Fills whose elements know nothing of each other: a function for each law.
void bind_fills(pybind11::module_& module);

// The short way of tensors that are ordinary: `reader`, `quick`.
void bind_quick_fills(pybind11::module_& module);

// Fills that look at a whole matrix: `sparse`, `orthogonal`, `orthogonal_batch`, `reflectors`.
void bind_matrices(pybind11::module_& module);

// The classes `PlannedFills` and `NamedFills`.
void bind_planned_fills(pybind11::module_& module);

// The class `FillList`.
void bind_fill_list(pybind11::module_& module);

// Words and keys, and what tests the launchers of kernels.
void bind_engine(pybind11::module_& module);

}  // namespace winit_cuda
