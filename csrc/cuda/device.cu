#include "cuda/device.h"

#include "platform/stream.h"

namespace winit_cuda {

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

}  // namespace winit_cuda
