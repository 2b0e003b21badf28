#include "fill/fill.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>

#include "fill/lanes.h"
#include "platform/floating_point.h"
#include "platform/parallel.h"
#include "values/limits.h"

namespace winit_cuda {
namespace {

// Below this many elements a thread, waking it costs more than it saves.
constexpr int64_t kGrain = int64_t{1} << 15;
constexpr int64_t kConstantGrain = int64_t{1} << 16;

const SimdFills* best_fills() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  // F16C is older than AVX2, and some compilers do not know its name here.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512cd"))
    return &kAvx512Fills;
  return avx2 ? &kAvx2Fills : &kPortableFills;
#elif defined(__aarch64__)
  return &kNeonFills;
#else
  return &kPortableFills;
#endif
}

const SimdFills* const kBestFills = best_fills();
std::atomic<const SimdFills*> active_fills{kBestFills};

const SimdFills* usable_fills(const std::string& name) {
  if (name == kPortableFills.name) return &kPortableFills;
#if defined(__x86_64__)
  if (name == kAvx2Fills.name && kBestFills != &kPortableFills) return &kAvx2Fills;
  if (name == kAvx512Fills.name && kBestFills == &kAvx512Fills) return &kAvx512Fills;
#elif defined(__aarch64__)
  if (name == kNeonFills.name) return &kNeonFills;
#endif
  return nullptr;
}

// Eight bytes of one value after the other.
template <class T>
uint64_t repeated(T value) {
  return (~uint64_t{0} / static_cast<T>(~T{0})) * value;
}

template <class T>
void set_contiguous(T* out, int64_t count, T value, bool streaming) {
  const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
  if (bytes < 256)
    std::fill_n(out, count, value);
  else
    active_fills.load(std::memory_order_relaxed)->set(out, repeated(value), bytes, streaming);
}

template <class T>
void set_run(T* base, const Run& run, T value, bool streaming) {
  T* out = base + run.offset;
  if (run.stride == 1)
    set_contiguous(out, run.count, value, streaming);
  else
    for (int64_t i = 0; i < run.count; ++i) out[i * run.stride] = value;
}

template <class T>
void set_range(const ConstantFill& fill, int64_t begin, int64_t end) {
  const bool streaming = is_streamed(fill.box, fill.itemsize, kStreamedConstantBytes);
  for_each_run(fill.box, begin, end, [&](const Run& run) {
    set_run(static_cast<T*>(fill.pointer), run, static_cast<T>(fill.bits), streaming);
  });
}

template <class T>
void dirac_range(const DiracFill& fill, int64_t begin, int64_t end) {
  for_each_run(fill.box, begin, end, [&](const Run& run) {
    T* base = static_cast<T*>(fill.pointer);
    set_run(base, run, T{0}, false);  // the ones are written while the zeros are in the cache
    // The ones lie rows apart: visit the rows that the run meets, not its elements.
    const int64_t first = static_cast<int64_t>(run.index);
    const int64_t step = static_cast<int64_t>(run.index_stride);
    const int64_t last = first + (run.count - 1) * step;
    for (int64_t o = first / fill.row_length; o <= last / fill.row_length; ++o) {
      const int64_t column = dirac_column(fill, o);
      const int64_t distance = o * fill.row_length + column - first;
      if (column < 0 || distance < 0 || distance > last - first || distance % step != 0) continue;
      base[run.offset + distance / step * run.stride] = static_cast<T>(fill.one);
    }
  });
}

// Calls range(element), an unsigned integer of the item size.
template <class Range>
void by_itemsize(int itemsize, Range range) {
  switch (itemsize) {
    case 1:
      return range(uint8_t{});
    case 2:
      return range(uint16_t{});
    case 4:
      return range(uint32_t{});
    default:
      return range(uint64_t{});
  }
}

}  // namespace

void fill_range_cpu(const RandomFill& fill, int64_t begin, int64_t end) {
  active_fills.load(std::memory_order_relaxed)->fill(fill, begin, end);
}

void fill_range_cpu(const ConstantFill& fill, int64_t begin, int64_t end) {
  by_itemsize(fill.itemsize, [&](auto element) { set_range<decltype(element)>(fill, begin, end); });
}

void fill_tiles_cpu(const RandomFill& fill, const Tiles& tiles, int64_t begin, int64_t end) {
  active_fills.load(std::memory_order_relaxed)->fill_tiles(fill, tiles, begin, end);
}

void fill_cpu(const RandomFill& fill, int threads) {
  Tiles tiles;
  if (find_tiles(fill.target.box, item_size(fill.target.dtype), tiles)) {
    parallel_for(tiles.count, kGrain / Tiles::kElements, threads, [&](int64_t begin, int64_t end) {
      const DefaultFloatingPoint environment;
      fill_tiles_cpu(fill, tiles, begin, end);
    });
    return;
  }
  const int64_t count = element_count(fill.target.box);
  parallel_for(count, kGrain, threads, [&](int64_t begin, int64_t end) {
    const DefaultFloatingPoint environment;
    fill_range_cpu(fill, begin, end);
  });
}

void fill_cpu(const ConstantFill& fill, int threads) {
  parallel_for(element_count(fill.box), kConstantGrain, threads,
               [&](int64_t begin, int64_t end) { fill_range_cpu(fill, begin, end); });
}

void fill_cpu(const DiracFill& fill, int threads) {
  parallel_for(element_count(fill.box), kConstantGrain, threads, [&](int64_t begin, int64_t end) {
    by_itemsize(fill.itemsize,
                [&](auto element) { dirac_range<decltype(element)>(fill, begin, end); });
  });
}

void words_cpu(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
               uint32_t* words) {
  active_fills.load(std::memory_order_relaxed)->words(key, domain, index, count, words);
}

const char* simd_active() { return active_fills.load()->name; }

bool simd_usable(const char* name) { return usable_fills(name) != nullptr; }

void simd_force(const char* name) {
  const SimdFills* fills = name ? usable_fills(name) : kBestFills;
  if (!fills)
    throw std::invalid_argument(std::string("set_simd: '") + name +
                                "' is not an instruction set this build and processor can use");
  active_fills.store(fills);
}

}  // namespace winit_cuda
