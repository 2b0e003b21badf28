// The serial launcher: the CUDA kernel bodies on CPU memory, one thread after the other.
#include <utility>
#include <vector>

#include "fill_dispatch.h"
#include "fill_kernels.h"

namespace winit_cuda {
namespace {

// A small odd grid of whole warps, walked backwards: no result may depend on the grid or on the
// order of its threads.
constexpr int64_t kThreads = 3 * kNeighbours;

template <class Body>
void launch(const Body& body) {
  for (int64_t thread = kThreads - 1; thread >= 0; --thread) body(ThreadIndex{thread, kThreads});
}

// The map of a distribution, and the table that the threads of a block would share.
template <class Map, class Real>
struct SerialMap {
  std::vector<Real> table;
  Map map;

  template <class N>
  explicit SerialMap(const N& numbers) : SerialMap(numbers, scaled(numbers)) {}

 private:
  template <class N>
  SerialMap(N numbers, std::vector<Real> scaled) : table(std::move(scaled)), map(share(numbers)) {}

  template <class N>
  N& share(N& numbers) {
    if constexpr (!std::is_same_v<N, UniformNumbers<Real>>) numbers.quantile = table.data();
    return numbers;
  }

  static std::vector<Real> scaled(const UniformNumbers<Real>&) { return {}; }
  static std::vector<Real> scaled(const NormalNumbers<Real>& numbers) {
    return scaled(numbers.quantile, numbers.std);
  }
  template <class N>
  static std::vector<Real> scaled(const N& numbers) {
    return scaled(numbers.quantile, numbers.scale);
  }
  static std::vector<Real> scaled(const Real* table, Real scale) {
    std::vector<Real> entries(kTableSize<Real>);
    for (int i = 0; i < kTableSize<Real>; ++i)
      entries[static_cast<size_t>(i)] = scaled_entry(table, scale, i);
    return entries;
  }
};

}  // namespace

void fill_serial(const RandomFill& fill) {
  const Rows rows = rows_of(fill.target.box);
  with_map(fill, [&](auto element, auto map_type, const auto& numbers) {
    using T = typename decltype(element)::type;
    using Map = typename decltype(map_type)::type;
    const SerialMap<Map, typename Map::Real> shared(numbers);
    const Map& map = shared.map;
    if (is_aligned(fill))
      launch([&](const ThreadIndex& at) { fill_aligned<T>(map, fill, at); });
    else
      launch([&](const ThreadIndex& at) { fill_rows<T>(map, fill, rows, at); });
  });
}

void fill_serial(const ConstantFill& fill) {
  const Rows rows = rows_of(fill.box);
  with_itemsize(fill.itemsize, [&](auto element) {
    using T = typename decltype(element)::type;
    if (is_contiguous(fill.pointer, fill.box))
      launch([&](const ThreadIndex& at) { set_aligned<T>(fill, at); });
    else
      launch([&](const ThreadIndex& at) { set_rows<T>(fill, rows, at); });
  });
}

void fill_serial(const DiracFill& fill) {
  const Rows rows = rows_of(fill.box);
  with_itemsize(fill.itemsize, [&](auto element) {
    using T = typename decltype(element)::type;
    launch([&](const ThreadIndex& at) { dirac_rows<T>(fill, rows, at); });
  });
}

void sparse_serial(const SparseFill& fill) {
  const Rows rows = rows_of(fill.normal.target.box);
  launch([&](const ThreadIndex& at) { select_thresholds(fill, at); });
  with_dtype(fill.normal.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    const auto run = [&](const auto& map) {
      launch([&](const ThreadIndex& at) { sparse_rows<T>(map, fill, rows, at); });
    };
    if constexpr (std::is_same_v<T, double>)
      run(SerialMap<NormalMap<Scalar64>, double>(fill.normal.double_numbers.normal).map);
    else
      run(SerialMap<NormalMap<Scalar32>, float>(fill.normal.numbers.normal).map);
  });
}

void reflectors_serial(const Reflectors& reflectors, const Source& source) {
  fill_serial(reflector_normals(reflectors, source));
  launch([&](const ThreadIndex& at) {
    if (reflectors.dtype == DType::kFloat64)
      make_reflectors<double>(reflectors, at);
    else
      make_reflectors<float>(reflectors, at);
  });
}

void words_serial(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
                  uint32_t* words) {
  launch([&](const ThreadIndex& at) { write_words(key, domain, index, count, words, at); });
}

}  // namespace winit_cuda
