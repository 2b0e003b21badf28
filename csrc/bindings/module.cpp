// The Python module winit_cuda._C: numbers and addresses in, core calls out. _C.pyi documents it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "bindings/bindings.h"
#include "fill/fill.h"
#include "platform/stream.h"
#include "simd/choice.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

py::dict dtypes() {
  py::dict codes;
  for (int code = 0; code < kDTypeCount; ++code) codes[kDTypeNames[code]] = code;
  return codes;
}

py::dict build_info() {
  py::dict info;
#if defined(WINIT_CUDA_WITH_CUDA)
  info["cuda"] = true;
  info["cuda_version"] = WINIT_CUDA_CUDA_VERSION;
  info["cuda_architectures"] = py::str(WINIT_CUDA_ARCHITECTURES).attr("split")(",");
#else
  info["cuda"] = false;
  info["cuda_version"] = py::none();
  info["cuda_architectures"] = py::list();
#endif
#if defined(__clang__)
  info["compiler"] = "Clang " __clang_version__;
#else
  info["compiler"] = "GCC " __VERSION__;
#endif
  info["simd"] = isa_names();
  info["simd_active"] = active_isa_name();
  return info;
}

py::dict cuda_status_of() {
  const CudaStatus found = cuda_status();
  py::dict status;
  status["devices"] = found.devices;
  status["error"] = found.error;
  status["driver"] = found.driver;
  status["runtime"] = found.runtime;
  return status;
}

}  // namespace
}  // namespace winit_cuda

PYBIND11_MODULE(_C, module) {
  module.doc() = "The native core of winit_cuda.";
  module.attr("DTYPES") = winit_cuda::dtypes();
  module.def("build_info", &winit_cuda::build_info);
  module.def("set_simd", [](const std::optional<std::string>& name) {
    winit_cuda::choose_isa(name ? name->c_str() : nullptr);
  });
  module.def("cuda_status", &winit_cuda::cuda_status_of);
  module.def("cuda_current_device", &winit_cuda::cuda_current_device);
  module.def("set_cuda_device", &winit_cuda::set_cuda_device);
  winit_cuda::bind_fills(module);
  winit_cuda::bind_quick_fills(module);
  winit_cuda::bind_planned_fills(module);
  winit_cuda::bind_fill_list(module);
  winit_cuda::bind_matrices(module);
  winit_cuda::bind_engine(module);
}
