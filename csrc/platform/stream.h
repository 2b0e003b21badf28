// A stream of a CUDA device, for code that is compiled without CUDA, too.
#pragma once

namespace winit_cuda {

// Where a launch goes. `stream` is a cudaStream_t as torch gives it; the device must be the current
// one. No launch synchronizes.
struct Launch {
  int device;
  void* stream;
};

// Zero where there is no CUDA build, no driver or no device.
int cuda_device_count();

// The current device of this thread; -1 where there is none.
int cuda_current_device();

// Makes a device current, inside of torch's guard, which restores the one before.
void set_cuda_device(int device);

}  // namespace winit_cuda
