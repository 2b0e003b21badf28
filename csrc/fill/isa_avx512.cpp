// The CPU fills for AVX-512; compiled with the matching flags and called only where the CPU has
// them.
#if defined(__x86_64__)

// GCC's own AVX-512 header trips this warning (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "fill/lanes.h"
#include "simd/avx512.h"

namespace winit_cuda {

const SimdFills kAvx512Fills = {"avx512", simd::fill_range<Avx512>, simd::fill_tiles<Avx512>,
                                simd::words_range<Avx512>};

}  // namespace winit_cuda

#endif
