// One variant of the fill kernel: the product's loop and maps, with other launch sizes
// (WINIT_TUNE_* of platform/tuning.h), another layout of the quantile table, or other stores.
//
// nvcc makes a library of it that launches the kernel. A C++ compiler makes one that runs its
// threads on the CPU, one after the other: without a GPU that tells whether the values are right.
#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#include "benchmarks/gpu/tune/layouts.h"
#include "fill/span_kernel.h"
#include "values/distributions.h"
#if defined(__CUDACC__)
#include "cuda/maps.h"
#endif

#if !defined(TUNE_LAYOUT)
#define TUNE_LAYOUT Rows
#endif
#if !defined(TUNE_STORE)  // a function of CUDA that stores with a cache hint, or `plain`
#define TUNE_STORE plain
#endif
// TUNE_RESIDENT: how many blocks a multiprocessor has registers for. Without it the compiler
// chooses, as in the product.
#if defined(TUNE_RESIDENT)
#define TUNE_BOUNDS tuning::kFillThreads, TUNE_RESIDENT
#else
#define TUNE_BOUNDS tuning::kFillThreads
#endif
#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace winit_cuda {
namespace {

using Layout = tune::TUNE_LAYOUT;
using Lanes = tune::LanesOf<Layout>;

#if defined(__CUDACC__)
template <class Vector>
__device__ void plain(Vector* to, Vector value) {
  *to = value;
}
#endif

struct Store {
  static WINIT_HD_MEMBER void put(StoreUnit* to, const StoreUnit& unit) {
#if defined(__CUDA_ARCH__)
    using Vector = std::conditional_t<kStoreBytes == 16, uint4, uint2>;
    Vector value;
    std::memcpy(&value, &unit, sizeof(value));
    TUNE_STORE(reinterpret_cast<Vector*>(to), value);
#else
    *to = unit;
#endif
  }
};

// The table of a law in the layout, with the law's scale in it, from entry `first` on in steps.
WINIT_HD void lay_out(const float* table, float scale, int first, int step, float* out) {
  for (int i = first; i < kTableSize<float>; i += step)
    out[Layout::place(i / kSegments, i % kSegments)] = scaled_entry(table, scale, i);
}

// Calls visit(Type<T>, Type<Map>) for what is tuned.
template <class Visit>
void with_case(DType dtype, Distribution law, const Visit& visit) {
  const auto with_law = [&](auto element) {
    if (law == Distribution::kUniform) return visit(element, Type<UniformMap<Lanes>>{});
    if (law == Distribution::kNormal) return visit(element, Type<NormalMap<Lanes>>{});
    if (law == Distribution::kSymmetricTruncNormal)
      return visit(element, Type<SymmetricTruncNormalMap<Lanes>>{});
    throw std::invalid_argument("this law is not tuned");
  };
  if (dtype == DType::kFloat32) return with_law(Type<float>{});
  if (dtype == DType::kBFloat16) return with_law(Type<BFloat16>{});
  throw std::invalid_argument("this dtype is not tuned");
}

struct Request {
  RandomFill fill;
  int blocks_per_processor;  // 0: as many as fit, as in the product; -1: as many as there is work
                             // for
  int device;
  void* stream;
};

#if defined(__CUDACC__)

template <class T, class Map>
__global__ void __launch_bounds__(TUNE_BOUNDS)
    tuned_kernel(const __grid_constant__ Span span,
                 const __grid_constant__ typename Map::Numbers given) {
  typename Map::Numbers numbers = given;
  if constexpr (kHasTable<typename Map::Numbers>) {
    __shared__ alignas(16) float shared[Layout::kSize];
    lay_out(normal_table(0.0f), numbers.scale, threadIdx.x, tuning::kFillThreads, shared);
    __syncthreads();
    numbers.quantile = shared;
  }
  fill_span<T, Store>(Map(numbers), span, walk_of<T>(this_thread()));
}

template <class T, class Map>
void run(const Request& request, const Span& span) {
  const auto kernel = &tuned_kernel<T, Map>;
  const int64_t threads = element_count<T>(span) / (kGroupOf<T> * kGroupsInFlight<T>)+1;
  int64_t blocks = (threads + tuning::kFillThreads - 1) / tuning::kFillThreads;
  if (request.blocks_per_processor == 0)
    blocks = blocks_for(threads, kernel, request.device);
  else if (request.blocks_per_processor > 0)
    blocks =
        std::min<int64_t>(blocks, int64_t{request.blocks_per_processor} *
                                      attribute(cudaDevAttrMultiProcessorCount, request.device));
  kernel<<<static_cast<unsigned>(blocks), tuning::kFillThreads, 0,
           static_cast<cudaStream_t>(request.stream)>>>(
      span, request.fill.law.template numbers_of<Map>());
  check_cuda(cudaGetLastError(), "kernel launch");
}

template <class T, class Map>
int resident_blocks() {
  int blocks = 0;
  check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, tuned_kernel<T, Map>,
                                                           tuning::kFillThreads, 0),
             "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return blocks;
}

