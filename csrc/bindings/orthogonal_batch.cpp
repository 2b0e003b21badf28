#include <algorithm>
#include <stdexcept>

#include "bindings/matrices.h"
#include "bindings/place.h"
#include "cuda/fills.h"
#include "orthogonal/batch.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

void check_sides(int64_t count, int64_t rows, int64_t columns) {
  if (count < 0 || rows < 1 || columns < 1)
    throw std::invalid_argument("rows and columns must be positive, count at least 0");
}

constexpr int64_t kLongestSide = int64_t{1} << 31;

bool is_small(int64_t rows, int64_t columns) {
  return std::max(rows, columns) <= kBatchLongest && std::min(rows, columns) <= kBatchShortest;
}

int64_t workspace_bytes(const OrthogonalBatch& batch, int device) {
  if (device == kCpu) return 0;
  if (!is_small(batch.rows, batch.columns))
    throw std::invalid_argument("the kernel takes matrices up to 1024x256");
  return device == kSerial ? orthogonal_batch_workspace_serial(batch)
                           : orthogonal_batch_workspace_cuda(batch, device);
}

}  // namespace

void bind_orthogonal_batch(py::module_& module) {
  module.def("orthogonal_batch_takes", &is_small);
  module.def("orthogonal_batch_workspace",
             [](int64_t count, int64_t rows, int64_t columns, int device) {
               check_sides(count, rows, columns);
               OrthogonalBatch batch{};
               batch.count = count;
               batch.rows = rows;
               batch.columns = columns;
               return workspace_bytes(batch, device);
             });
  module.def("orthogonal_batch", [](WINIT_PLACE, WINIT_KEY, int64_t count, int64_t rows,
                                    int64_t columns, double gain, uintptr_t workspace) {
    const Place place = WINIT_GIVEN_PLACE;
    check_sides(count, rows, columns);
    const bool overflows = rows > kLongestSide || columns > kLongestSide;
    const int64_t length = overflows ? 0 : rows * columns;
    if (numel ? overflows || numel % length || count != numel / length : count)
      throw std::invalid_argument("numel must be count * rows * columns");
    if (numel == 0) return;
    const OrthogonalBatch batch{
        place.target(), source_of(device, key_pointer, seed, stream), count, rows, columns,
        gain,           reinterpret_cast<double*>(workspace)};
    if (!workspace && workspace_bytes(batch, device) > 0)
      throw std::invalid_argument("these matrices need a workspace");
    const py::gil_scoped_release unlocked;
    if (device == kCpu)
      orthogonal_batch_cpu(batch, threads);
    else if (device == kSerial)
      orthogonal_batch_serial(batch);
    else
      orthogonal_batch_cuda(batch, {device, reinterpret_cast<void*>(cuda_stream)});
  });
}

}  // namespace winit_cuda
