// The serial launcher: the very bodies of the CUDA kernels, on CPU memory.
//
// Threads that know nothing of each other run one after the other; blocks that work together are
// for testing/serial_block.h.
#include <algorithm>
#include <vector>

#include "fill/kernel.h"
#include "many/kernel.h"
#include "orthogonal/kernel.h"
#include "sparse/kernel.h"
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

// The table that the threads of a block would share, with the law's scale in it.
template <class Real>
void scale_table(const Real* table, Real scale, std::vector<Real>& scaled) {
  scaled.resize(kTableSize<Real>);
  for (int i = 0; i < kTableSize<Real>; ++i)
    scaled[static_cast<size_t>(i)] = scaled_entry(table, scale, i);
}

// Calls run(map) with the map that a block makes.
template <class Map, class Run>
void with_block_map(typename Map::Numbers numbers, const Run& run) {
  std::vector<typename Map::Real> table;
  if constexpr (kHasTable<typename Map::Numbers>) {
    scale_table(numbers.quantile, numbers.scale, table);
    numbers.quantile = table.data();
  }
  run(Map(numbers));
}

// The tables of a block that goes from law to law.
class SerialTables {
 public:
  static const float* normal(float) { return &kQuantileFloat[0][0]; }
  static const double* normal(double) { return &kQuantileDouble[0][0]; }

  const float* get(const float* table, float scale) {
    scale_table(table, scale, floats_);
    return floats_.data();
  }
  const double* get(const double* table, double scale) {
    scale_table(table, scale, doubles_);
    return doubles_.data();
  }

 private:
  std::vector<float> floats_;
  std::vector<double> doubles_;
};

}  // namespace

void fill_serial(const RandomFill& fill) {
  const Rows rows = rows_of(fill.target.box);
  with_scalar_map(fill.target.dtype, fill.law.distribution, [&](auto element, auto map_type) {
    using T = typename decltype(element)::type;
    using Map = typename decltype(map_type)::type;
    with_block_map<Map>(fill.law.numbers_of<Map>(), [&](const Map& map) {
      if (is_aligned(fill))
        launch_serial([&](const ThreadIndex& at) { fill_aligned<T>(map, fill, at); });
      else
        launch_serial([&](const ThreadIndex& at) { fill_rows<T>(map, fill, rows, at); });
    });
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
  with_element(fill.normal.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    using Map = NormalMap<ScalarLanes<T>>;
    with_block_map<Map>(fill.normal.law.numbers_of<Map>(), [&](const Map& map) {
      launch_serial([&](const ThreadIndex& at) { sparse_rows<T>(map, fill, rows, at); });
    });
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
  SerialTables tables;
  for (int64_t block = kBlocks - 1; block >= 0; --block)
    for (int64_t thread = kThreads - 1; thread >= 0; --thread)
      fill_many(view, ThreadIndex{block, kBlocks}, ThreadIndex{thread, kThreads}, tables);
}

}  // namespace winit_cuda