#else

constexpr int kBlocksOnCpu = 3;  // so that threads go round several times

template <class T, class Map>
void run(const Request& request, const Span& span) {
  typename Map::Numbers numbers = request.fill.law.template numbers_of<Map>();
  alignas(16) float table[Layout::kSize];
  if constexpr (kHasTable<typename Map::Numbers>) {
    lay_out(numbers.quantile, numbers.scale, 0, 1, table);
    numbers.quantile = table;
  }
  constexpr int64_t threads = kBlocksOnCpu * tuning::kFillThreads;
  for (int64_t thread = 0; thread < threads; ++thread)
    fill_span<T, Store>(Map(numbers), span, walk_of<T>({thread, threads}));
}

template <class T, class Map>
int resident_blocks() {
  return kBlocksOnCpu;
}

#endif

// Runs `act` and returns what it throws, or null.
template <class Act>
const char* told(const Act& act) {
  static thread_local std::string message;
  try {
    act();
    return nullptr;
  } catch (const std::exception& error) {
    message = error.what();
    return message.c_str();
  }
}

OwnedLaw law_of(int dtype, const char* name, const double* parameters) {
  for (const NamedLaw& law : named_laws())
    if (std::string(law.name) == name) return law.make(static_cast<DType>(dtype), parameters);
  throw std::invalid_argument("no such law");
}

}  // namespace
}  // namespace winit_cuda

// Fills `count` elements from element 0 of the key's stream on. Returns what failed, or null.
EXPORTED const char* tuned_fill(void* pointer, long long count, int dtype, const char* law,
                                const double* parameters, unsigned long long seed,
                                unsigned long long key_stream, int blocks_per_processor, int device,
                                void* stream) {
  using namespace winit_cuda;
  return told([&] {
    const OwnedLaw owned = law_of(dtype, law, parameters);
    Request request{};
    request.fill.target = {pointer, static_cast<DType>(dtype), {}};
    Box& box = request.fill.target.box;
    box.rank = 1;
    box.size[0] = count;
    box.stride[0] = 1;
    box.index_stride[0] = 1;
    request.fill.source.key = make_stream_key(seed, key_stream);
    request.fill.law = owned.law;
    request.blocks_per_processor = blocks_per_processor;
    request.device = device;
    request.stream = stream;
    with_case(request.fill.target.dtype, owned.law.distribution, [&](auto element, auto map) {
      using T = typename decltype(element)::type;
      const Span span = span_at<T>(request.fill, request.fill.source.key, 0);
      if (element_count<T>(span) != count) throw std::invalid_argument("more than one span");
      run<T, typename decltype(map)::type>(request, span);
    });
  });
}

// How many blocks of a law's kernel a multiprocessor of the current device holds.
EXPORTED const char* tuned_resident(int dtype, const char* law, const double* parameters,
                                    int* blocks) {
  using namespace winit_cuda;
  return told([&] {
    const OwnedLaw owned = law_of(dtype, law, parameters);
    with_case(static_cast<DType>(dtype), owned.law.distribution, [&](auto element, auto map) {
      *blocks = resident_blocks<typename decltype(element)::type, typename decltype(map)::type>();
    });
  });
}
