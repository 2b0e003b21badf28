// The CPU's sparse passes for any processor.
#include "simd/portable.h"
#include "sparse/lanes.h"

namespace winit_cuda {
namespace {

struct SparsePortable : simd::HalvesWithoutMasks<Portable> {
  static WINIT_HD_MEMBER uint32_t sort_out(const uint32_t* words, uint32_t first, uint32_t width,
                                           uint32_t* below) {
    uint32_t inside = 0;
    for (int i = 0; i < simd::kGroup; ++i) {
      inside |= static_cast<uint32_t>(words[i] - first <= width) << i;
      below[i] += words[i] < first;
    }
    return inside;
  }
  static WINIT_HD_MEMBER F where_above(U order, const uint32_t* limit, F value) {
    return order > *limit ? value : 0.0f;
  }
  static WINIT_HD_MEMBER F where_set(uint32_t bits, F value) { return bits & 1 ? value : 0.0f; }
};

}  // namespace

const SparseSimd kPortableSparse = simd::sparse_simd_of<SparsePortable>("portable");

}  // namespace winit_cuda
