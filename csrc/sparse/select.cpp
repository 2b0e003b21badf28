#include "sparse/columns.h"

#include <algorithm>
#include <cmath>

#include "platform/interruption.h"
#include "platform/parallel.h"
#include "platform/tuning.h"
#include "sparse/passes.h"

namespace winit_cuda {
namespace {

constexpr int64_t kFew = 8;                  // words that are sorted rather than counted
constexpr int64_t kMany = int64_t{1} << 16;  // words that take as long as to be worth a look

// The rank-th smallest word, rank >= 1, of `count` words between first and last. They are nearly
// uniform: the bound that interpolation suggests leaves few of them on the wrong side.
uint32_t ranked_word(const SparsePasses& passes, const uint32_t* words, int64_t count, int64_t rank,
                     uint32_t first, uint32_t last) {
  int64_t before = 0, up_to = count;  // words below first, and up to last
  for (bool halve = false; up_to - before > kFew && first < last; halve = !halve) {
    if (count >= kMany) check_interruption();
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
  constexpr int64_t kRowsBetweenLooks = int64_t{1} << 16;
  for (int64_t row = 0;; ++row) {
    if (row % kRowsBetweenLooks == 0) check_interruption();
    const uint64_t index = static_cast<uint64_t>(row) * static_cast<uint64_t>(fill.columns) +
                           static_cast<uint64_t>(column);
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
                    static_cast<uint64_t>(row) * static_cast<uint64_t>(fill_.columns) +
                        static_cast<uint64_t>(columns_.first + column),
                    static_cast<uint64_t>(joined) * static_cast<uint64_t>(fill_.columns),
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

// Words a column that are likely to suffice.
int64_t room_for(const WordWindow& window, int64_t rows) {
  const auto spread = static_cast<int64_t>(8 * std::sqrt(static_cast<double>(window.expected)));
  return std::min(rows, plus(window.expected, spread + 8));
}

// Words that hold the threshold of a column.
struct Bracket {
  uint32_t first, last;
  int64_t below, inside;  // words that are smaller, and words in it
};

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
  Selection(const SparseFill& fill, int threads, Rooms& rooms)
      : fill_(fill),
        tiled_(fill),
        passes_(active_sparse_passes()),
        window_(window_of(fill.rows, fill.zeros_per_column)),
        room_(room_for(window_, fill.rows)),
        words_of_tile_(times(fill.rows, tiled_.width())),
        is_shared_(tiled_.tiles() < 4 * threads && words_of_tile_ >= 2 * tuning::kGrainElements),
        threads_(threads),
        workers_(is_shared_ ? threads : std::min<int64_t>(threads, tiled_.tiles())),
        found_(rooms.get<ColumnWords>(workers_)),
        words_(rooms.get<uint32_t>(times(workers_, times(room_, ColumnTile::kLanes)))) {}

  void run() {
    for (int64_t worker = 0; worker < workers_; ++worker) {
      found_[worker].room = room_;
      found_[worker].words = words_ + worker * room_ * ColumnTile::kLanes;
    }
    const int64_t grain = std::max<int64_t>(1, tuning::kGrainElements / words_of_tile_);
    parallel_for(tiled_.tiles(), grain, is_shared_ ? 1 : threads_,
                 [&](int64_t begin, int64_t end, int worker) {
                   for (int64_t number = begin; number < end; ++number) find(number, worker);
                 });
  }

 private:
  void find(int64_t number, int worker) {
    ColumnWords& found = look_at(number, window_, worker);
    const int columns = static_cast<int>(tiled_.columns_of(number));
    Bracket missed[ColumnTile::kLanes];
    int column_of[ColumnTile::kLanes], count = 0;
    check_interruption();
    for (int c = 0; c < columns; ++c) {
      if (settle(number, c, window_, found)) continue;
      const Bracket all{0, UINT32_MAX, 0, fill_.rows};
      missed[count] = narrowed(all, window_, found.below[c], found.count[c]);
      column_of[count++] = c;
    }
    for (int i = 0; i < count; ++i) search(number, column_of[i], missed[i], worker);
  }

  // Collects what is in the window. Few tiles are shared by the threads: each has its own words.
  ColumnWords& look_at(int64_t number, const WordWindow& window, int worker) {
    const int parts = is_shared_ ? threads_ : 1;
    ColumnWords* const found = found_ + worker;
    for (int part = 0; part < parts; ++part) found[part].clear();
    const ColumnTile tile = tiled_.tile(number, window);
    parallel_for(tiled_.rows(), std::max<int64_t>(1, tuning::kGrainElements / tile.lanes), parts,
                 [&](int64_t begin, int64_t end, int part) {
                   passes_.collect(tile, begin, end, found[part]);
                 });
    for (int part = 1; part < parts; ++part)
      add_words(found[0], found[part], tiled_.columns_of(number));
    if (tiled_.rest() > 0) passes_.collect(tiled_.tile_of_rest(window), 0, 1, found[0]);
    return found[0];
  }

  // False where the window, or the room for its words, was too small.
  bool settle(int64_t number, int c, const WordWindow& window, ColumnWords& found) const {
    const int64_t rank = fill_.zeros_per_column - found.below[c], count = found.count[c];
    if (rank < 1 || rank > count || count > found.room) return false;
    const uint32_t* words = found.of(c);
    const uint32_t word = ranked_word(passes_, words, count, rank, window.first, window.last);
    const int64_t up_to = passes_.count_up_to(words, count, word);
    const int64_t smaller =
        up_to == rank || word == 0 ? 0 : passes_.count_up_to(words, count, word - 1);
    set_threshold(number, c, word, rank - smaller, up_to - smaller);
    return true;
  }

  // The rank-th of so many entries that share a word is the last one that is zero.
  void set_threshold(int64_t number, int c, uint32_t word, int64_t rank, int64_t sharing) const {
    // Mostly all entries with this word are zero, because there is one.
    const int64_t row = rank == sharing
                            ? fill_.rows - 1
                            : row_of_tie(fill_, tiled_.first_column(number) + c, word, rank);
    fill_.thresholds[number * tiled_.width() + c] = {row, word, 0};
  }

  // What a look at a window in the bracket tells.
  Bracket narrowed(const Bracket& bracket, const WordWindow& window, int64_t below,
                   int64_t count) const {
    const int64_t rank = fill_.zeros_per_column - below;
    if (rank < 1) return {bracket.first, window.first - 1, bracket.below, below - bracket.below};
    if (rank <= count) return {window.first, window.last, below, count};
    return {window.last + 1, bracket.last, below + count,
            bracket.below + bracket.inside - below - count};
  }

  // Looks where the threshold is to be expected in the bracket, by windows whose words have room,
  // or in its middle, which bounds how often.
  WordWindow next_window(const Bracket& bracket, bool in_the_middle) const {
    if (bracket.inside <= room_) return {bracket.first, bracket.last, 0};
    const auto inside = static_cast<double>(bracket.inside);
    const auto width = static_cast<double>(bracket.last - bracket.first);
    const auto rank = static_cast<double>(fill_.zeros_per_column - bracket.below) - 0.5;
    const double at = in_the_middle ? 0.5 * width : rank / inside * width;
    const double reach = static_cast<double>(room_) / 4 / inside * width;
    return {bracket.first + static_cast<uint32_t>(std::max(at - reach, 0.0)),
            bracket.first + static_cast<uint32_t>(std::min(at + reach, width)), 0};
  }

  // For one column in 16000.
  void search(int64_t number, int c, Bracket bracket, int worker) {
    for (bool in_the_middle = false;; in_the_middle = !in_the_middle) {
      check_interruption();
      if (bracket.first == bracket.last)
        return set_threshold(number, c, bracket.first, fill_.zeros_per_column - bracket.below,
                             bracket.inside);
      const WordWindow window = next_window(bracket, in_the_middle);
      ColumnWords& found = look_at(number, window, worker);
      if (settle(number, c, window, found)) return;
      bracket = narrowed(bracket, window, found.below[c], found.count[c]);
    }
  }

  const SparseFill& fill_;
  const TiledColumns tiled_;
  const SparsePasses& passes_;
  const WordWindow window_;
  const int64_t room_;  // of a column's words
  const int64_t words_of_tile_;
  const bool is_shared_;
  const int threads_;
  const int64_t workers_;  // that collect words
  ColumnWords* found_;     // of each
  uint32_t* words_;
};

}  // namespace

int64_t selection_bytes(const SparseFill& fill, int threads) {
  Rooms rooms;
  Selection(fill, threads, rooms);
  return rooms.bytes();
}

void select_thresholds_cpu(const SparseFill& fill, int threads, void* memory) {
  if (fill.zeros_per_column == fill.rows) {  // however long a column is, all of it is zero
    std::fill_n(fill.thresholds, local_columns(fill).count,
                SparseThreshold{fill.rows - 1, UINT32_MAX, 0});
    return;
  }
  Rooms rooms(memory);
  Selection(fill, threads, rooms).run();
}

}  // namespace winit_cuda
