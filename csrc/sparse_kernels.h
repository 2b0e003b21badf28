// The bodies of the kernels for sparse matrices, as fill_kernels.h has those of the other fills.
#pragma once

#include "fill_kernels.h"
#include "sparse.h"

namespace winit_cuda {

// The threshold of one column, by radix selection on regenerated words: two bits a pass, then the
// ties.
WINIT_HD SparseThreshold select_threshold(const StreamKey& key, const SparseFill& fill,
                                          int64_t column) {
  if (fill.zeros_per_column == 0) return SparseThreshold{-1, 0, 0};
  int64_t wanted = fill.zeros_per_column;  // the rank looked for among the words with this prefix
  uint32_t prefix = 0;
  for (int shift = 30; shift >= 0; shift -= 2) {
    int64_t counts[4] = {0, 0, 0, 0};
    for (int64_t row = 0; row < fill.rows; ++row) {
      const uint32_t word =
          philox_word(key, Domain::kSparse, static_cast<uint64_t>(row * fill.columns + column));
      const bool matches = shift == 30 || (word >> (shift + 2)) == (prefix >> (shift + 2));
      const uint32_t digit = (word >> shift) & 3u;
      for (uint32_t d = 0; d < 4; ++d) counts[d] += matches && digit == d;
    }
    uint32_t digit = 0;
    while (digit < 3 && wanted > counts[digit]) wanted -= counts[digit++];
    prefix |= digit << shift;
  }
  for (int64_t row = 0;; ++row) {
    const uint32_t word =
        philox_word(key, Domain::kSparse, static_cast<uint64_t>(row * fill.columns + column));
    if (word == prefix && --wanted == 0) return SparseThreshold{row, prefix, 0};
  }
}

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
