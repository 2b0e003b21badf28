// The CUDA kernels: thin __global__ wrappers around the bodies of fill_kernels.h, and their
// launches.
//
// A map with a quantile table gets it in shared memory: the threads of a warp read different
// segments at once, which constant memory would serialize. The normal law's table lies in device
// memory; a one-sided truncated law brings its own among the kernel's arguments, so that no launch
// allocates, copies or waits. Such arguments may be longer than 4 KB from CUDA 12.1 on.
#include <cuda_runtime.h>

#include <algorithm>

#include "cuda_device.h"
#include "cuda_tables.h"
#include "fill_dispatch.h"
#include "fill_kernels.h"

#if CUDART_VERSION < 12010
#error "winit_cuda needs CUDA 12.1 or later"
#endif

namespace winit_cuda {
namespace {

constexpr int kBlockThreads = 256;

struct NoTable {};

// Makes a thread's map; the whole block calls it, so that the table is copied once.
template <class L>
__device__ UniformMap<L> make_map(const UniformNumbers<typename L::Real>& numbers, const NoTable&,
                                  Type<UniformMap<L>>) {
  return UniformMap<L>(numbers);
}

template <class Real>
__device__ const Real* share_table(const Real* table, Real scale) {
  __shared__ Real shared[kTableSize<Real>];
  for (int i = threadIdx.x; i < kTableSize<Real>; i += kBlockThreads)
    shared[i] = scaled_entry(table, scale, i);
  __syncthreads();
  return shared;
}

template <class L>
__device__ NormalMap<L> make_map(NormalNumbers<typename L::Real> numbers, const NoTable&,
                                 Type<NormalMap<L>>) {
  numbers.quantile = share_table(normal_table(typename L::Real{}), numbers.std);
  return NormalMap<L>(numbers);
}

template <class L>
__device__ TruncNormalMap<L> make_map(TruncNormalNumbers<typename L::Real> numbers, const NoTable&,
                                      Type<TruncNormalMap<L>>) {
  numbers.quantile = share_table(normal_table(typename L::Real{}), numbers.scale);
  return TruncNormalMap<L>(numbers);
}

template <class L>
__device__ SymmetricTruncNormalMap<L> make_map(
    SymmetricTruncNormalNumbers<typename L::Real> numbers, const NoTable&,
    Type<SymmetricTruncNormalMap<L>>) {
  numbers.quantile = share_table(normal_table(typename L::Real{}), numbers.scale);
  return SymmetricTruncNormalMap<L>(numbers);
}

template <class L>
__device__ TailNormalMap<L> make_map(TailNormalNumbers<typename L::Real> numbers,
                                     const Table<typename L::Real>& table, Type<TailNormalMap<L>>) {
  numbers.quantile = share_table(table.entries, numbers.scale);
  return TailNormalMap<L>(numbers);
}

__device__ ThreadIndex this_thread() {
  return {static_cast<int64_t>(blockIdx.x) * kBlockThreads + threadIdx.x,
          static_cast<int64_t>(gridDim.x) * kBlockThreads};
}

template <class T, class Map, class N, class Tab>
__global__ void __launch_bounds__(kBlockThreads)
    fill_span_kernel(const __grid_constant__ Span span, const __grid_constant__ N numbers,
                     const __grid_constant__ Tab table) {
  const Map map = make_map(numbers, table, Type<Map>{});
  fill_span<T>(map, span, this_thread());
}

template <class T, class Map, class N, class Tab>
__global__ void __launch_bounds__(kBlockThreads)
    fill_keyed_kernel(const __grid_constant__ RandomFill fill, const __grid_constant__ N numbers,
                      const __grid_constant__ Tab table) {
  const Map map = make_map(numbers, table, Type<Map>{});
  fill_aligned<T>(map, fill, this_thread());
}

template <class T, class Map, class N, class Tab>
__global__ void __launch_bounds__(kBlockThreads)
    fill_rows_kernel(const __grid_constant__ RandomFill fill, const __grid_constant__ Rows rows,
                     const __grid_constant__ N numbers, const __grid_constant__ Tab table) {
  const Map map = make_map(numbers, table, Type<Map>{});
  fill_rows<T>(map, fill, rows, this_thread());
}

template <class T>
__global__ void __launch_bounds__(kBlockThreads)
    set_aligned_kernel(const __grid_constant__ ConstantFill fill) {
  set_aligned<T>(fill, this_thread());
}

template <class T>
__global__ void __launch_bounds__(kBlockThreads)
    set_rows_kernel(const __grid_constant__ ConstantFill fill, const __grid_constant__ Rows rows) {
  set_rows<T>(fill, rows, this_thread());
}

template <class T>
__global__ void __launch_bounds__(kBlockThreads)
    dirac_rows_kernel(const __grid_constant__ DiracFill fill, const __grid_constant__ Rows rows) {
  dirac_rows<T>(fill, rows, this_thread());
}

__global__ void __launch_bounds__(kBlockThreads)
    select_thresholds_kernel(const __grid_constant__ SparseFill fill) {
  select_thresholds(fill, this_thread());
}

template <class T, class Map, class N>
__global__ void __launch_bounds__(kBlockThreads)
    sparse_rows_kernel(const __grid_constant__ SparseFill fill, const __grid_constant__ Rows rows,
                       const __grid_constant__ N numbers) {
  const Map map = make_map(numbers, NoTable{}, Type<Map>{});
  sparse_rows<T>(map, fill, rows, this_thread());
}

template <class Real>
__global__ void __launch_bounds__(kBlockThreads) reflectors_kernel(const Reflectors reflectors) {
  make_reflectors<Real>(reflectors, this_thread());
}

__global__ void __launch_bounds__(kBlockThreads)
    words_kernel(const __grid_constant__ StreamKey key, Domain domain, uint64_t index,
                 int64_t count, uint32_t* words) {
  write_words(key, domain, index, count, words, this_thread());
}

int attribute(cudaDeviceAttr name, int device) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, name, device), "cudaDeviceGetAttribute");
  return value;
}

