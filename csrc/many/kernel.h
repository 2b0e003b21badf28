// The body of the CUDA kernel that fills many tensors, in plain C++ like those of fill/kernel.h,
// which it calls: each tensor's tiles are the blocks of a grid that one of those kernels may run
// on.
//
// A block of the launch takes a stretch of all tiles, as long as every other block's, finds the
// first tile's tensor by binary search and goes on from tensor to tensor. So one element or
// billions, few tensors or thousands: the blocks end together.
#pragma once

#include "fill/kernel.h"
#include "many/layout.h"
#include "many/maps.h"
#include "platform/tuning.h"

namespace winit_cuda {

// Descriptors where the kernel finds them.
struct ManyView {
  const unsigned char* bytes;
  const uint64_t* keys;  // two words for each tensor, in place of the descriptors' own, or null

  WINIT_HD_MEMBER const ManyHeader& header() const {
    return *reinterpret_cast<const ManyHeader*>(bytes);
  }
  WINIT_HD_MEMBER const ManyTensor& tensor(uint32_t number) const {
    return reinterpret_cast<const ManyTensor*>(bytes + sizeof(ManyHeader))[number];
  }
  WINIT_HD_MEMBER uint32_t tiles_until(uint32_t number) const {
    return number < header().tensors ? tensor(number).first_tile : header().tiles;
  }
  template <class Value>
  WINIT_HD_MEMBER const Value* shared(uint32_t offset) const {
    return reinterpret_cast<const Value*>(bytes + header().shared + offset);
  }
};

// Some of the tiles of one tensor, run by the threads of one block.
struct TensorTiles {
  uint32_t number;  // of the tensor
  uint32_t begin, end, all;
};

// Calls run(at) for each tile, where `at` is this thread's place in the tensor's grid.
template <class Run>
WINIT_HD void for_each_tile(const TensorTiles& tiles, const ThreadIndex& at, const Run& run) {
  for (uint32_t tile = tiles.begin; tile < tiles.end; ++tile)
    run(ThreadIndex{tile * at.threads + at.thread, tiles.all * at.threads});
}

// A law's numbers, and its table where the threads of the block share it.
template <class Map, class Tables>
WINIT_HD typename Map::Numbers unpack(const ManyView& view,
                                      const PackedNumbers<typename Map::Numbers>& packed,
                                      Tables& tables) {
  using Real = typename Map::Real;
  typename Map::Numbers numbers = packed.numbers;
  if constexpr (kHasTable<typename Map::Numbers>) {
    const Real* table =
        packed.table == kNowhere ? tables.normal(Real{}) : view.template shared<Real>(packed.table);
    numbers.quantile = tables.get(table, numbers.scale);
  }
  return numbers;
}

// A tensor's fill but for its box.
template <class N>
WINIT_HD RandomFill fill_of(const ManyView& view, uint32_t number, const PackedNumbers<N>& packed) {
  const ManyTensor& tensor = view.tensor(number);
  const uint64_t* key = view.keys ? view.keys + 2 * size_t{number} : nullptr;
  RandomFill fill;
  fill.target.pointer = tensor.pointer;
  fill.target.box.size[0] = tensor.count;
  fill.target.box.index_offset = tensor.index_offset;
  fill.source.key =
      make_stream_key(key ? key[0] : tensor.seed_or_bits, key ? key[1] : tensor.stream);
  fill.source.key_pointer = nullptr;
  fill.source.domain = Domain::kElement;
  fill.law.rescaling = packed.rescaling;
  return fill;
}

// Rounded as the dtype says when the value is there: one program for all short dtypes.
WINIT_HD void store_short(void* base, int64_t element, float value, DType dtype) {
  with_element(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (sizeof(T) <= 2) static_cast<T*>(base)[element] = round_to<T>(value);
  });
}

