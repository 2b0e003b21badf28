// The Python module winit_cuda._C: numbers and addresses in, core calls out. _C.pyi documents it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <string>

#include "bindings_quick.h"
#include "cuda_fills.h"
#include "distributions.h"
#include "floating_point.h"
#include "limits.h"
#include "orthogonal.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

constexpr int kCpu = -1, kSerial = -2;  // device codes beside the CUDA devices 0, 1, ...

const char* const kDTypeNames[kDTypeCount] = {"float32",  "float64",       "float16",
                                              "bfloat16", "float8_e4m3fn", "float8_e5m2"};

DType dtype_of(int code) {
  if (code < 0 || code >= kDTypeCount)
    throw std::invalid_argument("dtype must be a code of DTYPES, not " + std::to_string(code));
  return static_cast<DType>(code);
}

int64_t item(const py::handle& tuple, py::ssize_t i) {
  return py::cast<int64_t>(py::reinterpret_borrow<py::tuple>(tuple)[static_cast<size_t>(i)]);
}

Box row_of(int64_t count) {
  Box box;
  box.rank = 1;
  box.size[0] = count;
  box.stride[0] = 1;
  box.index_stride[0] = 1;
  return box;
}

void append(Box& box, int64_t size, int64_t stride, uint64_t index_stride) {
  if (box.rank == kMaxRank - 1)  // a kernel may add one of its own
    throw std::invalid_argument("more than " + std::to_string(kMaxRank - 1) +
                                " dimensions that do not lie one behind the other");
  box.size[box.rank] = size;
  box.stride[box.rank] = stride;
  box.index_stride[box.rank++] = index_stride;
}

// Adds a dimension, merged with the one before it where they lie one behind the other in memory and
// in the index.
void append_merged(Box& box, int64_t size, int64_t stride, uint64_t index_stride) {
  const int last = box.rank - 1;
  if (size == 1) return;
  if (last >= 0 && box.stride[last] == stride * size &&
      box.index_stride[last] == index_stride * static_cast<uint64_t>(size)) {
    box.size[last] *= size;
    box.stride[last] = stride;
    box.index_stride[last] = index_stride;
  } else {
    append(box, size, stride, index_stride);
  }
}

Box box_of(int64_t count, const py::handle& given, bool merge) {
  if (given.is_none()) return row_of(count);
  const auto parts = py::cast<py::tuple>(given);
  const py::handle sizes = parts[0], strides = parts[1], index_strides = parts[2];
  Box box;
  box.index_offset = py::cast<uint64_t>(parts[3]);
  int64_t total = 1;
  for (py::ssize_t d = 0; d < static_cast<py::ssize_t>(py::len(sizes)); ++d) {
    const int64_t size = item(sizes, d), stride = item(strides, d);
    const uint64_t index_stride = static_cast<uint64_t>(item(index_strides, d));
    total *= size;
    merge ? append_merged(box, size, stride, index_stride)
          : append(box, size, stride, index_stride);
  }
  if (total != count)
    throw std::invalid_argument("the box has " + std::to_string(total) + " elements, numel is " +
                                std::to_string(count));
  return box;
}

// The same elements in the order of memory, for a fill that does not look at the index.
Box in_memory_order(const Box& box) {
  int order[kMaxRank];
  for (int d = 0; d < box.rank; ++d) order[d] = d;
  std::sort(order, order + box.rank, [&](int a, int b) { return box.stride[a] > box.stride[b]; });
  Box sorted;
  for (int i = 0; i < box.rank; ++i)
    append_merged(sorted, box.size[order[i]], box.stride[order[i]], 0);
  for (int d = 0; d < sorted.rank; ++d) sorted.index_stride[d] = 1;  // nobody looks
  return sorted;
}

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
  for (const char* name : {"portable", "avx2", "avx512"})
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
  winit_cuda::bind_matrices(module);
  winit_cuda::bind_engine(module);
}
