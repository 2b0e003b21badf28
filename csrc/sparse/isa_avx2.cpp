// The CPU's sparse passes for AVX2; compiled with the matching flags and called only where the CPU
// has it.
#if defined(__x86_64__)

#include "simd/avx2.h"
#include "sparse/lanes.h"

namespace winit_cuda {
namespace {

struct SparseAvx2 : simd::HalvesWithoutMasks<Avx2> {
  // All ones where a <= b: there is no comparison of unsigned lanes.
  static WINIT_HD_MEMBER U up_to(U a, U b) { return _mm256_cmpeq_epi32(_mm256_min_epu32(a, b), a); }
  static WINIT_HD_MEMBER uint32_t sort_out(const uint32_t* words, uint32_t first, uint32_t width,
                                           uint32_t* below) {
    const U least = _mm256_set1_epi32(static_cast<int>(first));
    const U most = _mm256_set1_epi32(static_cast<int>(width));
    uint32_t inside = 0;
    for (int i = 0; i < simd::kGroup; i += kLanes) {
      const U word = _mm256_loadu_si256(reinterpret_cast<const U*>(words + i));
      const U in = up_to(_mm256_sub_epi32(word, least), most);
      inside |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(in))) << i;
      // Minus one where the word is not below, and one for each.
      U* const count = reinterpret_cast<U*>(below + i);
      const U one_or_zero = _mm256_add_epi32(up_to(least, word), _mm256_set1_epi32(1));
      _mm256_storeu_si256(count, _mm256_add_epi32(_mm256_loadu_si256(count), one_or_zero));
    }
    return inside;
  }
  static WINIT_HD_MEMBER F where_above(U order, const uint32_t* limit, F value) {
    const U most = _mm256_loadu_si256(reinterpret_cast<const U*>(limit));
    return _mm256_andnot_ps(_mm256_castsi256_ps(up_to(order, most)), value);
  }
  static WINIT_HD_MEMBER F where_set(uint32_t bits, F value) {
    const U bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const U own = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), bit);
    return _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(own, bit)), value);
  }
};

}  // namespace

const SparseSimd kAvx2Sparse = simd::sparse_simd_of<SparseAvx2>("avx2");

}  // namespace winit_cuda

#endif
