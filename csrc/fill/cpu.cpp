#include "fill/fill.h"

#include <atomic>
#include <stdexcept>
#include <string>

#include "fill/lanes.h"
#include "platform/floating_point.h"
#include "platform/parallel.h"

namespace winit_cuda {
namespace {

// Below this many elements a thread, waking it costs more than it saves.
constexpr int64_t kGrain = int64_t{1} << 15;

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

}  // namespace

void fill_range_cpu(const RandomFill& fill, int64_t begin, int64_t end) {
  active_fills.load(std::memory_order_relaxed)->fill(fill, begin, end);
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