template <class Map>
WINIT_HD void fill_short_rows(const Map& map, const RandomFill& fill, DType dtype, const Rows& rows,
                              const ThreadIndex& at) {
  for_each_slot(rows, at, [&](const Run& run, uint64_t block, int64_t begin, int64_t end) {
    float values[4];
    make_block(map, fill.source.key, fill.source.domain, block, values);
    for (int i = 0; i < 4; ++i) {
      const int64_t element = static_cast<int64_t>(4 * block - run.index) + i;
      if (element >= begin && element < end)
        store_short(fill.target.pointer, run.offset + element * run.stride,
                    values[i] * fill.law.rescaling, dtype);
    }
  });
}

// Calls visit(span, walk) for all that a thread makes of a contiguous tensor in some of its tiles.
// A tensor has a thread for every few elements, whatever its size.
template <class T, class Visit>
WINIT_HD void for_each_walk(const RandomFill& fill, const TensorTiles& tiles, const ThreadIndex& at,
                            const Visit& visit) {
  for (int64_t begin = 0; begin < fill.target.box.size[0];) {
    const Span span = span_at<T>(fill, fill.source.key, begin);
    for_each_tile(tiles, at,
                  [&](const ThreadIndex& place) { visit(span, walk_in_large_grid<T>(place)); });
    begin += element_count<T>(span);
  }
}

template <class T, class Map, class Tables>
WINIT_HD void draw_span_tiles(const ManyView& view, const TensorTiles& tiles, const ThreadIndex& at,
                              Tables& tables) {
  const ManyTensor& tensor = view.tensor(tiles.number);
  const auto& packed = *view.shared<PackedNumbers<typename Map::Numbers>>(tensor.numbers);
  const Map map(unpack<Map>(view, packed, tables));
  const RandomFill fill = fill_of(view, tiles.number, packed);
  for_each_walk<T>(fill, tiles, at,
                   [&](const Span& span, const Walk& walk) { fill_span<T>(map, span, walk); });
}

template <class Map, class Tables>
WINIT_HD void draw_row_tiles(const ManyView& view, const TensorTiles& tiles, const ThreadIndex& at,
                             Tables& tables) {
  using Real = typename Map::Real;
  const ManyTensor& tensor = view.tensor(tiles.number);
  const auto& packed = *view.shared<PackedNumbers<typename Map::Numbers>>(tensor.numbers);
  const Map map(unpack<Map>(view, packed, tables));
  const RandomFill fill = fill_of(view, tiles.number, packed);
  const DType dtype = static_cast<DType>(tensor.dtype);
  const Rows& rows = *view.shared<Rows>(tensor.rows);
  for_each_tile(tiles, at, [&](const ThreadIndex& place) {
    if (sizeof(Real) == 8 || dtype == DType::kFloat32)
      fill_rows<Real>(map, fill, rows, place);
    else if constexpr (sizeof(Real) == 4)
      fill_short_rows(map, fill, dtype, rows, place);
  });
}

// Constants: contiguous and aligned, and any box.
template <class T>
WINIT_HD void set_aligned(const ConstantFill& fill, const ThreadIndex& at) {
  constexpr int kGroup = kStoreBytes / sizeof(T);
  const int64_t count = fill.box.size[0];
  T* out = static_cast<T*>(fill.pointer);
  T values[kGroup];
  for (int i = 0; i < kGroup; ++i) values[i] = static_cast<T>(fill.bits);
  StoreUnit unit;
  std::memcpy(&unit, values, sizeof(unit));
  for (int64_t group = at.thread; group * kGroup < count; group += at.threads) {
    if ((group + 1) * kGroup <= count) {
      reinterpret_cast<StoreUnit*>(out)[group] = unit;
    } else {
      for (int i = 0; i < kGroup; ++i)
        if (group * kGroup + i < count) out[group * kGroup + i] = values[i];
    }
  }
}

