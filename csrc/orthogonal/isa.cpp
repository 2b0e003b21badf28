// The work on panels for one instruction set: CMakeLists.txt compiles this file once for each, with
// the flags that it needs. Only a processor that has the instruction set gets here.
#include WINIT_ISA_HEADER

#if defined(WINIT_HAS_ISA)  // a build for several processors compiles every file for each

#include "orthogonal/lanes.h"

namespace winit_cuda {

template <Isa isa, class Real>
const PanelPasses<Real>* panel_passes() {
  static constexpr PanelPasses<Real> passes = simd::panel_passes_of<IsaVectors<Real>>();
  return &passes;
}
template const PanelPasses<float>* panel_passes<Isa::WINIT_ISA, float>();
template const PanelPasses<double>* panel_passes<Isa::WINIT_ISA, double>();

}  // namespace winit_cuda

#endif
