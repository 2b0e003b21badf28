#include "sparse/columns.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "platform/floating_point.h"
#include "platform/interruption.h"
#include "platform/parallel.h"
#include "platform/tuning.h"
#include "sparse/passes.h"

namespace winit_cuda {
namespace {

constexpr int kLanes = KeptTile::kLanes;
// Looks that bring the bounds nearer to the thresholds: each leaves about the square root of the
// distance before it, in ranks, and costs a third of what marking does.
constexpr int kSteps = 2;
constexpr int64_t kMostHalf = UINT16_MAX;

// Where the k-th smallest half of each lane is looked for. The halves are uniform: how many lie
// up to a bound says where to look, and the next look tells whether it was right.
class TileSelection {
 public:
  TileSelection(const SparsePasses& passes, const KeptTile& tile, int64_t zeros, KeptWords& found)
      : passes_(passes),
        tile_(tile),
        zeros_(zeros),
        found_(found),
        density_(static_cast<double>(tile.rows) / (kMostHalf + 1)) {}

  // Keeps the tile's words and marks those that are not zero, a word for a row.
  void run(uint64_t* marks) {
    const int64_t guess = half_at(static_cast<double>(zeros_));
    passes_.keep(tile_, static_cast<uint16_t>(guess), counts_);
    LaneHalves& bounds = windows_.bounds;
    std::fill_n(bounds, kLanes, static_cast<uint16_t>(guess));
    for (int step = 0; step < kSteps; ++step) {
      for (int lane = 0; lane < kLanes; ++lane)
        bounds[lane] = clamped(bounds[lane] + static_cast<double>(missing(lane)) / density_);
      passes_.count_kept(tile_, bounds, counts_);
    }
    for (int64_t widening = 1; !settle(widening, marks);) widening *= 2;
  }

 private:
  static uint16_t clamped(double half) {
    return static_cast<uint16_t>(std::min(std::max(half, 0.0), double{kMostHalf}));
  }
  int64_t half_at(double rank) const { return clamped(rank / density_); }

  // How many zeros a lane has beyond its bound, or, if that is negative, too many up to it.
  int64_t missing(int lane) const { return zeros_ - counts_[lane]; }

  // Marks what is above the bounds, and turns the marks of those between the bounds and the
  // thresholds: the next so many beyond a bound, or the last so many up to it. Windows are likely
  // to hold these: they reach over so many halves and a few times the deviation of that number.
  bool settle(int64_t widening, uint64_t* marks) {
    constexpr double kDeviations = 3, kLeast = 3;
    double most = 0;
    windows_.lanes = 0;
    for (int lane = 0; lane < tile_.lanes; ++lane) {
      const int64_t bound = windows_.bounds[lane];
      const auto away = static_cast<double>(std::abs(missing(lane)));
      const double ranks =
          static_cast<double>(widening) * (away + kDeviations * std::sqrt(away + 1) + kLeast);
      const double reach = std::ceil(ranks / density_);
      const bool is_beyond = missing(lane) > 0;
      const int64_t from = is_beyond ? std::min(bound + 1, kMostHalf) : clamped(bound - reach);
      const int64_t to = is_beyond ? clamped(bound + reach) : bound;
      windows_.first[lane] = static_cast<uint16_t>(from);
      windows_.width[lane] = static_cast<uint16_t>(to - from);
      windows_.lanes |= uint64_t{missing(lane) != 0} << lane;
      most = std::max(most, ranks);
    }
    const double room = most + 8 * std::sqrt(most) + 8;
    found_.clear(std::min(tile_.rows, static_cast<int64_t>(room)));
    passes_.mark_kept(tile_, windows_, marks, found_);
    for (uint64_t lanes = windows_.lanes; lanes; lanes &= lanes - 1)
      if (!settle_lane(__builtin_ctzll(lanes), marks)) return false;
    return true;
  }

  bool settle_lane(int lane, uint64_t* marks) {
    const bool is_beyond = missing(lane) > 0;
    const int64_t turned = std::abs(missing(lane)), count = found_.count[lane];
    if (count < turned || count > found_.room) return false;
    // The nearest to the bound come first.
    uint32_t* const entries = found_.of(lane);
    const uint32_t reversal = is_beyond ? 0 : UINT32_MAX;
    for (int64_t i = 0; i < count; ++i) entries[i] ^= reversal;
    std::nth_element(entries, entries + turned - 1, entries + count);
    const uint32_t last = entries[turned - 1] >> 16;
    if (std::any_of(entries + turned, entries + count,
                    [&](uint32_t entry) { return entry >> 16 == last; }))
      sort(lane, entries, count, reversal);
    for (int64_t i = 0; i < turned; ++i)
      marks[(entries[i] ^ reversal) & UINT16_MAX] ^= uint64_t{1} << lane;
    return true;
  }