template <class T>
WINIT_HD void set_rows(const ConstantFill& fill, const Rows& rows, const ThreadIndex& at) {
  T* base = static_cast<T*>(fill.pointer);
  for_each_slot(rows, at, [&](const Run& run, uint64_t, int64_t begin, int64_t end) {
    for (int64_t element = begin; element < end; ++element)
      base[run.offset + element * run.stride] = static_cast<T>(fill.bits);
  });
}

template <class T>
WINIT_HD void set_tiles(const ManyView& view, const TensorTiles& tiles, const ThreadIndex& at) {
  const ManyTensor& tensor = view.tensor(tiles.number);
  ConstantFill fill;
  fill.pointer = tensor.pointer;
  fill.box.size[0] = tensor.count;
  fill.bits = tensor.seed_or_bits;
  if (tensor.rows == kNowhere) {
    for_each_tile(tiles, at,
                  [&](const ThreadIndex& in_tensor) { set_aligned<T>(fill, in_tensor); });
  } else {
    const Rows& rows = *view.shared<Rows>(tensor.rows);
    for_each_tile(tiles, at,
                  [&](const ThreadIndex& in_tensor) { set_rows<T>(fill, rows, in_tensor); });
  }
}

// Calls visit(Type<Map>) with the map of a random tensor over the lanes L.
template <class L, class Visit>
WINIT_HD void with_listed_map(const ManyTensor& tensor, const Visit& visit) {
  with_map<L>(static_cast<Distribution>(tensor.law), [&](auto map) {
    using Map = typename Listed<typename decltype(map)::type>::type;
    if constexpr (!std::is_void_v<Map>) visit(Type<Map>{});
  });
}

template <class Tables>
WINIT_HD void run_tiles(const ManyView& view, const TensorTiles& tiles, const ThreadIndex& at,
                        Tables& tables) {
  const ManyTensor& tensor = view.tensor(tiles.number);
  if (tensor.law == kConstant)
    return with_itemsize(tensor.dtype, [&](auto element) {
      set_tiles<typename decltype(element)::type>(view, tiles, at);
    });
  const DType dtype = static_cast<DType>(tensor.dtype);
  const auto draw_rows = [&](auto map) {
    draw_row_tiles<typename decltype(map)::type>(view, tiles, at, tables);
  };
  if (tensor.rows != kNowhere) {
    if (dtype == DType::kFloat64) return with_listed_map<Scalar64>(tensor, draw_rows);
    return with_listed_map<Scalar32>(tensor, draw_rows);
  }
  with_element(dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    with_listed_map<ScalarLanes<T>>(tensor, [&](auto map) {
      draw_span_tiles<T, typename decltype(map)::type>(view, tiles, at, tables);
    });
  });
}

// The number of the tensor that a tile belongs to: the last one that begins no later.
WINIT_HD uint32_t tensor_of(const ManyView& view, uint32_t tile) {
  uint32_t low = 0, high = view.header().tensors;
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    if (view.tensor(middle).first_tile <= tile)
      low = middle;
    else
      high = middle;
  }
  return low;
}

// What one thread does: `block` is its block's place in the launch, `at` its own in the block. All
// threads of a block take the same way up to the tiles themselves, so `tables` may synchronize.
template <class Tables>
WINIT_HD void fill_many(const ManyView& view, const ThreadIndex& block, const ThreadIndex& at,
                        Tables& tables) {
  const uint64_t all = view.header().tiles;
  uint32_t tile = static_cast<uint32_t>(all * block.thread / block.threads);
  const uint32_t end = static_cast<uint32_t>(all * (block.thread + 1) / block.threads);
  if (tile >= end) return;
  for (uint32_t number = tensor_of(view, tile); tile < end; ++number) {
    const uint32_t first = view.tensor(number).first_tile, next = view.tiles_until(number + 1);
    const uint32_t stop = next < end ? next : end;
    run_tiles(view, TensorTiles{number, tile - first, stop - first, next - first}, at, tables);
    tile = stop;
  }
}

}  // namespace winit_cuda
