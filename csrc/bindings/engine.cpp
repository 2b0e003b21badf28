// Words and keys by themselves, and the failures that tests plant.
#include <pybind11/stl.h>

#include <array>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/place.h"
#include "fill/fill.h"
#include "fill/passes.h"
#include "many/kernel.h"
#include "platform/faults.h"
#include "platform/floating_point.h"
#include "platform/parallel.h"
#include "values/child_key.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

py::tuple philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  const auto join = [](uint32_t low, uint32_t high) {
    return (static_cast<uint64_t>(high) << 32) | low;
  };
  const StreamKey stream_key = make_stream_key(join(key[0], key[1]), join(counter[2], counter[3]));
  uint32_t words[4];
  philox_block(stream_key, join(counter[0], counter[1]), words);
  return py::make_tuple(words[0], words[1], words[2], words[3]);
}

// How many tiles a list's kernel has for one contiguous tensor, and which groups of elements a
// thread makes in one of them, span after span. Nothing is written, so the tensor may be larger
// than any memory. More than `limit` groups are an error.
py::tuple listed_groups(int dtype_code, int64_t count, uint32_t tile, int thread, size_t limit) {
  if (count < 1) throw std::invalid_argument("count must be positive");
  FillList list;
  const DType dtype = dtype_of(dtype_code);
  Box box;
  box.rank = 1;
  box.size[0] = count;
  box.stride[0] = box.index_stride[0] = 1;
  list.add({reinterpret_cast<void*>(uintptr_t{kStoreBytes}), dtype, box}, uniform_law(dtype, 0, 1));
  const uint32_t tiles = describe(list, 0, ~size_t{0}).tiles;
  if (tile >= tiles || thread < 0 || thread >= tuning::kListThreads)
    throw std::invalid_argument("no such tile or thread");
  std::vector<std::vector<uint32_t>> groups;
  size_t made = 0;
  const auto make = [&](uint32_t group) {
    if (++made > limit) throw std::runtime_error("a thread makes more groups than it should");
    groups.back().push_back(group);
  };
  const RandomFill& fill = std::get<RandomFill>(list.fills[0]);
  with_element(dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    for_each_walk<T>(fill, {0, tile, tile + 1, tiles}, {thread, tuning::kListThreads},
                     [&](const Span& span, const Walk& walk) {
                       groups.emplace_back();
                       const auto several = [&](uint32_t group) {
                         for (uint32_t j = 0; j < kGroupsInFlight<T>; ++j)
                           make(group + j * walk.apart);
                       };
                       for_each_group<T>(span, walk, several, make);
                     });
  });
  return py::make_tuple(tiles, groups);
}

void words(uintptr_t pointer, int64_t count, uint64_t seed, uint64_t stream, uint32_t domain,
           uint64_t index, int device, uintptr_t cuda_stream) {
  if (domain > 7) throw std::invalid_argument("domain must be in [0, 7]");
  const StreamKey key = make_stream_key(seed, stream);
  uint32_t* out = reinterpret_cast<uint32_t*>(pointer);
  const Unlocked unlocked;
  if (device == kCpu)
    words_cpu(key, static_cast<Domain>(domain), index, count, out);
  else
    words_cuda(key, static_cast<Domain>(domain), index, count, out,
               {device, reinterpret_cast<void*>(cuda_stream)});
}

// a * b + c in the lanes of the fills of a dtype.
void fused_lanes(int dtype, uintptr_t a, uintptr_t b, uintptr_t c, int64_t count, uintptr_t out) {
  if (count % 16) throw std::invalid_argument("count must be a multiple of 16");
  const auto run = [&](auto pass, auto zero) {
    using Real = decltype(zero);
    pass(reinterpret_cast<const Real*>(a), reinterpret_cast<const Real*>(b),
         reinterpret_cast<const Real*>(c), count, reinterpret_cast<Real*>(out));
  };
  const DefaultFloatingPoint environment;
  if (dtype_of(dtype) == DType::kFloat64)
    run(active_fill_passes().fused_double, 0.0);
  else
    run(active_fill_passes().fused, 0.0f);
}

void split_keys(uintptr_t pointer, int64_t count, int device, uintptr_t cuda_stream, WINIT_KEY) {
  if (count < 0) throw std::invalid_argument("count must be at least 0");
  if (count == 0) return;
  uint64_t* out = reinterpret_cast<uint64_t*>(pointer);
  const Source source = source_of(device, key, seed, stream);
  if (device >= 0)
    split_keys_cuda(source, count, out, {device, reinterpret_cast<void*>(cuda_stream)});
  else
    split_keys_cpu(source.key, count, out);
}

// The keys of the children with these names, as split_keys writes them.
void named_keys(uintptr_t pointer, const py::list& names, uint64_t seed, uint64_t stream) {
  uint64_t* out = reinterpret_cast<uint64_t*>(pointer);
  for (const py::handle name : names) {
    *out++ = seed;
    *out++ = named_stream(seed, stream, utf8_of(name.ptr()));
  }
}

py::tuple drawn(WINIT_KEY) {
  const Source source = source_of(kCpu, key, seed, stream);
  return py::make_tuple(seed_of(source.key), source.key.stream);
}

// (seed, offset) of a CUDA generator of torch's, which goes on by `step`; in one, so that no other
// thread gets the same.
py::tuple advance(const py::object& generator, uint64_t step) {
  const py::object seed = generator.attr("initial_seed")();
  const py::object offset = generator.attr("get_offset")();
  generator.attr("set_offset")(offset.cast<uint64_t>() + step);
  return py::make_tuple(seed, offset);
}

// The failure of a kind (Fault) that is `passing` more away happens.
void fail_after(const std::string& kind, int64_t passing) {
  for (int i = 0; i < static_cast<int>(std::size(kFaultNames)); ++i)
    if (kind == kFaultNames[i]) return inject(static_cast<Fault>(i), passing);
  throw std::invalid_argument("no such failure: " + kind);
}

// The calls of parallel_for since the last time, as (count, range, threads).
std::vector<py::tuple> divisions(bool keep) {
  std::vector<py::tuple> found;
  for (const Division& division : record_divisions(keep))
    found.push_back(py::make_tuple(division.count, division.range, division.threads));
  return found;
}

}  // namespace

void bind_engine(py::module_& module) {
  module.def("philox4x32_10", &philox4x32_10);
  module.def("listed_groups", &listed_groups);
  module.def("words", &words);
  module.def("child_stream", [](uint64_t seed, uint64_t stream, uint64_t j) {
    return child_stream(seed, stream, j);
  });
  module.def("fused_lanes", &fused_lanes);
  module.def("split_keys", &split_keys);
  module.def("named_keys", &named_keys);
  module.def("drawn", &drawn);
  module.def("advance", &advance);
  module.def("fail_after", &fail_after);
  module.def("divisions", &divisions);
}

}  // namespace winit_cuda