  // Halves that are shared are told apart by the words, and then by the rows.
  void sort(int lane, uint32_t* entries, int64_t count, uint32_t reversal) {
    const auto word = [&](uint32_t entry) {
      const uint64_t row = (entry ^ reversal) & UINT16_MAX;
      const uint64_t index = tile_.index(static_cast<int64_t>(row)) + static_cast<uint64_t>(lane);
      return philox_word(tile_.key, Domain::kSparse, index) ^ reversal;
    };
    std::sort(entries, entries + count, [&](uint32_t a, uint32_t b) {
      if (a >> 16 != b >> 16) return a < b;
      const uint32_t words[] = {word(a), word(b)};
      return words[0] != words[1] ? words[0] < words[1] : a < b;
    });
  }

  const SparsePasses& passes_;
  const KeptTile& tile_;
  int64_t zeros_;
  KeptWords& found_;
  double density_;  // of halves
  KeptWindows windows_ = {};
  LaneHalves counts_;  // up to the bounds
};

int64_t tiles_of(const ColumnRange& columns) { return (columns.count + kLanes - 1) / kLanes; }

// Of the threads' time, where each takes a tile after the other.
double busy_share(int64_t tiles, int64_t threads) {
  const int64_t rounds = (tiles + threads - 1) / threads;
  return static_cast<double>(tiles) / static_cast<double>(std::max<int64_t>(rounds, 1) * threads);
}

// Whatever the boxes have of the rows, all are looked at.
bool is_worth_waking(const SparseFill& fill, const SparseColumns& columns) {
  return times(fill.rows, columns.range.count) >= tuning::kSparseElementsWorthWaking;
}

// Tiles side by side that are filled together, and the rooms of the threads that take them in turn.
struct KeptGroups {
  KeptGroups(const SparseFill& selection, int threads, Rooms& rooms)
      : tiles(tiles_of(local_columns(selection))),
        together(std::clamp<int64_t>(tiles / (tuning::kTileGroupsPerThread * threads), 1,
                                     KeptMarks::kMostTiles)),
        count((tiles + together - 1) / together),
        workers(std::min<int64_t>(threads, count)),
        words(selection.rows * kLanes),
        marks(selection.rows * together),
        upper(rooms.get<uint16_t>(workers * words)),
        entries(rooms.get<uint32_t>(workers * words)),
        bits(rooms.get<uint64_t>(workers * marks)) {}

  int64_t tiles, together, count, workers;
  int64_t words, marks;  // of a worker
  uint16_t* upper;
  uint32_t* entries;
  uint64_t* bits;
};

}  // namespace

bool has_kept_tiles(const SparseFill& fill, const SparseColumns& columns, int threads) {
  if (fill.columns % 4 != 0 || fill.rows > KeptTile::kMostRows) return false;
  for (int64_t i = 0; i < columns.count; ++i) {
    const Box& box = columns.boxes[i].box;
    const auto first = static_cast<int64_t>(box.index_offset % static_cast<uint64_t>(fill.columns));
    if (first != columns.range.first || box.size[1] != columns.range.count || first % 4 != 0 ||
        box.stride[1] != 1 || box.index_stride[1] != 1 ||
        box.index_stride[0] != static_cast<uint64_t>(fill.columns))
      return false;
  }
  return !is_worth_waking(fill, columns) ||
         busy_share(tiles_of(columns.range), threads) >= tuning::kLeastBusyShare;
}

int64_t sparse_kept_bytes(const SparseFill& selection, int threads) {
  Rooms rooms;
  KeptGroups(selection, threads, rooms);
  return rooms.bytes();
}

void sparse_kept_cpu(const SparseFill& fill, const SparseColumns& part, int threads, void* memory) {
  Rooms rooms(memory);
  const KeptGroups groups(selection_of(fill, part), threads, rooms);
  const SparsePasses& passes = active_sparse_passes();
  const ColumnRange& columns = part.range;
  const auto work = [&](int64_t begin, int64_t end, int worker) {
    const DefaultFloatingPoint environment;
    KeptWords found{0, {}, groups.entries + worker * groups.words};
    KeptMarks marks{0,
                    0,
                    fill.rows,
                    0,
                    static_cast<uint64_t>(fill.columns),
                    groups.bits + worker * groups.marks};
    for (int64_t group = begin; group < end; ++group) {
      const int64_t column = group * groups.together * kLanes;
      marks.lanes = static_cast<int>(std::min(groups.together * kLanes, columns.count - column));
      marks.tiles = (marks.lanes + kLanes - 1) / kLanes;
      marks.first_index = static_cast<uint64_t>(columns.first + column);
      for (int place = 0; place < marks.tiles; ++place) {
        check_interruption();
        const KeptTile tile{fill.normal.source.key,
                            marks.first_index + static_cast<uint64_t>(place * kLanes),
                            marks.row_stride,
                            fill.rows,
                            std::min(kLanes, marks.lanes - place * kLanes),
                            groups.upper + worker * groups.words};
        TileSelection(passes, tile, fill.zeros_per_column, found).run(marks.of(place));
      }
      for (int64_t i = 0; i < part.count; ++i) {
        RandomFill normal = fill.normal;
        normal.target = part.boxes[i];
        passes.fill_kept(normal, marks, column);
      }
    }
  };
  const auto workers = static_cast<int>(groups.workers);
  parallel_for(groups.count, 1, workers, work, wake_if(is_worth_waking(fill, part)));
}

}  // namespace winit_cuda
