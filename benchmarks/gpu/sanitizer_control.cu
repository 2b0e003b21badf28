// A program with one error for each tool of compute-sanitizer, which has to report it: the control
// of acceptance.sh. The argument names the tool. Exits with 0 once the kernel has been
// launched, whatever became of it, and with 3 where it could not be.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>

namespace {

constexpr int kThreads = 256;  // several warps: within one, racecheck may see no race

__global__ void write_out_of_bounds(int* numbers) { numbers[threadIdx.x + 1] = 1; }

__global__ void read_without_a_barrier(int* numbers) {
  __shared__ int shared[kThreads];
  shared[threadIdx.x] = threadIdx.x;
  numbers[threadIdx.x] = shared[(threadIdx.x + 32) % kThreads];
}

__global__ void read_uninitialized(int* numbers) { numbers[threadIdx.x] += 1; }

int fail(const char* what, cudaError_t error) {
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  return 3;
}

}  // namespace

int main(int count, char** arguments) {
  void (*kernel)(int*) = nullptr;
  if (count == 2 && !std::strcmp(arguments[1], "memcheck")) kernel = write_out_of_bounds;
  if (count == 2 && !std::strcmp(arguments[1], "racecheck")) kernel = read_without_a_barrier;
  if (count == 2 && !std::strcmp(arguments[1], "initcheck")) kernel = read_uninitialized;
  if (kernel == nullptr) {
    std::fprintf(stderr, "usage: control memcheck|racecheck|initcheck\n");
    return 3;
  }
  int* numbers = nullptr;
  cudaError_t error = cudaMalloc(&numbers, kThreads * sizeof(int));
  if (error != cudaSuccess) return fail("cudaMalloc", error);
  kernel<<<1, kThreads>>>(numbers);
  error = cudaGetLastError();
  if (error != cudaSuccess) return fail("kernel launch", error);
  std::printf("ran: %s\n", cudaGetErrorString(cudaDeviceSynchronize()));
  return 0;
}
