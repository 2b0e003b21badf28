// CUDA devices and their streams, for code that is compiled without CUDA, too.
#pragma once

#include <string>

namespace winit_cuda {

// Where a launch goes. `stream` is a cudaStream_t as torch gives it; the device must be the current
// one. No launch synchronizes.
struct Launch {
  int device;
  void* stream;
};

// What the CUDA runtime says of this machine. Versions are as CUDA counts them: 12040 is 12.4.
struct CudaStatus {
  int devices = 0;
  std::string error;  // why it sees none, in its words; empty where it sees one
  int driver = 0;     // the newest CUDA that the driver knows; 0 where there is no driver
  int runtime = 0;    // 0 where the core was built without CUDA
};

// Fails at nothing.
CudaStatus cuda_status();

// The current device of this thread; -1 where there is none.
int cuda_current_device();

// Makes a device current, inside of torch's guard, which restores the one before.
void set_cuda_device(int device);

}  // namespace winit_cuda
