// The CPU fills for AVX2 with FMA and F16C; compiled with the matching flags and called only where
// the CPU has them.
#if defined(__x86_64__)

#include "fill/lanes.h"
#include "simd/avx2.h"

namespace winit_cuda {

const SimdFills kAvx2Fills = {"avx2", simd::fill_range<Avx2>, simd::fill_tiles<Avx2>,
                              simd::words_range<Avx2>};

}  // namespace winit_cuda

#endif
