// Kernels that each break one rule, or none, for the tests of the emulated device: what it does not
// see here, it does not see in the product's kernels.
#include <cuda_runtime.h>

#include <cstdint>

namespace winit_cuda {
namespace {

enum Fault : int {
  kNothing,
  kLoadOutside,
  kStoreOutside,
  kStoreToTable,
  kSharedOutside,
  kMisaligned,
  kNoBarrier,        // between the store of one thread and the load of another
  kNoSecondBarrier,  // between the load of one thread and the next store of another
  kBarrierOfSome,    // the others have ended
  kBarriersApart,    // some wait at one, some at another
  kTwoBlocksStore,   // to one place
  kTwoBlocksReadWrite,
  kDivisionByZero,
  kOrderOfThreads,  // what an addition finds depends on who comes first
};

__device__ const uint32_t kTable[4] = {1, 2, 3, 4};

// values[i] becomes the sum of the values of block i's neighbours up to i, plus table[i % 4].
// `kReadsSums`: one of its faults uses what an atomic addition finds. Other kernels with threads in
// step run in one order only.
template <bool kReadsSums>
__global__ void sums_kernel(uint32_t* values, uint32_t count, Fault fault) {
  extern __shared__ uint32_t partial[];
  const uint32_t thread = threadIdx.x, threads = blockDim.x;
  const uint32_t element = blockIdx.x * threads + thread;
  const bool last = element == count - 1;
  partial[thread] = values[element];
  if (fault != kNoBarrier) __syncthreads();
  for (uint32_t step = 1; step < threads; step *= 2) {
    const uint32_t before = thread >= step ? partial[thread - step] : 0;
    if (fault != kNoSecondBarrier) __syncthreads();
    partial[thread] += before;
    if (fault == kBarrierOfSome && thread % 2) return;
    if (fault == kBarriersApart && thread % 2) {
      __syncthreads();
      values[element] = 0;
    } else {
      __syncthreads();
    }
  }
  uint32_t sum = partial[thread] + kTable[element % 4];
  if (fault == kLoadOutside && last) sum += values[count];
  if (fault == kStoreOutside && last) values[count] = sum;
  if (fault == kStoreToTable && last) const_cast<volatile uint32_t*>(kTable)[3] = sum;
  if (fault == kSharedOutside && last) partial[threads] = sum;
  if (fault == kMisaligned && last)
    *reinterpret_cast<uint32_t*>(reinterpret_cast<char*>(values) + 2) = sum;
  if (fault == kTwoBlocksStore && thread == 0) values[0] = 5;
  if (fault == kTwoBlocksReadWrite && thread == 0) sum += values[0];
  if (fault == kDivisionByZero) sum /= element;
  if (kReadsSums && fault == kOrderOfThreads) {
    __syncthreads();
    sum = atomicAdd(&partial[0], 1);
  }
  values[element] = sum;
}

}  // namespace
}  // namespace winit_cuda

// The error of the launch, or null.
extern "C" __attribute__((visibility("default"))) const char* faulty_sums(uint32_t* values,
                                                                          uint32_t blocks,
                                                                          uint32_t threads,
                                                                          int fault) {
  using namespace winit_cuda;
  const auto kernel = fault == kOrderOfThreads ? sums_kernel<true> : sums_kernel<false>;
  kernel<<<blocks, threads, threads * sizeof(uint32_t)>>>(values, blocks * threads,
                                                          static_cast<Fault>(fault));
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}
