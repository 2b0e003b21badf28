// The work on panels in plain C++.
#include "orthogonal/lanes.h"
#include "simd/vectors_scalar.h"

namespace winit_cuda {

const PanelTable<float> kPortablePanels32 = {"portable",
                                             simd::panel_kernels_of<ScalarVectors<float>>()};
const PanelTable<double> kPortablePanels64 = {"portable",
                                              simd::panel_kernels_of<ScalarVectors<double>>()};

}  // namespace winit_cuda
