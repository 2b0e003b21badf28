#include "many/many.h"

#include <algorithm>
#include <cstring>
#include <cwchar>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "platform/floating_point.h"
#include "platform/parallel.h"
#include "platform/tuning.h"

namespace winit_cuda {
namespace {

// The list is one stretch of work, in units (tuning::kConstantsPerUnit).

// Fills begin at multiples of this, so that a cut goes through none of the SIMD fills' chunks.
constexpr int64_t kAlignment = 64;

int64_t units_of(const RandomFill& fill) {
  Tiles tiles;
  const bool is_tiled = find_tiles(fill.target.box, item_size(fill.target.dtype), tiles);
  return is_tiled ? tiles.count * tiles.elements() : element_count(fill.target.box);
}
int64_t units_of(const ConstantFill& fill) {
  return (element_count(fill.box) + tuning::kConstantsPerUnit - 1) / tuning::kConstantsPerUnit;
}

// Where a piece of the work begins, of the `pieces` that threads take in turn: they become shorter
// towards the end, so that the threads end at about the same time.
int64_t cut(int64_t piece, int64_t pieces, int64_t total) {
  const double left = static_cast<double>(pieces - piece) / static_cast<double>(pieces);
  const auto behind = static_cast<int64_t>(static_cast<double>(total / kAlignment) * left * left);
  return total - behind * kAlignment;
}

// The units [begin, end) of one fill; the alignment may have added some to its end.
void fill_units(RandomFill fill, void* pointer, const ListKeys& keys, size_t number, int64_t begin,
                int64_t end) {
  fill.target.pointer = pointer;
  fill.source = {keys[number], nullptr, Domain::kElement};
  Tiles tiles;
  if (find_tiles(fill.target.box, item_size(fill.target.dtype), tiles)) {
    const auto tile_from = [&](int64_t unit) {  // the first one that begins there or later
      return std::min((unit + tiles.elements() - 1) / tiles.elements(), tiles.count);
    };
    fill_tiles_cpu(fill, tiles, tile_from(begin), tile_from(end));
    return;
  }
  end = std::min(end, element_count(fill.target.box));
  if (begin < end) fill_range_cpu(fill, begin, end);
}

// Constants come faster than memory takes them. A tensor of so many bytes is written around the
// caches, where the processor can: that saves reading what is overwritten, half of the time.
constexpr int64_t kStreamedConstantBytes = int64_t{32} << 20;

// How many elements have been written around the caches.
template <class T>
int64_t stream_constant(T* out, int64_t count, T value) {
#if defined(__SSE2__)
  constexpr int64_t kVector = 16 / sizeof(T);
  alignas(16) T values[kVector];
  std::fill_n(values, kVector, value);
  const __m128i vector = _mm_load_si128(reinterpret_cast<const __m128i*>(values));
  const int64_t whole = reinterpret_cast<uintptr_t>(out) % 16 == 0 ? count / kVector : 0;
  for (int64_t i = 0; i < whole; ++i)
    _mm_stream_si128(reinterpret_cast<__m128i*>(out + i * kVector), vector);
  _mm_sfence();
  return whole * kVector;
#else
  return 0;
#endif
}

// The C library writes by the widest stores that the processor has.
template <class T>
void set_contiguous(T* out, int64_t count, T value) {
  if (value == 0) {
    std::memset(out, 0, static_cast<size_t>(count) * sizeof(T));
    return;
  }
  int64_t done = 0;
  if constexpr (sizeof(T) <= sizeof(wchar_t)) {
    constexpr int64_t kWide = sizeof(wchar_t) / sizeof(T);
    if (reinterpret_cast<uintptr_t>(out) % sizeof(wchar_t) == 0) {
      T values[kWide];
      std::fill_n(values, kWide, value);
      wchar_t wide;
      std::memcpy(&wide, values, sizeof(wide));
      std::wmemset(reinterpret_cast<wchar_t*>(out), wide, static_cast<size_t>(count / kWide));
      done = count / kWide * kWide;
    }
  }
  std::fill_n(out + done, count - done, value);
}

template <class T>
void set_run(T* out, const Run& run, T value, bool streaming) {
  if (run.stride != 1) {
    for (int64_t i = 0; i < run.count; ++i) out[i * run.stride] = value;
    return;
  }
  const int64_t done = streaming ? stream_constant(out, run.count, value) : 0;
  set_contiguous(out + done, run.count - done, value);
}

void fill_units(const ConstantFill& fill, void* pointer, const ListKeys&, size_t, int64_t begin,
                int64_t end) {
  end = std::min(end * tuning::kConstantsPerUnit, element_count(fill.box));
  begin *= tuning::kConstantsPerUnit;
  if (begin >= end) return;
  with_itemsize(fill.itemsize, [&](auto element) {
    using T = typename decltype(element)::type;
    const bool streaming = element_count(fill.box) * fill.itemsize >= kStreamedConstantBytes;
    for_each_run(fill.box, begin, end, [&](const Run& run) {
      set_run(static_cast<T*>(pointer) + run.offset, run, static_cast<T>(fill.bits), streaming);
    });
  });
}

void fill_piece(const PlacedFills& list, const ListKeys& keys, int64_t begin, int64_t end) {
  const Vector<int64_t>& starts = list.starts;
  size_t i = static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), begin) -
                                 starts.begin() - 1);
  for (; i < list.fills.size() && starts[i] < end; ++i) {
    const int64_t first = std::max(begin, starts[i]) - starts[i];
    const int64_t last = std::min(end, starts[i + 1]) - starts[i];
    const PlacedFill& placed = list.fills[i];
    std::visit([&](const auto& fill) { fill_units(fill, placed.pointer, keys, i, first, last); },
               *placed.fill);
  }
}

