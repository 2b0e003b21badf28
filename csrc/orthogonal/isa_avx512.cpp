// The work on panels for AVX-512; compiled with the matching flags and called only where the CPU
// has them.
#if defined(__x86_64__)

// GCC's own AVX-512 header trips this warning (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "orthogonal/lanes.h"
#include "simd/vectors_avx512.h"

namespace winit_cuda {

const PanelTable<float> kAvx512Panels32 = {"avx512",
                                           simd::panel_kernels_of<Avx512Vectors<float>>()};
const PanelTable<double> kAvx512Panels64 = {"avx512",
                                            simd::panel_kernels_of<Avx512Vectors<double>>()};

}  // namespace winit_cuda

#endif
