// The kernel that fills many tensors, on CPU memory: block after block, thread after thread.
#include <vector>

#include "many/kernel.h"
#include "many/launch.h"

namespace winit_cuda {
namespace {

// Few and odd, walked backwards: no result may depend on the grid or on the order of its threads.
constexpr int64_t kBlocks = 5, kThreads = 7;

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

void fill_many_serial(const ManyDescriptors& descriptors, const ManyKeys& keys,
                      const unsigned char* memory) {
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
