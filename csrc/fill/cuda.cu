// The CUDA kernels of the fills: thin __global__ wrappers around the bodies of fill/kernel.h, and
// their launches.
#include <cuda_runtime.h>

#include <algorithm>

#include "cuda/launch.h"
#include "cuda/maps.h"
#include "fill/kernel.h"

namespace winit_cuda {
namespace {

template <class T, class Map, class OwnTable>
__global__ void __launch_bounds__(tuning::kFillThreads)
    fill_span_kernel(const __grid_constant__ Span span,
                     const __grid_constant__ typename Map::Numbers numbers,
                     const __grid_constant__ OwnTable table) {
  const Map map = make_map<Map>(numbers, table);
  fill_span<T>(map, span, walk_of<T>(this_thread()));
}

template <class T, class Map, class OwnTable>
__global__ void __launch_bounds__(tuning::kFillThreads)
    fill_keyed_kernel(const __grid_constant__ RandomFill fill,
                      const __grid_constant__ typename Map::Numbers numbers,
                      const __grid_constant__ OwnTable table) {
  const Map map = make_map<Map>(numbers, table);
  fill_aligned<T>(map, fill, this_thread());
}

template <class T, class Map, class OwnTable>
__global__ void __launch_bounds__(tuning::kFillThreads)
    fill_rows_kernel(const __grid_constant__ RandomFill fill, const __grid_constant__ Rows rows,
                     const __grid_constant__ typename Map::Numbers numbers,
                     const __grid_constant__ OwnTable table) {
  const Map map = make_map<Map>(numbers, table);
  fill_rows<T>(map, fill, rows, this_thread());
}

__global__ void __launch_bounds__(tuning::kFillThreads)
    words_kernel(const __grid_constant__ StreamKey key, Domain domain, uint64_t index,
                 int64_t count, uint32_t* words) {
  write_words(key, domain, index, count, words, this_thread());
}

__global__ void __launch_bounds__(tuning::kFillThreads)
    split_keys_kernel(const __grid_constant__ Source source, int64_t count, uint64_t* words) {
  write_child_keys(source, count, words, this_thread());
}

// The threads that fill_span gives its groups to in one go.
template <class T>
int64_t threads_for(int64_t count) {
  return count / (kGroupOf<T> * kGroupsInFlight<T>)+1;
}

}  // namespace

void fill_cuda(const RandomFill& fill, const Launch& launch) {
  const Rows rows = rows_of(fill.target.box);
  with_scalar_map(fill.target.dtype, fill.law.distribution, [&](auto element, auto map) {
    using T = typename decltype(element)::type;
    using Map = typename decltype(map)::type;
    const auto& numbers = fill.law.numbers_of<Map>();
    const auto table = own_table_of<Map>(numbers);
    using OwnTable = std::decay_t<decltype(table)>;
    if (!is_aligned(fill)) {
      launch_on<&fill_rows_kernel<T, Map, OwnTable>>(launch, rows.rows * rows.slots, fill, rows,
                                                     numbers, table);
    } else if (fill.source.key_pointer) {
      launch_on<&fill_keyed_kernel<T, Map, OwnTable>>(
          launch, threads_for<T>(element_count(fill.target.box)), fill, numbers, table);
    } else {
      for (int64_t begin = 0; begin < element_count(fill.target.box);) {
        const Span span = span_at<T>(fill, fill.source.key, begin);
        const int64_t count = element_count<T>(span);
        launch_on<&fill_span_kernel<T, Map, OwnTable>>(launch, threads_for<T>(count), span, numbers,
                                                       table);
        begin += count;
      }
    }
  });
}

void words_cuda(const StreamKey& key, Domain domain, uint64_t index, int64_t count, uint32_t* words,
                const Launch& launch) {
  launch_on<&words_kernel>(launch, count, key, domain, index, count, words);
}

void split_keys_cuda(const Source& source, int64_t count, uint64_t* words, const Launch& launch) {
  launch_on<&split_keys_kernel>(launch, count, source, count, words);
}

}  // namespace winit_cuda
