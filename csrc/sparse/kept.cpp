#include "sparse/columns.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "platform/floating_point.h"
#include "platform/interruption.h"
#include "platform/parallel.h"
#include "platform/tuning.h"
#include "sparse/passes.h"

namespace winit_cuda {
namespace {

constexpr int kLanes = KeptTile::kLanes;
// Looks that bring the bounds nearer to the thresholds: each leaves about the square root of the
// distance before it, in ranks, and costs a tenth of what collecting does.
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

  // Keeps the tile's words and sets the largest half that is zero, for each lane. Words that share
  // it and are not zero get another half.
  void run(LaneHalves& limits) {
    const int64_t guess = half_at(static_cast<double>(zeros_));
    LaneHalves counts;
    passes_.keep(tile_, static_cast<uint16_t>(guess), counts);
    std::fill_n(bounds_, kLanes, static_cast<uint16_t>(guess));
    std::copy_n(counts, kLanes, counts_);
    for (int step = 0; step < kSteps; ++step) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const double missing = static_cast<double>(zeros_ - counts_[lane]);
        bounds_[lane] = clamped(bounds_[lane] + missing / density_);
      }
      passes_.count_kept(tile_, bounds_, counts_);
    }
    for (int64_t widening = 1; !settle(widening, limits);) widening *= 2;
  }

 private:
  static uint16_t clamped(double half) {
    return static_cast<uint16_t>(std::min(std::max(half, 0.0), double{kMostHalf}));
  }
  int64_t half_at(double rank) const { return clamped(rank / density_); }

  // Collects what is likely to hold the threshold of each lane: as many halves beyond the bound as
  // are missing, or before it as are too many, and a few times the deviation of that number.
  bool settle(int64_t widening, LaneHalves& limits) {
    constexpr double kDeviations = 3, kLeast = 3;
    LaneHalves first, width;
    double most = 0;
    for (int lane = 0; lane < kLanes; ++lane) {
      const double missing = static_cast<double>(zeros_ - counts_[lane]);
      const double away = std::fabs(missing);
      const double ranks =
          static_cast<double>(widening) * (away + kDeviations * std::sqrt(away + 1) + kLeast);
      const double reach = std::ceil(ranks / density_);
      const bool is_beyond = missing > 0;
      const int64_t from = is_beyond ? bounds_[lane] + 1 : clamped(bounds_[lane] - reach);
      const int64_t to = is_beyond ? clamped(bounds_[lane] + reach) : bounds_[lane];
      first[lane] = static_cast<uint16_t>(std::min(from, kMostHalf));
      width[lane] = static_cast<uint16_t>(std::max<int64_t>(to - first[lane], 0));
      is_beyond_[lane] = is_beyond;
      most = std::max(most, ranks);
    }
    const double room = most + 8 * std::sqrt(most) + 8;
    found_.clear(std::min(tile_.rows, static_cast<int64_t>(room)));
    passes_.collect_kept(tile_, first, width, found_);
    std::fill_n(changes_, kLanes, 0);
    for (int lane = 0; lane < tile_.lanes; ++lane)
      if (!settle_lane(lane, limits)) return false;
    // Only now: what has been counted holds for the halves as they were.
    for (int lane = 0; lane < tile_.lanes; ++lane)
      for (int64_t i = 0; i < changes_[lane]; ++i) {
        const KeptWords::Entry& entry = found_.of(lane)[i];
        tile_.at(entry.row, lane) = entry.upper;
      }
    return true;
  }

  bool settle_lane(int lane, LaneHalves& limits) {
    const int64_t count = found_.count[lane];
    const int64_t below = is_beyond_[lane] ? counts_[lane] : counts_[lane] - count;
    const int64_t rank = zeros_ - below;
    if (rank < 1 || rank > count || count > found_.room) return false;
    KeptWords::Entry* const entries = found_.of(lane);
    std::nth_element(entries, entries + rank - 1, entries + count,
                     [](const auto& a, const auto& b) { return a.upper < b.upper; });
    const uint16_t limit = entries[rank - 1].upper;
    const auto sharing = std::partition(entries, entries + count,
                                        [&](const auto& entry) { return entry.upper == limit; });
    int64_t smaller = 0;
    for (const auto* entry = sharing; entry < entries + count; ++entry)
      smaller += entry->upper < limit;
    const int64_t zeros = rank - smaller, shared = sharing - entries;
    limits[lane] = zeros == shared ? limit : part(lane, limit, entries, shared, zeros);
    return true;
  }

  // Of entries that share the limit, the `zeros` with the smallest words, and in the smallest rows
  // of those, are zero. Those that get another half are put in front.
  uint16_t part(int lane, uint16_t limit, KeptWords::Entry* entries, int64_t shared,
                int64_t zeros) {
    const auto word = [&](const KeptWords::Entry& entry) {
      const uint64_t index = tile_.index(entry.row) + static_cast<uint64_t>(lane);
      return std::pair(philox_word(tile_.key, Domain::kSparse, index), entry.row);
    };
    std::sort(entries, entries + shared,
              [&](const auto& a, const auto& b) { return word(a) < word(b); });
    const bool is_last = limit == kMostHalf;  // then the zeros get another half
    if (!is_last) std::rotate(entries, entries + zeros, entries + shared);
    changes_[lane] = is_last ? zeros : shared - zeros;
    for (int64_t i = 0; i < changes_[lane]; ++i)
      entries[i].upper = is_last ? uint16_t{0} : uint16_t{kMostHalf};
    return is_last ? static_cast<uint16_t>(limit - 1) : limit;
  }

  const SparsePasses& passes_;
  const KeptTile& tile_;
  int64_t zeros_;
  KeptWords& found_;
  double density_;  // of halves
  LaneHalves bounds_, counts_;
  bool is_beyond_[kLanes];
  int64_t changes_[kLanes];  // how many of a lane's entries, the first, have got another half
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
        entries(rooms.get<KeptWords::Entry>(workers * words)),
        bits(rooms.get<uint64_t>(workers * marks)) {}

  int64_t tiles, together, count, workers;
  int64_t words, marks;  // of a worker
  uint16_t* upper;
  KeptWords::Entry* entries;
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
        LaneHalves limits = {};
        TileSelection(passes, tile, fill.zeros_per_column, found).run(limits);
        passes.mark_kept(tile, limits, marks, place);
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
