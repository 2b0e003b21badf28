#include "cuda/device.h"

#include "platform/stream.h"

namespace winit_cuda {

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

int cuda_current_device() {
  int device = 0;
  if (cudaGetDevice(&device) == cudaSuccess) return device;
  cudaGetLastError();
  return -1;
}

void set_cuda_device(int device) { check_cuda(cudaSetDevice(device), "cudaSetDevice"); }

}  // namespace winit_cuda
