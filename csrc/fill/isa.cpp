// The fills for one instruction set: CMakeLists.txt compiles this file once for each, with the
// flags that it needs. Only a processor that has the instruction set gets here.
#include WINIT_ISA_HEADER

#if defined(WINIT_HAS_ISA)  // a build for several processors compiles every file for each

#include "fill/lanes.h"

namespace winit_cuda {

template <Isa isa>
const FillPasses* fill_passes() {
  static constexpr FillPasses passes = simd::fill_passes_of<IsaLanes>();
  return &passes;
}
template const FillPasses* fill_passes<Isa::WINIT_ISA>();

}  // namespace winit_cuda

#endif
