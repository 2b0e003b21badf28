// One launch that fills many tensors: the body is in many/kernel.h.
#include <cuda_runtime.h>

#include <algorithm>

#include "cuda/maps.h"
#include "many/kernel.h"

namespace winit_cuda {
namespace {

// The table that the block's threads look values up in, in shared memory, with the law's scale in
// it. It is copied when a tensor needs another one than the tensor before it.
class BlockTables {
 public:
  explicit __device__ BlockTables(Table<double>& room) : room_(room) {}

  template <class Real>
  __device__ const Real* normal(Real real) const {
    return normal_table(real);
  }

  template <class Real>
  __device__ const Real* get(const Real* table, Real scale) {
    Real* here = reinterpret_cast<Real*>(&room_);
    const uint64_t scale_bits = static_cast<uint64_t>(bits_of(scale));
    if (table != held_ || scale_bits != held_scale_bits_) {
      __syncthreads();  // nobody reads the one before any more
      for (int i = threadIdx.x; i < kTableSize<Real>; i += tuning::kListThreads)
        here[i] = scaled_entry(table, scale, i);
      __syncthreads();
      held_ = table;
      held_scale_bits_ = scale_bits;
    }
    return here;
  }

 private:
  Table<double>& room_;
  const void* held_ = nullptr;
  uint64_t held_scale_bits_ = 0;
};

// One kernel for both ways, at the price that a launch with descriptors in memory hands over unused
// parameters: some microseconds against thousands of tensors.
struct ManyParameters {
  const unsigned char* memory;  // the descriptors, or null where they are `bytes`
  const uint64_t* keys;         // of the first of these tensors on, or null
  alignas(16) unsigned char bytes[kDescriptorBytes];
};
static_assert(sizeof(ManyParameters) <= kParameterBytes);

__global__ void __launch_bounds__(tuning::kListThreads, tuning::kListBlocksPerProcessor)
    fill_many_kernel(const __grid_constant__ ManyParameters parameters) {
  __shared__ Table<double> room;
  BlockTables tables(room);
  const ManyView view{parameters.memory ? parameters.memory : parameters.bytes, parameters.keys};
  fill_many(view, ThreadIndex{blockIdx.x, gridDim.x},
            ThreadIndex{threadIdx.x, tuning::kListThreads}, tables);
}

// As many blocks as the device runs at once: they share the tiles evenly, so a second wave would
// only start everything anew.
unsigned blocks_for(uint32_t tiles, int device) {
  const int processors = attribute(cudaDevAttrMultiProcessorCount, device);
  int resident = 0;
  check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, fill_many_kernel,
                                                           tuning::kListThreads, 0),
             "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return std::min(tiles, static_cast<unsigned>(std::max(1, resident) * processors));
}

}  // namespace

void fill_many_cuda(const ManyDescriptors& descriptors, const ManyKeys& keys,
                    const unsigned char* memory, const Launch& launch) {
  ManyParameters parameters;
  parameters.memory = memory;
  parameters.keys = keys.there ? keys.there + 2 * descriptors.first : nullptr;
  if (!memory) write_descriptors(descriptors, keys.here, parameters.bytes);
  require_current(launch.device);
  prepare<&fill_many_kernel>(launch.device);
  fill_many_kernel<<<blocks_for(descriptors.tiles, launch.device), tuning::kListThreads, 0,
                     static_cast<cudaStream_t>(launch.stream)>>>(parameters);
  check_cuda(cudaGetLastError(), "kernel launch");
}

}  // namespace winit_cuda
