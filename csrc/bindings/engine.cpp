#include "bindings/engine.h"

#include <stdexcept>

#include "bindings/place.h"
#include "cuda/fills.h"
#include "values/child_key.h"

namespace py = pybind11;

namespace winit_cuda {

void bind_keys(py::module_& module) {
  module.def("child_stream", [](uint64_t seed, uint64_t stream, uint64_t j) {
    return child_stream(seed, stream, j);
  });
  module.def("split_keys", [](uintptr_t pointer, int64_t count, int device, uintptr_t cuda_stream,
                              WINIT_KEY) {
    if (count < 0) throw std::invalid_argument("count must be at least 0");
    if (count == 0) return;
    uint64_t* words = reinterpret_cast<uint64_t*>(pointer);
    const Source source = source_of(device, key_pointer, seed, stream);
    if (device >= 0)
      split_keys_cuda(source, count, words, {device, reinterpret_cast<void*>(cuda_stream)});
    else
      split_keys_serial(source, count, words);
  });
}

}  // namespace winit_cuda
