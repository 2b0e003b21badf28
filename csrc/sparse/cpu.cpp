#include "sparse/sparse.h"

#include <algorithm>

#include "platform/floating_point.h"
#include "platform/interruption.h"
#include "platform/parallel.h"
#include "platform/tuning.h"
#include "sparse/passes.h"
#include "values/limits.h"

namespace winit_cuda {
namespace {

// Columns that are only looked at, and rows whose words are made.
constexpr int64_t kColumnsBetweenLooks = int64_t{1} << 20, kRowsBetweenLooks = int64_t{1} << 16;

// The same elements in the same order, in one dimension where that can be.
Box merged(const Box& box) {
  const auto columns = static_cast<uint64_t>(box.size[1]);
  if (box.index_stride[0] != columns * box.index_stride[1] ||
      box.stride[0] != box.size[1] * box.stride[1])
    return box;
  Box one = box;
  one.rank = 1;
  one.size[0] = box.size[0] * box.size[1];
  one.stride[0] = box.stride[1];
  one.index_stride[0] = box.index_stride[1];
  return one;
}

int64_t period_of(const SparseFill& fill) {
  return std::min(fill.columns, local_columns(fill).count + ColumnLimits::kBefore);
}

uint32_t* room_for_limits(const SparseFill& fill, Rooms& rooms) {
  return rooms.get<uint32_t>(plus(period_of(fill), ColumnTile::kLanes));
}

ColumnLimits limits_of(const SparseFill& fill, uint32_t* room) {
  const ColumnRange local = local_columns(fill);
  const int64_t before = ColumnLimits::kBefore % fill.columns;
  int64_t column = (fill.columns - before) % fill.columns;
  for (int64_t i = 0; i < period_of(fill) + ColumnTile::kLanes; ++i) {
    if (i % kColumnsBetweenLooks == 0) check_interruption();
    room[i] = column < local.count ? fill.thresholds[column].word : 0;
    if (++column == fill.columns) column = 0;
  }
  return {static_cast<uint64_t>(local.first), static_cast<uint64_t>(fill.columns), room};
}

void fill_up_to_limits(const RandomFill& normal, const ColumnLimits& limits, int threads) {
  const SparsePasses& passes = active_sparse_passes();
  Tiles tiles;
  if (find_tiles(normal.target.box, item_size(normal.target.dtype), tiles)) {
    parallel_for(tiles.count, tuning::kGrainElements / tiles.elements(), threads,
                 [&](int64_t begin, int64_t end) {
                   const DefaultFloatingPoint environment;
                   passes.fill_tiles(normal, limits, tiles, begin, end);
                 });
    return;
  }
  parallel_for(element_count(normal.target.box), tuning::kGrainElements, threads,
               [&](int64_t begin, int64_t end) {
                 const DefaultFloatingPoint environment;
                 passes.fill(normal, limits, begin, end);
               });
}

// The limits say nothing of rows. Once in 2^32 / rows columns the threshold's word has a twin, and
// where that is in a greater row than the last zero it gets its value back.
void restore_twins(const SparseFill& fill) {
  const Box& box = fill.normal.target.box;
  for (int64_t c = 0; c < box.size[1]; ++c) {
    if (c % kColumnsBetweenLooks == 0) check_interruption();
    const SparseThreshold& threshold = fill.thresholds[c];
    if (threshold.row == fill.rows - 1) continue;
    for (int64_t i = 0; i < box.size[0]; ++i) {
      if (i % kRowsBetweenLooks == 0) check_interruption();
      const uint64_t index = box.index_offset + static_cast<uint64_t>(i) * box.index_stride[0] +
                             static_cast<uint64_t>(c);
      const auto row = static_cast<int64_t>(index / static_cast<uint64_t>(fill.columns));
      if (row > threshold.row &&
          philox_word(fill.normal.source.key, Domain::kSparse, index) == threshold.word)
        fill_range_cpu(fill.normal, i * box.size[1] + c, i * box.size[1] + c + 1);
    }
  }
}

// What one part needs, in rooms: the limits suffice for the widest box.
struct Windows {
  Windows(const SparseFill& selection, int threads, Rooms& rooms)
      : thresholds(rooms.get<SparseThreshold>(local_columns(selection).count)),
        limits(room_for_limits(selection, rooms)),
        selected(rooms.get<unsigned char>(selection_bytes(selection, threads))) {}

  SparseThreshold* thresholds;
  uint32_t* limits;
  void* selected;
};

int64_t bytes_for(const SparseFill& fill, const SparseColumns& columns, int threads) {
  if (fill.zeros_per_column == 0) return 0;
  const SparseFill selection = selection_of(fill, columns);
  if (has_kept_tiles(fill, columns, threads)) return sparse_kept_bytes(selection, threads);
  Rooms rooms;
  Windows(selection, threads, rooms);
  return rooms.bytes();
}

void write(const SparseFill& fill, const SparseColumns& given, int threads, void* memory) {
  if (fill.zeros_per_column == 0) {
    for (int64_t i = 0; i < given.count; ++i) {
      RandomFill normal = fill.normal;
      normal.target = given.boxes[i];
      normal.target.box = merged(normal.target.box);
      fill_cpu(normal, threads);
    }
    return;
  }
  if (has_kept_tiles(fill, given, threads)) return sparse_kept_cpu(fill, given, threads, memory);
  Rooms rooms(memory);
  const Windows windows(selection_of(fill, given), threads, rooms);
  SparseColumns columns = given;
  columns.thresholds = windows.thresholds;
  select_thresholds_cpu(selection_of(fill, columns), threads, windows.selected);
  for (int64_t i = 0; i < columns.count; ++i) {
    const SparseFill one = fill_of(fill, columns, i);
    RandomFill normal = one.normal;
    normal.target.box = merged(normal.target.box);
    fill_up_to_limits(normal, limits_of(one, windows.limits), threads);
    restore_twins(one);
  }
}

}  // namespace

void sparse_cpu(const SparseFill& given, const SparseColumns* parts, int64_t count, int threads,
                const KeyDraw& draw) {
  int64_t bytes = 0, elements = 0;
  for (int64_t i = 0; i < count; ++i)
    elements = plus(elements, times(given.rows, parts[i].range.count));
  if (elements < tuning::kGrainElements) threads = 1;
  // Where there are few parts, all threads work on each of them.
  const bool are_few = count < tuning::kSparsePartsPerThread * threads;
  const int within = are_few ? threads : 1;
  for (int64_t i = 0; i < count; ++i) bytes = std::max(bytes, bytes_for(given, parts[i], within));
  Memory memory;
  if (bytes > 0) memory = get_memory(times(bytes, are_few ? 1 : threads));
  unsigned char* const rooms = memory ? static_cast<unsigned char*>(memory->place()) : nullptr;
  SparseFill fill = given;
  fill.normal.source.key = draw();
  const auto write_parts = [&](int64_t begin, int64_t end, int worker) {
    const DefaultFloatingPoint environment;
    for (int64_t i = begin; i < end; ++i) {
      if (i > begin) check_interruption();
      write(fill, parts[i], within, memory ? rooms + worker * bytes : nullptr);
    }
  };
  if (are_few) return write_parts(0, count, 0);
  parallel_for(count, 1, threads, write_parts,
               wake_if(elements >= tuning::kSparseElementsWorthWaking));
}

}  // namespace winit_cuda
