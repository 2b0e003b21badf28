#include "fill/fill.h"

#include "fill/passes.h"
#include "platform/floating_point.h"
#include "platform/parallel.h"
#include "platform/tuning.h"
#include "values/child_key.h"

namespace winit_cuda {
void fill_range_cpu(const RandomFill& fill, int64_t begin, int64_t end) {
  active_fill_passes().fill(fill, begin, end);
}

void fill_tiles_cpu(const RandomFill& fill, const Tiles& tiles, int64_t begin, int64_t end) {
  active_fill_passes().fill_tiles(fill, tiles, begin, end);
}

void fill_cpu(const RandomFill& fill, int threads) {
  Tiles tiles;
  if (find_tiles(fill.target.box, item_size(fill.target.dtype), tiles)) {
    parallel_for(tiles.count, tuning::kGrainElements / tiles.elements(), threads,
                 [&](int64_t begin, int64_t end) {
                   const DefaultFloatingPoint environment;
                   fill_tiles_cpu(fill, tiles, begin, end);
                 });
    return;
  }
  const int64_t count = element_count(fill.target.box);
  parallel_for(count, tuning::kGrainElements, threads, [&](int64_t begin, int64_t end) {
    const DefaultFloatingPoint environment;
    fill_range_cpu(fill, begin, end);
  });
}

void words_cpu(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
               uint32_t* words) {
  active_fill_passes().words(key, domain, index, count, words);
}

void split_keys_cpu(const StreamKey& key, int64_t count, uint64_t* words) {
  for (int64_t j = 0; j < count; ++j) {
    words[2 * j] = seed_of(key);
    words[2 * j + 1] = child_of(key, static_cast<uint64_t>(j)).stream;
  }
}

}  // namespace winit_cuda
