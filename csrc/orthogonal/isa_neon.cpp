// The work on panels for NEON on 64-bit ARM.
#if defined(__aarch64__)

#include "orthogonal/lanes.h"
#include "simd/vectors_neon.h"

namespace winit_cuda {

const PanelTable<float> kNeonPanels32 = {"neon", simd::panel_kernels_of<NeonVectors<float>>()};
const PanelTable<double> kNeonPanels64 = {"neon", simd::panel_kernels_of<NeonVectors<double>>()};

}  // namespace winit_cuda

#endif
