// The serial launcher: the very bodies of the CUDA kernels, on CPU memory.
//
// Threads that know nothing of each other run one after the other; blocks that work together are
// for testing/serial_block.h.
#include <algorithm>
#include <utility>
#include <vector>

#include "fill/dispatch.h"
#include "fill/kernel.h"
#include "many/kernel.h"
#include "orthogonal/kernel.h"
#include "sparse/kernel.h"
#include "sparse/search.h"
#include "testing/serial_block.h"

namespace winit_cuda {
namespace {

// A small odd grid of whole warps, walked backwards: no result may depend on the grid or on the
// order of its threads.
constexpr int64_t kSerialThreads = 3 * kNeighbours;

template <class Body>
void launch_serial(const Body& body) {
  for (int64_t thread = kSerialThreads - 1; thread >= 0; --thread)
    body(ThreadIndex{thread, kSerialThreads});
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

// The tables that the threads of a block would share. Each thread of the CPU makes its own.
struct HostTables {
  std::vector<float> floats;
  std::vector<double> doubles;

  static const float* normal(float) { return &kQuantileFloat[0][0]; }
  static const double* normal(double) { return &kQuantileDouble[0][0]; }

  const float* get(const float* table, float scale) { return scaled(table, scale, floats); }
  const double* get(const double* table, double scale) { return scaled(table, scale, doubles); }

  template <class Real>
  static const Real* scaled(const Real* table, Real scale, std::vector<Real>& room) {
    room.resize(kTableSize<Real>);
    for (int i = 0; i < kTableSize<Real>; ++i)
      room[static_cast<size_t>(i)] = scaled_entry(table, scale, i);
    return room.data();
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

void split_keys_serial(const Source& source, int64_t count, uint64_t* words) {
  launch_serial([&](const ThreadIndex& at) { write_child_keys(source, count, words, at); });
}

void words_serial(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
                  uint32_t* words) {
  launch_serial([&](const ThreadIndex& at) { write_words(key, domain, index, count, words, at); });
}

void sparse_serial(const SparseFill& fill) {
  // Few threads, because each is one of the CPU; four lanes of a whole tile's slots, and some idle.
  constexpr int kThreads = 40;
  if (fill.zeros_per_column == 0) return fill_serial(fill.normal);
  const Rows rows = rows_of(fill.normal.target.box);
  const SparseSearch search = search_of(fill);
  launch_serial_blocks(selection_grid(fill, kThreads),
                       [&](const SerialBlock& block) { select_thresholds(fill, search, block); });
  with_dtype(fill.normal.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    const auto run = [&](const auto& map) {
      launch_serial([&](const ThreadIndex& at) { sparse_rows<T>(map, fill, rows, at); });
    };
    if constexpr (std::is_same_v<T, double>)
      run(SerialMap<NormalMap<Scalar64>, double>(fill.normal.double_numbers.normal).map);
    else
      run(SerialMap<NormalMap<Scalar32>, float>(fill.normal.numbers.normal).map);
  });
}

void reflectors_serial(const Reflectors& reflectors, const Source& source) {
  fill_serial(reflector_normals(reflectors, source));
  BlockGrid grid = reflectors_grid(reflectors);
  grid.blocks = (grid.blocks + 1) / 2;  // as on a device that has too few
  launch_serial_blocks(grid, [&](const SerialBlock& block) {
    if (reflectors.dtype == DType::kFloat64)
      make_reflectors<double>(reflectors, block);
    else
      make_reflectors<float>(reflectors, block);
  });
}

namespace {

// So little that tests see matrices on either side of it, and fewer blocks than matrices.
constexpr int64_t kBatchShared = 48 * 1024, kBatchBlocks = 2;

}  // namespace

int64_t orthogonal_batch_workspace_serial(const OrthogonalBatch& batch) {
  return batch_workspace(plan_batch(batch, kBatchShared), kBatchBlocks);
}

void orthogonal_batch_serial(const OrthogonalBatch& batch) {
  BatchPlan plan = plan_batch(batch, kBatchShared);
  plan.grid.blocks = std::min(plan.grid.blocks, kBatchBlocks);
  launch_serial_blocks(plan.grid, [&](const SerialBlock& block) {
    make_orthogonal_batch(batch, plan, kQuantileDouble[0], block);
  });
}

void fill_many_serial(const ManyDescriptors& descriptors, const ManyKeys& keys,
                      const unsigned char* memory) {
  // Few and odd, walked backwards like the threads of the other kernels.
  constexpr int64_t kBlocks = 5, kThreads = 7;
  std::vector<unsigned char> parameters;
  if (!memory) {
    parameters.resize(descriptors.bytes.size());
    write_descriptors(descriptors, keys.here, parameters.data());
  }
  const ManyView view{memory ? memory : parameters.data(),
                      keys.there ? keys.there + 2 * descriptors.first : nullptr};
  HostTables tables;
  for (int64_t block = kBlocks - 1; block >= 0; --block)
    for (int64_t thread = kThreads - 1; thread >= 0; --thread)
      fill_many(view, ThreadIndex{block, kBlocks}, ThreadIndex{thread, kThreads}, tables);
}

}  // namespace winit_cuda
