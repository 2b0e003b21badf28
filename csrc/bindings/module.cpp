// The Python module winit_cuda._C: numbers and addresses in, core calls out. _C.pyi documents it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <string>

#include "bindings/blocks.h"
#include "bindings/engine.h"
#include "bindings/many.h"
#include "bindings/matrices.h"
#include "bindings/place.h"
#include "bindings/quick.h"
#include "cuda/fills.h"
#include "values/limits.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

const char* const kDTypeNames[kDTypeCount] = {"float32",  "float64",       "float16",
                                              "bfloat16", "float8_e4m3fn", "float8_e5m2"};

template <class Fill>
void run(const Fill& fill, const Place& place) {
  std::optional<py::gil_scoped_release> unlocked;
  if (place.device != kCpu || place.count > kQuickCount) unlocked.emplace();
  if (place.device == kCpu)
    fill_cpu(fill, place.threads);
  else if (place.device == kSerial)
    fill_serial(fill);
  else
    fill_cuda(fill, {place.device, reinterpret_cast<void*>(place.stream)});
}

void bind_fills(py::module_& module) {
  module.def("constant", [](WINIT_PLACE, double value) {
    const Place place = WINIT_GIVEN_PLACE;
    const Target target = place.target();
    if (numel == 0) return;
    run(ConstantFill{target.pointer, in_memory_order(target.box), item_size(target.dtype),
                     encode(target.dtype, value)},
        place);
  });
  module.def("constant_bits", [](WINIT_PLACE, uint64_t bits, int itemsize) {
    const Place place = WINIT_GIVEN_PLACE;
    const Box cells = in_memory_order(box_of(numel, box, true));
    if (itemsize != 1 && itemsize != 2 && itemsize != 4 && itemsize != 8)
      throw std::invalid_argument("itemsize must be 1, 2, 4 or 8, not " + std::to_string(itemsize));
    if (numel == 0) return;
    run(ConstantFill{reinterpret_cast<void*>(pointer), cells, itemsize, bits}, place);
  });
  module.def("dirac", [](WINIT_PLACE, int64_t row_length, int64_t channel_length, int64_t center,
                         int64_t rows_per_group, int64_t limit) {
    const Place place = WINIT_GIVEN_PLACE;
    const Target target = place.target();
    if (numel == 0) return;
    if (row_length <= 0 || channel_length <= 0 || rows_per_group <= 0)
      throw std::invalid_argument("row_length, channel_length and rows_per_group must be positive");
    run(DiracFill{target.pointer, target.box, item_size(target.dtype), encode(target.dtype, 1),
                  row_length, channel_length, center, rows_per_group,
                  std::min(limit, row_length / channel_length)},
        place);
  });
  module.def("uniform", [](WINIT_PLACE, WINIT_KEY, double low, double high) {
    const Place place = WINIT_GIVEN_PLACE;
    const Target target = place.target();
    const DistributionNumbers numbers = uniform_numbers(target.dtype, low, high);
    if (numel)
      run(random_fill(target, source_of(device, key_pointer, seed, stream), numbers), place);
  });
  module.def("normal", [](WINIT_PLACE, WINIT_KEY, double mean, double std) {
    const Place place = WINIT_GIVEN_PLACE;
    const Target target = place.target();
    const DistributionNumbers numbers = normal_numbers(target.dtype, mean, std);
    if (numel)
      run(random_fill(target, source_of(device, key_pointer, seed, stream), numbers), place);
  });
  module.def(
      "trunc_normal", [](WINIT_PLACE, WINIT_KEY, double mean, double std, double a, double b) {
        const Place place = WINIT_GIVEN_PLACE;
        const Target target = place.target();
        const DistributionNumbers numbers = trunc_normal_numbers(target.dtype, mean, std, a, b);
        if (numel)
          run(random_fill(target, source_of(device, key_pointer, seed, stream), numbers), place);
      });
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
#elif defined(__GNUC__)
  info["compiler"] = "GCC " __VERSION__;
#else
  info["compiler"] = "unknown";
#endif
  py::list usable;
  for (const char* name : {"portable", "neon", "avx2", "avx512"})
    if (simd_usable(name)) usable.append(name);
  info["simd"] = usable;
  info["simd_active"] = simd_active();
  return info;
}

void bind_engine(py::module_& module) {
  module.def("philox4x32_10", [](std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
    const auto join = [](uint32_t low, uint32_t high) {
      return (static_cast<uint64_t>(high) << 32) | low;
    };
    const StreamKey stream_key =
        make_stream_key(join(key[0], key[1]), join(counter[2], counter[3]));
    uint32_t words[4];
    philox_block(stream_key, join(counter[0], counter[1]), words);
    return py::make_tuple(words[0], words[1], words[2], words[3]);
  });
  module.def("words", [](uintptr_t pointer, int64_t count, uint64_t seed, uint64_t stream,
                         uint32_t domain, uint64_t index, int device, uintptr_t cuda_stream) {
    if (domain > 7) throw std::invalid_argument("domain must be in [0, 7]");
    const StreamKey key = make_stream_key(seed, stream);
    uint32_t* words = reinterpret_cast<uint32_t*>(pointer);
    const py::gil_scoped_release unlocked;
    if (device == kCpu)
      words_cpu(key, static_cast<Domain>(domain), index, count, words);
    else if (device == kSerial)
      words_serial(key, static_cast<Domain>(domain), index, count, words);
    else
      words_cuda(key, static_cast<Domain>(domain), index, count, words,
                 {device, reinterpret_cast<void*>(cuda_stream)});
  });
  module.def("build_info", &build_info);
  module.def("set_simd", [](const std::optional<std::string>& name) {
    simd_force(name ? name->c_str() : nullptr);
  });
  module.def("cuda_device_count", &cuda_device_count);
}

}  // namespace
}  // namespace winit_cuda

PYBIND11_MODULE(_C, module) {
  module.doc() = "The native core of winit_cuda.";
  py::dict dtypes;
  for (int code = 0; code < winit_cuda::kDTypeCount; ++code)
    dtypes[winit_cuda::kDTypeNames[code]] = code;
  module.attr("DTYPES") = dtypes;
  winit_cuda::bind_fills(module);
  winit_cuda::bind_quick_fills(module);
  winit_cuda::bind_fill_list(module);
  winit_cuda::bind_sparse(module);
  winit_cuda::bind_orthogonal(module);
  winit_cuda::bind_orthogonal_batch(module);
  winit_cuda::bind_keys(module);
  winit_cuda::bind_blocks(module);
  winit_cuda::bind_engine(module);
}