// As many blocks as the threads need, but no more than the device runs at once: each would make its
// map anew.
template <class Kernel>
unsigned blocks_for(int64_t threads, Kernel* kernel, int device) {
  const int64_t wanted = std::max<int64_t>(1, (threads + kBlockThreads - 1) / kBlockThreads);
  const int processors = attribute(cudaDevAttrMultiProcessorCount, device);
  if (wanted <= processors) return static_cast<unsigned>(wanted);
  int resident = 0;
  check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, kBlockThreads, 0),
             "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return static_cast<unsigned>(std::min<int64_t>(wanted, int64_t{resident} * processors));
}

// Launches `kernel` for `work` threads' worth of steps.
template <class... Parameters, class... Arguments>
void launch_on(const Launch& launch, int64_t work, void (*kernel)(Parameters...),
               const Arguments&... arguments) {
  const CurrentDevice current(launch.device);
  kernel<<<blocks_for(work, kernel, launch.device), kBlockThreads, 0,
           static_cast<cudaStream_t>(launch.stream)>>>(arguments...);
  check_cuda(cudaGetLastError(), "kernel launch");
}

// The threads that fill_span gives its groups to in one go.
template <class T>
int64_t threads_for(int64_t count) {
  return count / (Element<T>::kGroup * kGroupsInFlight<T>)+1;
}

template <class N>
NoTable table_of(const N&) {
  return {};
}
template <class Real>
Table<Real> table_of(const TailNormalNumbers<Real>& numbers) {
  Table<Real> table;
  std::copy_n(numbers.quantile, kTableSize<Real>, table.entries);
  return table;
}

}  // namespace

void fill_cuda(const RandomFill& fill, const Launch& launch) {
  const Rows rows = rows_of(fill.target.box);
  with_map(fill, [&](auto element, auto map_type, const auto& numbers) {
    using T = typename decltype(element)::type;
    using Map = typename decltype(map_type)::type;
    using N = std::decay_t<decltype(numbers)>;
    const auto table = table_of(numbers);
    using Tab = std::decay_t<decltype(table)>;
    if (!is_aligned(fill)) {
      launch_on(launch, rows.rows * rows.slots, &fill_rows_kernel<T, Map, N, Tab>, fill, rows,
                numbers, table);
    } else if (fill.source.key_pointer) {
      launch_on(launch, threads_for<T>(element_count(fill.target.box)),
                &fill_keyed_kernel<T, Map, N, Tab>, fill, numbers, table);
    } else {
      for (int64_t begin = 0; begin < element_count(fill.target.box);) {
        const Span span = span_at<T>(fill, fill.source.key, begin);
        const int64_t count = element_count<T>(span);
        launch_on(launch, threads_for<T>(count), &fill_span_kernel<T, Map, N, Tab>, span, numbers,
                  table);
        begin += count;
      }
    }
  });
}

void fill_cuda(const ConstantFill& fill, const Launch& launch) {
  const Rows rows = rows_of(fill.box);
  with_itemsize(fill.itemsize, [&](auto element) {
    using T = typename decltype(element)::type;
    if (is_contiguous(fill.pointer, fill.box))
      launch_on(launch, element_count(fill.box) * fill.itemsize / kStoreBytes + 1,
                &set_aligned_kernel<T>, fill);
    else
      launch_on(launch, rows.rows * rows.slots, &set_rows_kernel<T>, fill, rows);
  });
}

void fill_cuda(const DiracFill& fill, const Launch& launch) {
  const Rows rows = rows_of(fill.box);
  with_itemsize(fill.itemsize, [&](auto element) {
    using T = typename decltype(element)::type;
    launch_on(launch, rows.rows * rows.slots, &dirac_rows_kernel<T>, fill, rows);
  });
}

void sparse_cuda(const SparseFill& fill, const Launch& launch) {
  const Rows rows = rows_of(fill.normal.target.box);
  launch_on(launch, local_columns(fill).count, &select_thresholds_kernel, fill);
  with_dtype(fill.normal.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    const auto run = [&](const auto& numbers, auto map_type) {
      using Map = typename decltype(map_type)::type;
      launch_on(launch, rows.rows * rows.slots,
                &sparse_rows_kernel<T, Map, std::decay_t<decltype(numbers)>>, fill, rows, numbers);
    };
    if constexpr (std::is_same_v<T, double>)
      run(fill.normal.double_numbers.normal, Type<NormalMap<Scalar64>>{});
    else
      run(fill.normal.numbers.normal, Type<NormalMap<Scalar32>>{});
  });
}

void reflectors_cuda(const Reflectors& reflectors, const Source& source, const Launch& launch) {
  fill_cuda(reflector_normals(reflectors, source), launch);
  if (reflectors.dtype == DType::kFloat64)
    launch_on(launch, reflectors.columns, &reflectors_kernel<double>, reflectors);
  else
    launch_on(launch, reflectors.columns, &reflectors_kernel<float>, reflectors);
}

void words_cuda(const StreamKey& key, Domain domain, uint64_t index, int64_t count, uint32_t* words,
                const Launch& launch) {
  launch_on(launch, count, &words_kernel, key, domain, index, count, words);
}

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

}  // namespace winit_cuda
