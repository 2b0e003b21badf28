// The CPU's sparse passes for NEON, which every 64-bit ARM processor has.
#if defined(__aarch64__)

#include "simd/neon.h"
#include "sparse/lanes.h"

namespace winit_cuda {
namespace {

struct SparseNeon : simd::HalvesWithoutMasks<Neon> {
  static WINIT_HD_MEMBER uint32_t sort_out(const uint32_t* words, uint32_t first, uint32_t width,
                                           uint32_t* below) {
    const uint32_t place[kLanes] = {1, 2, 4, 8};
    const U least = vdupq_n_u32(first), most = vdupq_n_u32(width), bit = vld1q_u32(place);
    uint32_t inside = 0;
    for (int i = 0; i < simd::kGroup; i += kLanes) {
      const U word = vld1q_u32(words + i);
      inside |= vaddvq_u32(vandq_u32(vcleq_u32(vsubq_u32(word, least), most), bit)) << i;
      vst1q_u32(below + i, vsubq_u32(vld1q_u32(below + i), vcltq_u32(word, least)));
    }
    return inside;
  }
  static WINIT_HD_MEMBER F where_above(U order, const uint32_t* limit, F value) {
    const U above = vcgtq_u32(order, vld1q_u32(limit));
    return vreinterpretq_f32_u32(vandq_u32(above, vreinterpretq_u32_f32(value)));
  }
  static WINIT_HD_MEMBER F where_set(uint32_t bits, F value) {
    const uint32_t place[kLanes] = {1, 2, 4, 8};
    const U set = vtstq_u32(vdupq_n_u32(bits), vld1q_u32(place));
    return vreinterpretq_f32_u32(vandq_u32(set, vreinterpretq_u32_f32(value)));
  }
};

}  // namespace

const SparseSimd kNeonSparse = simd::sparse_simd_of<SparseNeon>("neon");

}  // namespace winit_cuda

#endif
