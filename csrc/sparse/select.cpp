#include "sparse/columns.h"

#include <algorithm>
#include <mutex>

#include "platform/parallel.h"
#include "platform/tuning.h"
#include "sparse/passes.h"

namespace winit_cuda {
namespace {

constexpr int64_t kFew = 8;  // words that are sorted rather than counted

// The rank-th smallest word, rank >= 1, of `count` words between first and last. They are nearly
// uniform: the bound that interpolation suggests leaves few of them on the wrong side.
uint32_t ranked_word(const SparsePasses& passes, const uint32_t* words, int64_t count, int64_t rank,
                     uint32_t first, uint32_t last) {
  int64_t before = 0, up_to = count;  // words below first, and up to last
  for (bool halve = false; up_to - before > kFew && first < last; halve = !halve) {
    const double share =
        halve ? 0.5
              : (static_cast<double>(rank - before) - 0.5) / static_cast<double>(up_to - before);
    const uint32_t bound =
        first + static_cast<uint32_t>(share * static_cast<double>(last - first - 1));
    const int64_t counted = passes.count_up_to(words, count, bound);
    if (counted >= rank) {
      last = bound;
      up_to = counted;
    } else {
      first = bound + 1;
      before = counted;
    }
  }
  if (first == last) return first;
  uint32_t few[kFew + 1];
  int64_t kept = 0;
  for (int64_t i = 0; i < count; ++i) {
    few[kept] = words[i];
    kept += words[i] - first <= last - first;
  }
  std::nth_element(few, few + (rank - before - 1), few + kept);
  return few[rank - before - 1];
}

// The row of the rank-th entry of a column that has this word.
int64_t row_of_tie(const SparseFill& fill, int64_t column, uint32_t word, int64_t rank) {
  for (int64_t row = 0;; ++row) {
    const auto index = static_cast<uint64_t>(row * fill.columns + column);
    if (philox_word(fill.normal.source.key, Domain::kSparse, index) == word && --rank == 0)
      return row;
  }
}

// The tiles of a fill's local columns.
class TiledColumns {
 public:
  explicit TiledColumns(const SparseFill& fill) : fill_(fill), columns_(local_columns(fill)) {
    const bool aligned = fill.columns % 4 == 0 && columns_.first % 4 == 0;
    width_ =
        std::min<int64_t>(columns_.count, aligned ? ColumnTile::kLanes : ColumnTile::kUnaligned);
    if (columns_.count == fill.columns && fill.columns <= ColumnTile::kUnaligned) join_rows();
  }

  int64_t tiles() const { return (columns_.count + width_ - 1) / width_; }
  int64_t rows() const { return fill_.rows / joined_; }  // of a tile, without the rest
  int64_t width() const { return width_; }

  ColumnTile tile(int64_t number, const WordWindow& window) const {
    return tile_of(number * width_, joined_, 0, window);
  }
  // The matrix rows that do not make a whole row of the tile.
  int64_t rest() const { return fill_.rows % joined_; }
  ColumnTile tile_of_rest(const WordWindow& window) const {
    return tile_of(0, rest(), fill_.rows - rest(), window);
  }
  int64_t columns_of(int64_t number) const {
    return std::min(width_, columns_.count - number * width_);
  }
  int64_t first_column(int64_t number) const { return columns_.first + number * width_; }

 private:
  void join_rows() {
    joined_ = ColumnTile::kLanes / fill_.columns;
    while (joined_ * fill_.columns % 4 != 0 && joined_ * fill_.columns > ColumnTile::kUnaligned)
      --joined_;
    joined_ = std::min(joined_, fill_.rows);
  }

  ColumnTile tile_of(int64_t column, int64_t joined, int64_t row, const WordWindow& window) const {
    const int64_t width = std::min(width_, columns_.count - column);
    ColumnTile tile{fill_.normal.source.key,
                    window,
                    static_cast<uint64_t>(row * fill_.columns + columns_.first + column),
                    static_cast<uint64_t>(joined * fill_.columns),
                    static_cast<int>(joined * width),
                    {}};
    for (int lane = 0; lane < tile.lanes; ++lane)
      tile.column[lane] = static_cast<uint8_t>(lane % width);
    return tile;
  }

