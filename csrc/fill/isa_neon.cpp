// The CPU fills for NEON. Every 64-bit ARM processor has it, with fused multiply-add and conversion
// to half precision: no flags, and no look at the processor.
#if defined(__aarch64__)

#include "fill/lanes.h"
#include "simd/neon.h"

namespace winit_cuda {

const SimdFills kNeonFills = {"neon", simd::fill_range<Neon>, simd::fill_tiles<Neon>,
                              simd::words_range<Neon>};

}  // namespace winit_cuda

#endif
