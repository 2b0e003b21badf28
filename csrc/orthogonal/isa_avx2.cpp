// The work on panels for AVX2 with FMA; compiled with the matching flags and called only where the
// CPU has them.
#if defined(__x86_64__)

#include "orthogonal/lanes.h"
#include "simd/vectors_avx2.h"

namespace winit_cuda {

const PanelTable<float> kAvx2Panels32 = {"avx2", simd::panel_kernels_of<Avx2Vectors<float>>()};
const PanelTable<double> kAvx2Panels64 = {"avx2", simd::panel_kernels_of<Avx2Vectors<double>>()};

}  // namespace winit_cuda

#endif
