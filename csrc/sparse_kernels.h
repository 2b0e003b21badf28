// The bodies of the kernels for sparse matrices, as fill_kernels.h has those of the other fills.
#pragma once

#include "fill_kernels.h"
#include "sparse.h"

namespace winit_cuda {

// Sparse: a thread a column for the thresholds, then one look at each entry.
WINIT_HD void select_thresholds(const SparseFill& fill, const ThreadIndex& at) {
  const ColumnRange columns = local_columns(fill);
  const StreamKey key = key_of(fill.normal.source);
  for (int64_t c = at.thread; c < columns.count; c += at.threads)
    fill.thresholds[c] = select_threshold(key, fill, columns.first + c);
}

template <class T, class Map>
WINIT_HD void sparse_rows(const Map& map, const SparseFill& fill, const Rows& rows,
                          const ThreadIndex& at) {
  T* base = static_cast<T*>(fill.normal.target.pointer);
  const ColumnRange columns = local_columns(fill);
  const StreamKey key = key_of(fill.normal.source);
  const Rescaled<Map> rescaled{map, fill.normal.rescaling};
  for_each_slot(rows, at, [&](const Run& run, uint64_t block, int64_t begin, int64_t end) {
    T values[4];
    uint32_t order[4];
    make_block(rescaled, key, fill.normal.source.domain, block, values);
    philox_block(key, first_block_of(Domain::kSparse) + block, order);
    const int64_t row = static_cast<int64_t>(run.index) / fill.columns;
    for (int i = 0; i < 4; ++i) {
      const int64_t element = static_cast<int64_t>(4 * block - run.index) + i;
      if (element < begin || element >= end) continue;
      const int64_t column = static_cast<int64_t>(run.index) % fill.columns + element;
      const bool zero = is_zero(fill.thresholds[column - columns.first], order[i], row);
      base[run.offset + element * run.stride] = zero ? T{} : values[i];
    }
  });
}

}  // namespace winit_cuda