  const SparseFill& fill_;
  ColumnRange columns_;
  int64_t width_, joined_ = 1;
};

int64_t room_for(const WordWindow& window, int64_t rows) {
  const auto spread = static_cast<int64_t>(8 * std::sqrt(static_cast<double>(window.expected)));
  return std::min(rows, window.expected + spread + 8);
}

void add_words(ColumnWords& to, ColumnWords& from, int64_t columns) {
  for (int c = 0; c < columns; ++c) {
    to.below[c] += from.below[c];
    const int64_t stored = std::min(from.count[c], from.room);
    for (int64_t i = 0; i < stored; ++i) to.append(c, from.of(c)[i]);
    to.count[c] += from.count[c] - stored;
  }
}

class Selection {
 public:
  explicit Selection(const SparseFill& fill)
      : fill_(fill), tiled_(fill), passes_(active_sparse_passes()) {}

  void run(int threads) {
    const WordWindow window = window_of(fill_.rows, fill_.zeros_per_column, 1);
    const int64_t words_of_tile = fill_.rows * tiled_.width();
    const int64_t grain = std::max<int64_t>(1, tuning::kGrainElements / words_of_tile);
    // With few tiles, the threads share each.
    const bool sharing =
        tiled_.tiles() < 4 * threads && words_of_tile >= 2 * tuning::kGrainElements;
    parallel_for(tiled_.tiles(), grain, sharing ? 1 : threads, [&](int64_t begin, int64_t end) {
      ColumnWords found(room_for(window, fill_.rows));
      for (int64_t number = begin; number < end; ++number)
        find(number, window, found, sharing ? threads : 1);
    });
  }

 private:
  void find(int64_t number, const WordWindow& window, ColumnWords& found, int threads) const {
    look_at(number, window, found, threads);
    if (settle(number, window, found)) return;
    for (int64_t widening = 2;; widening *= 2) {
      const WordWindow wider = window_of(fill_.rows, fill_.zeros_per_column, widening);
      ColumnWords more(room_for(wider, fill_.rows));
      look_at(number, wider, more, threads);
      if (settle(number, wider, more)) return;
    }
  }

  void look_at(int64_t number, const WordWindow& window, ColumnWords& found, int threads) const {
    found.clear();
    const ColumnTile tile = tiled_.tile(number, window);
    const int64_t rows = tiled_.rows();
    std::mutex mutex;
    parallel_for(rows, std::max<int64_t>(1, tuning::kGrainElements / tile.lanes), threads,
                 [&](int64_t begin, int64_t end) {
                   if (end - begin == rows) return passes_.collect(tile, begin, end, found);
                   ColumnWords part(found.room);
                   passes_.collect(tile, begin, end, part);
                   const std::lock_guard<std::mutex> lock(mutex);
                   add_words(found, part, tiled_.columns_of(number));
                 });
    if (tiled_.rest() > 0) passes_.collect(tiled_.tile_of_rest(window), 0, 1, found);
  }

  // False where the window, or the room for its words, was too small.
  bool settle(int64_t number, const WordWindow& window, ColumnWords& found) const {
    const int64_t zeros = fill_.zeros_per_column;
    for (int c = 0; c < tiled_.columns_of(number); ++c) {
      const int64_t rank = zeros - found.below[c], count = found.count[c];
      if (rank < 1 || rank > count || count > found.room) return false;
      const uint32_t* words = found.of(c);
      const uint32_t word = ranked_word(passes_, words, count, rank, window.first, window.last);
      int64_t row = fill_.rows - 1;
      // Mostly all entries with this word are zero, because there is one.
      if (passes_.count_up_to(words, count, word) != rank) {
        const int64_t smaller = word == 0 ? 0 : passes_.count_up_to(words, count, word - 1);
        row = row_of_tie(fill_, tiled_.first_column(number) + c, word, rank - smaller);
      }
      fill_.thresholds[number * tiled_.width() + c] = {row, word, 0};
    }
    return true;
  }

  const SparseFill& fill_;
  const TiledColumns tiled_;
  const SparsePasses& passes_;
};

}  // namespace

void select_thresholds_cpu(const SparseFill& fill, int threads) { Selection(fill).run(threads); }

}  // namespace winit_cuda
