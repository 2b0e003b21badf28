#include "sparse/kernel.h"
#include "sparse/search.h"
#include "testing/serial_block.h"
#include "testing/serial_launch.h"

namespace winit_cuda {

void sparse_serial(const SparseFill& fill) {
  // Few threads, because each is one of the CPU; four lanes of a whole tile's slots, and some idle.
  constexpr int kThreads = 40;
  if (fill.zeros_per_column == 0) return fill_serial(fill.normal);
  const Rows rows = rows_of(fill.normal.target.box);
  const SparseSearch search = search_of(fill);
  launch_serial_blocks(selection_grid(fill, kThreads),
                       [&](const SerialBlock& block) { select_thresholds(fill, search, block); });
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
