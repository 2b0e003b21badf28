// The bodies of the kernels for sparse matrices, as fill/kernel.h has those of the other fills.
#pragma once

#include "fill/kernel.h"
#include "platform/grid.h"
#include "sparse/sparse.h"
#include "sparse/window.h"

namespace winit_cuda {

// A block finds the thresholds of so many neighbouring columns, four of which share a Philox block.
// It counts the words of each column below a point and in buckets from there on, narrows the bucket
// that holds the threshold down until few words are in it, keeps those, and ranks them. Counts are
// integers and their order does not matter.
constexpr int kTileColumns = 32, kBuckets = 256, kBucketBits = 8, kKept = 32;

// Where the search begins: 256 buckets of 2^shift words each.
struct SparseSearch {
  uint32_t first, shift;
};

struct SparseShared {
  int64_t kept_row[kKept][kTileColumns];
  uint32_t kept_word[kKept][kTileColumns];
  uint32_t count[kBuckets][kTileColumns];
  uint32_t first[kTileColumns], shift[kTileColumns];
  uint32_t below[kTileColumns];   // words smaller than `first`
  uint32_t rank[kTileColumns];    // of the threshold in its bucket, from one on
  uint32_t inside[kTileColumns];  // words in that bucket
  uint32_t unsettled;             // columns whose bucket holds more words than are kept
};

inline BlockGrid selection_grid(const SparseFill& fill, int threads) {
  return {(local_columns(fill).count + kTileColumns - 1) / kTileColumns, threads,
          static_cast<int64_t>(sizeof(SparseShared))};
}

// The part that a thread has in a tile: every `lanes`-th row of four neighbouring words. Lanes come
// in fours, so that these belong to the same columns in each row.
struct TilePart {
  int64_t row, rows, lanes;
  uint64_t block, block_step;
  int column, columns;  // of the first word, maybe before the tile; of the tile

