// The fills by the serial launcher: the CUDA kernel bodies on CPU memory.
#include "testing/serial_launch.h"

namespace winit_cuda {
void fill_serial(const RandomFill& fill) {
  const Rows rows = rows_of(fill.target.box);
  with_map(fill, [&](auto element, auto map_type, const auto& numbers) {
    using T = typename decltype(element)::type;
    using Map = typename decltype(map_type)::type;
    const SerialMap<Map, typename Map::Real> shared(numbers);
    const Map& map = shared.map;
    if (is_aligned(fill))
      launch_serial([&](const ThreadIndex& at) { fill_aligned<T>(map, fill, at); });
    else
      launch_serial([&](const ThreadIndex& at) { fill_rows<T>(map, fill, rows, at); });
  });
}

void fill_serial(const ConstantFill& fill) {
  const Rows rows = rows_of(fill.box);
  with_itemsize(fill.itemsize, [&](auto element) {
    using T = typename decltype(element)::type;
    if (is_contiguous(fill.pointer, fill.box))
      launch_serial([&](const ThreadIndex& at) { set_aligned<T>(fill, at); });
    else
      launch_serial([&](const ThreadIndex& at) { set_rows<T>(fill, rows, at); });
  });
}

void fill_serial(const DiracFill& fill) {
  const Rows rows = rows_of(fill.box);
  with_itemsize(fill.itemsize, [&](auto element) {
    using T = typename decltype(element)::type;
    launch_serial([&](const ThreadIndex& at) { dirac_rows<T>(fill, rows, at); });
  });
}

void words_serial(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
                  uint32_t* words) {
  launch_serial([&](const ThreadIndex& at) { write_words(key, domain, index, count, words, at); });
}

}  // namespace winit_cuda
