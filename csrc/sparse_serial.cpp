#include "serial_launch.h"
#include "sparse_kernels.h"

namespace winit_cuda {

void sparse_serial(const SparseFill& fill) {
  const Rows rows = rows_of(fill.normal.target.box);
  launch_serial([&](const ThreadIndex& at) { select_thresholds(fill, at); });
  with_dtype(fill.normal.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    const auto run = [&](const auto& map) {
      launch_serial([&](const ThreadIndex& at) { sparse_rows<T>(map, fill, rows, at); });
    };
    if constexpr (std::is_same_v<T, double>)
      run(SerialMap<NormalMap<Scalar64>, double>(fill.normal.double_numbers.normal).map);
    else
      run(SerialMap<NormalMap<Scalar32>, float>(fill.normal.numbers.normal).map);
  });
}

}  // namespace winit_cuda