  WINIT_HD_MEMBER bool has(int word) const { return column + word >= 0 && column + word < columns; }
};

WINIT_HD TilePart tile_part(const SparseFill& fill, int64_t first_column, int columns, int thread,
                            int threads) {
  const int slots = (columns + 6) / 4;
  const int lanes = threads / slots / 4 * 4;
  const int lane = thread / slots;
  const auto index = static_cast<uint64_t>(lane * fill.columns + first_column);
  const uint64_t block = index / 4 + static_cast<uint64_t>(thread % slots);
  return {lane < lanes ? lane : fill.rows,
          fill.rows,
          lanes,
          block,
          static_cast<uint64_t>(lanes / 4 * fill.columns),
          static_cast<int>(static_cast<int64_t>(4 * block - index)),
          columns};
}

// Calls visit(word's number, word, row) for the words of a part.
template <class Visit>
WINIT_HD void for_each_word(const StreamKey& key, TilePart part, const Visit& visit) {
  WINIT_ROLLED
  for (; part.row < part.rows; part.row += part.lanes, part.block += part.block_step) {
    uint32_t words[4];
    philox_block(key, first_block_of(Domain::kSparse) + part.block, words);
    WINIT_UNROLL
    for (int i = 0; i < 4; ++i)
      if (part.has(i)) visit(i, words[i], part.row);
  }
}

template <class Block>
WINIT_HD void count_words(const StreamKey& key, const TilePart& part, SparseShared& shared,
                          const Block& block) {
  uint32_t first[4], shift[4], below[4] = {0, 0, 0, 0};
  WINIT_UNROLL
  for (int i = 0; i < 4; ++i) {
    first[i] = part.has(i) ? shared.first[part.column + i] : 0;
    shift[i] = part.has(i) ? shared.shift[part.column + i] : 0;
  }
  for_each_word(key, part, [&](int i, uint32_t word, int64_t) {
    below[i] += word < first[i];
    const uint32_t bucket = (word - first[i]) >> shift[i];
    if (word >= first[i] && bucket < kBuckets) block.add(&shared.count[bucket][part.column + i], 1);
  });
  WINIT_UNROLL
  for (int i = 0; i < 4; ++i)
    if (part.has(i)) block.add(&shared.below[part.column + i], below[i]);
}

// The bucket of a column's threshold. Whether no more words are in it than are kept, or all are the
// same.
WINIT_HD bool narrow(SparseShared& shared, int column, uint32_t zeros) {
  uint32_t rank = zeros - shared.below[column], bucket = 0;
  const uint32_t rank_from_first = rank;
  while (bucket < kBuckets && rank > shared.count[bucket][column])
    rank -= shared.count[bucket++][column];
  if (bucket == kBuckets || rank_from_first == 0 || zeros < shared.below[column]) {
    shared.first[column] = 0;  // the threshold is somewhere else
    shared.shift[column] = 32 - kBucketBits;
    return false;
  }
  const uint32_t shift = shared.shift[column];
  shared.first[column] += bucket << shift;
  shared.rank[column] = rank;
  shared.inside[column] = shared.count[bucket][column];
  if (shared.inside[column] <= kKept || shift == 0) return true;
  shared.shift[column] = shift > kBucketBits ? shift - kBucketBits : 0;
  return false;
}

template <class Block>
WINIT_HD void keep_words(const StreamKey& key, const TilePart& part, SparseShared& shared,
                         const Block& block) {
  for_each_word(key, part, [&](int i, uint32_t word, int64_t row) {
    const int column = part.column + i;
    const uint32_t first = shared.first[column];
    if (word < first || (word - first) >> shared.shift[column] != 0) return;
    const uint32_t place = block.add(&shared.below[column], 1);
    if (place >= kKept) return;
    shared.kept_word[place][column] = word;
    shared.kept_row[place][column] = row;
  });
}

WINIT_HD SparseThreshold ranked_entry(const StreamKey& key, const SparseFill& fill,
                                      const SparseShared& shared, int column,
                                      int64_t global_column) {
  uint32_t rank = shared.rank[column];
  const uint32_t kept = shared.inside[column];
  if (kept > kKept) {  // one and the same word more often than can be kept
    const uint32_t word = shared.first[column];
    for (int64_t row = 0;; ++row) {
      const auto index = static_cast<uint64_t>(row * fill.columns + global_column);
      if (philox_word(key, Domain::kSparse, index) == word && --rank == 0) return {row, word, 0};
    }
  }
  SparseThreshold found{0, 0, 0};
  for (uint32_t i = 0; i < kept; ++i) {
    const SparseThreshold entry{shared.kept_row[i][column], shared.kept_word[i][column], 0};
    uint32_t up_to = 0;
    for (uint32_t j = 0; j < kept; ++j)
      up_to += is_zero(entry, shared.kept_word[j][column], shared.kept_row[j][column]);
    if (up_to == rank) found = entry;
  }
  return found;
}

// The thresholds of fill.thresholds, of a fill with zeros in each column.
template <class Block>
WINIT_HD void select_thresholds(const SparseFill& fill, const SparseSearch& search,
                                const Block& block) {
  SparseShared& shared = *block.template shared<SparseShared>();
  const int thread = block.thread(), threads = block.threads();
  const ColumnRange local = local_columns(fill);
  const StreamKey key = key_of(fill.normal.source);
  for (int64_t done = block.index() * kTileColumns; done < local.count;
       done += block.blocks() * kTileColumns) {
    const int columns =
        local.count - done < kTileColumns ? static_cast<int>(local.count - done) : kTileColumns;
    const TilePart part = tile_part(fill, local.first + done, columns, thread, threads);
    if (thread < columns) {
      shared.first[thread] = search.first;
      shared.shift[thread] = search.shift;
    }
    for (bool settled = false; !settled;) {
      for (int i = thread; i < kBuckets * kTileColumns; i += threads) (&shared.count[0][0])[i] = 0;
      if (thread < kTileColumns) shared.below[thread] = 0;
      if (thread == 0) shared.unsettled = 0;
      block.sync();
      count_words(key, part, shared, block);
      block.sync();
      if (thread < columns && !narrow(shared, thread, static_cast<uint32_t>(fill.zeros_per_column)))
        block.add(&shared.unsettled, 1);
      block.sync();
      settled = shared.unsettled == 0;
      block.sync();
    }
    if (thread < kTileColumns) shared.below[thread] = 0;  // counts the kept words from here on
    block.sync();
    keep_words(key, part, shared, block);
    block.sync();
    if (thread < columns)
      fill.thresholds[done + thread] =
          ranked_entry(key, fill, shared, thread, local.first + done + thread);
    block.sync();
  }
}

// One look at each entry. Its row matters to the rare twin of a threshold alone.
template <class T, class Map>
WINIT_HD void sparse_rows(const Map& map, const SparseFill& fill, const Rows& rows,
                          const ThreadIndex& at) {
  T* base = static_cast<T*>(fill.normal.target.pointer);
  const ColumnRange columns = local_columns(fill);
  const StreamKey key = key_of(fill.normal.source);
  const Rescaled<Map> rescaled{map, fill.normal.law.rescaling};
  for_each_slot(rows, at, [&](const Run& run, uint64_t block, int64_t begin, int64_t end) {
    T values[4];
    uint32_t order[4];
    make_block(rescaled, key, fill.normal.source.domain, block, values);
    philox_block(key, first_block_of(Domain::kSparse) + block, order);
    const int64_t skipped = begin - static_cast<int64_t>(4 * block - run.index);
    // A row of a box of two dimensions begins in the first local column.
    const int64_t column =
        rows.box.rank == 2 ? 0 : static_cast<int64_t>(run.index) % fill.columns - columns.first;
    for (int i = 0; i < 4; ++i) {
      const int64_t element = begin - skipped + i;
      if (element < begin || element >= end) continue;
      const SparseThreshold* threshold = fill.thresholds + column + element;
      const uint32_t word = threshold->word;
      if (order[i] < word ||
          (order[i] == word && static_cast<int64_t>(run.index) / fill.columns <= threshold->row))
        values[i] = T{};
    }
    if (begin < end) store_block(base, run, begin, end, skipped, values);
  });
}

// Where a search for the thresholds begins.
// The buckets cover the window in which the threshold is expected.
static inline SparseSearch search_of(const SparseFill& fill) {
  const WordWindow window = window_of(fill.rows, fill.zeros_per_column);
  SparseSearch search{window.first, 0};
  while ((window.last - window.first) >> search.shift >= kBuckets) ++search.shift;
  return search;
}

}  // namespace winit_cuda
