#include "sparse.h"

#include <algorithm>
#include <vector>

#include "parallel.h"

namespace winit_cuda {
namespace {

constexpr int64_t kTile = 64;  // columns at a time: whole cache lines of words

// The words of a tile of columns, one column behind the other.
void gather_words(const StreamKey& key, const SparseFill& fill, int64_t column, int64_t count,
                  std::vector<uint32_t>& words) {
  words.resize(static_cast<size_t>(fill.rows * count));
  uint32_t line[kTile];
  for (int64_t row = 0; row < fill.rows; ++row) {
    words_cpu(key, Domain::kSparse, static_cast<uint64_t>(row * fill.columns + column), count,
              line);
    for (int64_t c = 0; c < count; ++c) words[static_cast<size_t>(c * fill.rows + row)] = line[c];
  }
}

SparseThreshold threshold_of(const uint32_t* words, int64_t rows, int64_t zeros,
                             std::vector<uint32_t>& order) {
  if (zeros == 0) return {-1, 0, 0};
  order.assign(words, words + rows);
  std::nth_element(order.begin(), order.begin() + (zeros - 1), order.end());
  const uint32_t word = order[static_cast<size_t>(zeros - 1)];
  int64_t left = zeros - std::count_if(words, words + rows, [&](uint32_t w) { return w < word; });
  int64_t row = 0;
  while (words[row] != word || --left > 0) ++row;
  return {row, word, 0};
}

template <class T>
void erase_zeros(const SparseFill& fill, const StreamKey& key, int64_t begin, int64_t end) {
  const ColumnRange columns = local_columns(fill);
  T* base = static_cast<T*>(fill.normal.target.pointer);
  for_each_run(fill.normal.target.box, begin, end, [&](const Run& run) {
    const int64_t row = static_cast<int64_t>(run.index) / fill.columns;
    const int64_t first = static_cast<int64_t>(run.index) % fill.columns - columns.first;
    uint32_t line[kTile];
    for (int64_t done = 0; done < run.count; done += kTile) {
      const int64_t count = std::min(kTile, run.count - done);
      words_cpu(key, Domain::kSparse, run.index + static_cast<uint64_t>(done), count, line);
      for (int64_t c = 0; c < count; ++c)
        if (is_zero(fill.thresholds[first + done + c], line[c], row))
          base[run.offset + (done + c) * run.stride] = T{};
    }
  });
}

}  // namespace

void sparse_cpu(const SparseFill& fill, int threads) {
  const Source& source = fill.normal.source;
  const ColumnRange columns = local_columns(fill);
  parallel_for(columns.count, kTile, threads, [&](int64_t begin, int64_t end) {
    std::vector<uint32_t> words, order;
    for (int64_t tile = begin; tile < end; tile += kTile) {
      const int64_t count = std::min(kTile, end - tile);
      gather_words(source.key, fill, columns.first + tile, count, words);
      for (int64_t c = 0; c < count; ++c)
        fill.thresholds[tile + c] =
            threshold_of(words.data() + c * fill.rows, fill.rows, fill.zeros_per_column, order);
    }
  });
  fill_cpu(fill.normal, threads);
  const int64_t count = element_count(fill.normal.target.box);
  parallel_for(count, int64_t{1} << 15, threads, [&](int64_t begin, int64_t end) {
    switch (fill.normal.target.dtype) {
      case DType::kFloat64:
        return erase_zeros<double>(fill, source.key, begin, end);
      case DType::kFloat32:
        return erase_zeros<float>(fill, source.key, begin, end);
      case DType::kFloat16:
      case DType::kBFloat16:
        return erase_zeros<uint16_t>(fill, source.key, begin, end);
      default:
        return erase_zeros<uint8_t>(fill, source.key, begin, end);
    }
  });
}

}  // namespace winit_cuda
