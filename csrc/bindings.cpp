// The Python module winit_cuda._C: numbers and addresses in, core calls out. _C.pyi documents it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <string>

#include "bindings_box.h"
#include "bindings_many.h"
#include "bindings_quick.h"
#include "cuda_fills.h"
#include "distributions.h"
#include "floating_point.h"
#include "limits.h"
#include "orthogonal.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

const char* const kDTypeNames[kDTypeCount] = {"float32",  "float64",       "float16",
                                              "bfloat16", "float8_e4m3fn", "float8_e5m2"};

// The arguments that every fill begins with.
struct Place {
  uintptr_t pointer;
  int dtype;
  int64_t count;
  py::handle box;
  int device;
  uintptr_t stream;
  int threads;
  DefaultFloatingPoint environment = {};  // for as long as the fill is set up and runs

  Target target() const {
    return {reinterpret_cast<void*>(pointer), dtype_of(dtype), box_of(count, box, true)};
  }
};

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

Source source_of(int device, uintptr_t key_pointer, uint64_t seed, uint64_t stream) {
  const uint64_t* words = reinterpret_cast<const uint64_t*>(key_pointer);
  if (words && device == kCpu)
    return {make_stream_key(words[0], words[1]), nullptr, Domain::kElement};
  return {make_stream_key(seed, stream), words, Domain::kElement};
}

RandomFill random_fill(const Target& target, const Source& source,
                       const DistributionNumbers& numbers) {
  RandomFill fill{};
  fill.target = target;
  fill.source = source;
  numbers.put_into(fill);
  return fill;
}

// Each binding spells out the common arguments once, by this.
#define WINIT_PLACE                                                                               \
  uintptr_t pointer, int dtype, int64_t numel, py::handle box, int device, uintptr_t cuda_stream, \
      int threads
#define WINIT_GIVEN_PLACE \
  Place { pointer, dtype, numel, box, device, cuda_stream, threads }
#define WINIT_KEY uintptr_t key_pointer, uint64_t seed, uint64_t stream

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

void bind_matrices(py::module_& module) {
  module.def("sparse", [](WINIT_PLACE, WINIT_KEY, int64_t rows, int64_t columns,
                          int64_t zeros_per_column, double std, uintptr_t workspace) {
    const DefaultFloatingPoint environment;
    if (zeros_per_column < 0 || zeros_per_column > rows)
      throw std::invalid_argument("zeros_per_column must be in [0, rows], not " +
                                  std::to_string(zeros_per_column));
    if (numel == 0) return;
    Target target{reinterpret_cast<void*>(pointer), dtype_of(dtype), Box{}};
    if (box.is_none()) {
      append(target.box, rows, columns, static_cast<uint64_t>(columns));
      append(target.box, columns, 1, 1);
    } else {
      target.box = box_of(numel, box, false);
    }
    if (target.box.rank != 2) throw std::invalid_argument("sparse takes a matrix");
    const SparseFill fill{random_fill(target, source_of(device, key_pointer, seed, stream),
                                      normal_numbers(target.dtype, 0, std)),
                          rows, columns, zeros_per_column,
                          reinterpret_cast<SparseThreshold*>(workspace)};
    const py::gil_scoped_release unlocked;
    if (device == kCpu)
      sparse_cpu(fill, threads);
    else if (device == kSerial)
      sparse_serial(fill);
    else
      sparse_cuda(fill, {device, reinterpret_cast<void*>(cuda_stream)});
  });
  module.def("orthogonal", [](WINIT_PLACE, WINIT_KEY, int64_t rows, int64_t columns, double gain) {
    const Place place = WINIT_GIVEN_PLACE;
    const Target target = place.target();
    if (device != kCpu)
      throw std::invalid_argument("whole orthogonal matrices are made on the CPU");
    if (rows <= 0 || columns <= 0) return;
    const Source source = source_of(device, key_pointer, seed, stream);
    orthogonal_cpu({target, source, rows, columns, gain});
  });
  module.def(
      "reflectors", [](uintptr_t pointer, int dtype, int64_t rows, int64_t columns, uintptr_t signs,
                       int device, uintptr_t cuda_stream, int threads, WINIT_KEY) {
        const Reflectors reflectors{reinterpret_cast<void*>(pointer),
                                    reinterpret_cast<void*>(signs), dtype_of(dtype), rows, columns};
        if (reflectors.dtype != DType::kFloat32 && reflectors.dtype != DType::kFloat64)
          throw std::invalid_argument("reflectors are float32 or float64");
        if (rows < columns) throw std::invalid_argument("reflectors need rows >= columns");
        if (columns == 0) return;
        const Source source = source_of(device, key_pointer, seed, stream);
        const py::gil_scoped_release unlocked;
        if (device == kCpu)
          reflectors_cpu(reflectors, source, threads);
        else if (device == kSerial)
          reflectors_serial(reflectors, source);
        else
          reflectors_cuda(reflectors, source, {device, reinterpret_cast<void*>(cuda_stream)});
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
  winit_cuda::bind_matrices(module);
  winit_cuda::bind_engine(module);
}
