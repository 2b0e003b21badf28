#include <stdexcept>
#include <string>

#include "bindings/matrices.h"
#include "bindings/place.h"
#include "cuda/fills.h"

namespace py = pybind11;

namespace winit_cuda {

void bind_sparse(py::module_& module) {
  module.def("sparse", [](WINIT_PLACE, WINIT_KEY, int64_t rows, int64_t columns,
                          int64_t zeros_per_column, double std, uintptr_t workspace) {
    const DefaultFloatingPoint environment;
    if (zeros_per_column < 0 || zeros_per_column > rows)
      throw std::invalid_argument("zeros_per_column must be in [0, rows], not " +
                                  std::to_string(zeros_per_column));
    if (numel == 0) return;
    Target target{reinterpret_cast<void*>(pointer), dtype_of(dtype), Box{}};
    if (box.is_none()) {
      append(target.box, rows, columns, static_cast<uint64_t>(columns));
      append(target.box, columns, 1, 1);
    } else {
      target.box = box_of(numel, box, false);
    }
    if (target.box.rank != 2) throw std::invalid_argument("sparse takes a matrix");
    const SparseFill fill{random_fill(target, source_of(device, key_pointer, seed, stream),
                                      normal_numbers(target.dtype, 0, std)),
                          rows, columns, zeros_per_column,
                          reinterpret_cast<SparseThreshold*>(workspace)};
    const py::gil_scoped_release unlocked;
    if (device == kCpu)
      sparse_cpu(fill, threads);
    else if (device == kSerial)
      sparse_serial(fill);
    else
      sparse_cuda(fill, {device, reinterpret_cast<void*>(cuda_stream)});
  });
}

}  // namespace winit_cuda
