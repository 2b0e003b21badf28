// The serial launcher: the CUDA kernel bodies on CPU memory, one thread after the other.
#include "fill_dispatch.h"
#include "fill_kernels.h"

namespace winit_cuda {
namespace {

// A small odd grid, walked backwards: no result may depend on the grid or on the order of its
// threads.
constexpr int64_t kThreads = 3 * 7;

template <class Body>
void launch(const Body& body) {
  for (int64_t thread = kThreads - 1; thread >= 0; --thread) body(ThreadIndex{thread, kThreads});
}

}  // namespace

void fill_serial(const RandomFill& fill) {
  const Rows rows = rows_of(fill.target.box);
  with_map(fill, [&](auto element, auto map_type, const auto& numbers) {
    using T = typename decltype(element)::type;
    const typename decltype(map_type)::type map(numbers);
    if (is_aligned(fill))
      launch([&](const ThreadIndex& at) { fill_aligned<T>(map, fill, at); });
    else
      launch([&](const ThreadIndex& at) { fill_rows<T>(map, fill, rows, at); });
  });
}

void fill_serial(const ConstantFill& fill) {
  const Rows rows = rows_of(fill.box);
  with_itemsize(fill.itemsize, [&](auto element) {
    using T = typename decltype(element)::type;
    if (is_contiguous(fill.pointer, fill.box))
      launch([&](const ThreadIndex& at) { set_aligned<T>(fill, at); });
    else
      launch([&](const ThreadIndex& at) { set_rows<T>(fill, rows, at); });
  });
}

void fill_serial(const DiracFill& fill) {
  const Rows rows = rows_of(fill.box);
  with_itemsize(fill.itemsize, [&](auto element) {
    using T = typename decltype(element)::type;
    launch([&](const ThreadIndex& at) { dirac_rows<T>(fill, rows, at); });
  });
}

void sparse_serial(const SparseFill& fill) {
  const Rows rows = rows_of(fill.normal.target.box);
  launch([&](const ThreadIndex& at) { select_thresholds(fill, at); });
  with_dtype(fill.normal.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    const auto run = [&](const auto& map) {
      launch([&](const ThreadIndex& at) { sparse_rows<T>(map, fill, rows, at); });
    };
    if constexpr (std::is_same_v<T, double>)
      run(NormalMap<Scalar64>(fill.normal.double_numbers.normal));
    else
      run(NormalMap<Scalar32>(fill.normal.numbers.normal));
  });
}

void reflectors_serial(const Reflectors& reflectors, const Source& source) {
  fill_serial(reflector_normals(reflectors, source));
  launch([&](const ThreadIndex& at) {
    if (reflectors.dtype == DType::kFloat64)
      make_reflectors<double>(reflectors, at);
    else
      make_reflectors<float>(reflectors, at);
  });
}

void words_serial(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
                  uint32_t* words) {
  launch([&](const ThreadIndex& at) { write_words(key, domain, index, count, words, at); });
}

}  // namespace winit_cuda