struct Extent {
  uintptr_t begin, end;
  size_t fill;
};

void* address_of(const RandomFill& fill) { return fill.target.pointer; }
void* address_of(const ConstantFill& fill) { return fill.pointer; }
const Box& box_of(const RandomFill& fill) { return fill.target.box; }
const Box& box_of(const ConstantFill& fill) { return fill.box; }
int item_size_of(const RandomFill& fill) { return item_size(fill.target.dtype); }
int item_size_of(const ConstantFill& fill) { return fill.itemsize; }

}  // namespace

void FillList::add(const Target& target, const OwnedLaw& law) {
  RandomFill fill{};
  fill.target = target;
  fill.law = law.law;
  fills.emplace_back(fill);
  if (law.table) tables.push_back(law.table);
}

void FillList::add(const ConstantFill& fill) { fills.emplace_back(fill); }

PlacedFill placed(const FillList::Fill& fill) {
  return std::visit(
      [&](const auto& one) {
        const Box& box = box_of(one);
        const int64_t elements = box.rank == 1 && box.stride[0] == 1 ? box.size[0] : 1;
        const int64_t units = (units_of(one) + kAlignment - 1) / kAlignment * kAlignment;
        return PlacedFill{&fill, address_of(one), elements * item_size_of(one), units};
      },
      fill);
}

void PlacedFills::reserve(size_t count) {
  fills.reserve(count);
  starts.reserve(count + 1);
}

void PlacedFills::add(const PlacedFill& fill) {
  if (starts.empty()) starts.push_back(0);
  starts.push_back(starts.back() + fill.units);
  fills.push_back(fill);
}

std::optional<Overlap> find_overlap(std::initializer_list<const PlacedFills*> lists) {
  Vector<Extent> extents;
  for (const PlacedFills* list : lists) {
    extents.reserve(extents.size() + list->fills.size());
    for (const PlacedFill& fill : list->fills) {
      const auto begin = reinterpret_cast<uintptr_t>(fill.pointer);
      extents.push_back({begin, begin + static_cast<uintptr_t>(fill.bytes), extents.size()});
    }
  }
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].begin >= extents[i - 1].end) continue;
    const auto [first, second] = std::minmax(extents[i - 1].fill, extents[i].fill);
    return Overlap{first, second};
  }
  return std::nullopt;
}

void fill_many_cpu(const PlacedFills& list, const ListKeys& keys, int threads) {
  const int64_t total = list.starts.back();
  const int64_t pieces = (total + tuning::kGrainElements - 1) / tuning::kGrainElements;
  parallel_for(pieces, 1, threads, [&](int64_t begin, int64_t end) {
    const DefaultFloatingPoint environment;
    fill_piece(list, keys, cut(begin, pieces, total), cut(end, pieces, total));
  });
}

}  // namespace winit_cuda
