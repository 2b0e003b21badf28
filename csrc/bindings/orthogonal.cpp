#include <stdexcept>
#include <string>

#include "bindings/matrices.h"
#include "bindings/place.h"
#include "cuda/fills.h"
#include "orthogonal/orthogonal.h"
#include "platform/memory.h"

namespace py = pybind11;

namespace winit_cuda {

namespace {

void check_part(const char* what, int64_t first, int64_t count, int64_t size) {
  if (first < 0 || count < 0 || first > size - count)
    throw std::invalid_argument(std::string("the ") + what + "s of the part must be in [0, " +
                                std::to_string(size) + ")");
}

}  // namespace

void bind_orthogonal(py::module_& module) {
  module.def(
      "orthogonal", [](WINIT_PLACE, WINIT_KEY, int64_t rows, int64_t columns, int64_t first_row,
                       int64_t row_count, int64_t first_column, int64_t column_count, double gain) {
        const Place place = WINIT_GIVEN_PLACE;
        const Target target = place.target();
        if (device != kCpu)
          throw std::invalid_argument("whole orthogonal matrices are made on the CPU");
        check_part("row", first_row, row_count, rows);
        check_part("column", first_column, column_count, columns);
        if (row_count * column_count != numel)
          throw std::invalid_argument("the part must have as many elements as the tensor, " +
                                      std::to_string(numel));
        if (numel == 0) return;
        const Source source = source_of(device, key_pointer, seed, stream);
        const py::gil_scoped_release unlocked;
        orthogonal_cpu(
            {target, source, rows, columns, first_row, row_count, first_column, column_count, gain},
            threads);
      });
  module.def("free_kept_memory", &free_kept_memory);
  module.def("reflector_head", [](double first, double square, bool is_last_row) {
    const ReflectorHead head = reflector_head(first, square, is_last_row);
    return py::make_tuple(head.sign, head.head, head.scale);
  });
  module.def("reflectors", [](uintptr_t pointer, int dtype, int64_t rows, int64_t columns,
                              int64_t first, int64_t count, uintptr_t signs, int device,
                              uintptr_t cuda_stream, int threads, WINIT_KEY) {
    if (rows < columns) throw std::invalid_argument("reflectors need rows >= columns");
    if (first < 0 || count < 0 || first > columns - count)
      throw std::invalid_argument("[first, first + count) must be in [0, columns)");
    const Reflectors reflectors =
        reflectors_of(reinterpret_cast<void*>(pointer), reinterpret_cast<void*>(signs),
                      dtype_of(dtype), rows, columns, first, count);
    if (reflectors.dtype != DType::kFloat32 && reflectors.dtype != DType::kFloat64)
      throw std::invalid_argument("reflectors are float32 or float64");
    if (count == 0) return;
    const Source source = source_of(device, key_pointer, seed, stream);
    const DefaultFloatingPoint environment;
    const py::gil_scoped_release unlocked;
    if (device == kCpu)
      reflectors_cpu(reflectors, source, threads);
    else if (device == kSerial)
      reflectors_serial(reflectors, source);
    else
      reflectors_cuda(reflectors, source, {device, reinterpret_cast<void*>(cuda_stream)});
  });
}

}  // namespace winit_cuda
