#include "orthogonal/panels.h"

#include <cstring>

#include "fill/fill.h"
#include "orthogonal/lanes.h"

namespace winit_cuda {
namespace {

template <class Real, size_t kCount>
const PanelKernels<Real>& active_of(const PanelTable<Real>* const (&tables)[kCount]) {
  const char* const name = simd_active();
  for (const PanelTable<Real>* table : tables)
    if (std::strcmp(table->name, name) == 0) return table->kernels;
  return tables[0]->kernels;
}

}  // namespace

#if defined(__x86_64__)
template <>
const PanelKernels<float>& panel_kernels<float>() {
  return active_of<float>({&kPortablePanels32, &kAvx2Panels32, &kAvx512Panels32});
}
template <>
const PanelKernels<double>& panel_kernels<double>() {
  return active_of<double>({&kPortablePanels64, &kAvx2Panels64, &kAvx512Panels64});
}
#elif defined(__aarch64__)
template <>
const PanelKernels<float>& panel_kernels<float>() {
  return active_of<float>({&kPortablePanels32, &kNeonPanels32});
}
template <>
const PanelKernels<double>& panel_kernels<double>() {
  return active_of<double>({&kPortablePanels64, &kNeonPanels64});
}
#else
template <>
const PanelKernels<float>& panel_kernels<float>() {
  return active_of<float>({&kPortablePanels32});
}
template <>
const PanelKernels<double>& panel_kernels<double>() {
  return active_of<double>({&kPortablePanels64});
}
#endif

}  // namespace winit_cuda
