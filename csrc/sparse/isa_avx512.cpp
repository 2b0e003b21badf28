// The CPU's sparse passes for AVX-512; compiled with the matching flags and called only where the
// CPU has it.
#if defined(__x86_64__)

// GCC's own AVX-512 header trips this warning (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "simd/avx512.h"
#include "sparse/lanes.h"

namespace winit_cuda {
namespace {

struct SparseAvx512 : Avx512 {
  static WINIT_HD_MEMBER uint32_t sort_out(const uint32_t* words, uint32_t first, uint32_t width,
                                           uint32_t* below) {
    const U least = _mm512_set1_epi32(static_cast<int>(first));
    const U word = _mm512_loadu_si512(words);
    const U count = _mm512_loadu_si512(below);
    _mm512_storeu_si512(below, _mm512_mask_add_epi32(count, _mm512_cmplt_epu32_mask(word, least),
                                                     count, _mm512_set1_epi32(1)));
    return _mm512_cmple_epu32_mask(_mm512_sub_epi32(word, least),
                                   _mm512_set1_epi32(static_cast<int>(width)));
  }
  static WINIT_HD_MEMBER F where_above(U order, const uint32_t* limit, F value) {
    return _mm512_maskz_mov_ps(_mm512_cmpgt_epu32_mask(order, _mm512_loadu_si512(limit)), value);
  }
  static WINIT_HD_MEMBER F where_set(uint32_t bits, F value) {
    return _mm512_maskz_mov_ps(static_cast<__mmask16>(bits), value);
  }
  static WINIT_HD_MEMBER void keep(const U (*words)[4], uint16_t bound, uint16_t* upper,
                                   uint16_t* held) {
    const U bounds = _mm512_set1_epi16(static_cast<int16_t>(bound));
    for (int i = 0; i < 2; ++i) {
      const U halves = high_halves(words[0][2 * i], words[0][2 * i + 1]);
      _mm512_storeu_si512(upper + 32 * i, halves);
      const U count = _mm512_loadu_si512(held + 32 * i);
      const auto counted = _mm512_cmple_epu16_mask(halves, bounds);
      _mm512_storeu_si512(held + 32 * i,
                          _mm512_mask_add_epi16(count, counted, count, _mm512_set1_epi16(1)));
    }
  }
  static WINIT_HD_MEMBER uint64_t within(const uint16_t* halves, const uint16_t* first,
                                         const uint16_t* width) {
    const auto mask = [&](int lane) {
      const U distance =
          _mm512_sub_epi16(_mm512_loadu_si512(halves + lane), _mm512_loadu_si512(first + lane));
      return uint64_t{_mm512_cmple_epu16_mask(distance, _mm512_loadu_si512(width + lane))};
    };
    return mask(0) | mask(32) << 32;
  }
};

}  // namespace

const SparseSimd kAvx512Sparse = simd::sparse_simd_of<SparseAvx512>("avx512");

}  // namespace winit_cuda

#endif
