// A stream of a CUDA device, for code that is compiled without CUDA, too.
#pragma once

namespace winit_cuda {

// Where a launch goes. `stream` is a cudaStream_t as torch gives it; the device is made current for
// the launch, and the one before it restored. No launch synchronizes.
struct Launch {
  int device;
  void* stream;
};

// Zero where there is no CUDA build, no driver or no device.
int cuda_device_count();

}  // namespace winit_cuda
