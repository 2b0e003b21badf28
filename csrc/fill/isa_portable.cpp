// The CPU fills for any processor.
#include "fill/lanes.h"
#include "simd/portable.h"

namespace winit_cuda {
const SimdFills kPortableFills = {"portable", simd::fill_range<Portable>,
                                  simd::fill_tiles<Portable>, simd::words_range<Portable>};

}  // namespace winit_cuda
