// The CUDA kernels of sparse matrices, and their launches.
#include <cuda_runtime.h>

#include "cuda/block.h"
#include "cuda/maps.h"
#include "platform/tuning.h"
#include "sparse/kernel.h"

namespace winit_cuda {
namespace {

__global__ void __launch_bounds__(tuning::kSelectionThreads)
    select_thresholds_kernel(const __grid_constant__ SparseFill fill, const SparseSearch search) {
  select_thresholds(fill, search, this_block());
}

template <class T, class Map>
__global__ void __launch_bounds__(tuning::kFillThreads)
    sparse_rows_kernel(const __grid_constant__ SparseFill fill, const __grid_constant__ Rows rows,
                       const __grid_constant__ typename Map::Numbers numbers) {
  const Map map = make_map<Map>(numbers, NoTable{});
  sparse_rows<T>(map, fill, rows, this_thread());
}

void fill_box(const SparseFill& fill, const Launch& launch) {
  const Rows rows = rows_of(fill.normal.target.box);
  with_element(fill.normal.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    using Map = NormalMap<ScalarLanes<T>>;
    launch_on<&sparse_rows_kernel<T, Map>>(launch, rows.rows * rows.slots, fill, rows,
                                           fill.normal.law.numbers_of<Map>());
  });
}

}  // namespace

void sparse_cuda(const SparseFill& fill, const SparseColumns* parts, int64_t count,
                 const Launch& launch) {
  for (int64_t i = 0; i < count; ++i) {
    const SparseColumns& columns = parts[i];
    if (fill.zeros_per_column > 0) {
      const SparseFill selection = selection_of(fill, columns);
      launch_blocks<&select_thresholds_kernel>(launch,
                                               selection_grid(selection, tuning::kSelectionThreads),
                                               selection, search_of(selection));
    }
    for (int64_t box = 0; box < columns.count; ++box) {
      const SparseFill one = fill_of(fill, columns, box);
      fill.zeros_per_column > 0 ? fill_box(one, launch) : fill_cuda(one.normal, launch);
    }
  }
}

}  // namespace winit_cuda
