#include "cuda/device.h"

#include "platform/stream.h"

namespace winit_cuda {

CudaStatus cuda_status() {
  CudaStatus status;
  cudaDriverGetVersion(&status.driver);
  cudaRuntimeGetVersion(&status.runtime);
  const cudaError_t error = cudaGetDeviceCount(&status.devices);
  if (error != cudaSuccess) {
    status.devices = 0;
    status.error = cudaGetErrorString(error);
  } else if (status.devices == 0) {
    status.error = cudaGetErrorString(cudaErrorNoDevice);
  }
  cudaGetLastError();  // the error is told here; the next call starts clean
  return status;
}

int cuda_current_device() {
  int device = 0;
  if (cudaGetDevice(&device) == cudaSuccess) return device;
  cudaGetLastError();
  return -1;
}

void set_cuda_device(int device) { check_cuda(cudaSetDevice(device), "cudaSetDevice"); }

}  // namespace winit_cuda
