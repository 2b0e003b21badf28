// What every launch of a kernel needs around it: errors as exceptions, its device current.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace winit_cuda {

inline void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // the error is told here; the next call starts clean
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

inline int attribute(cudaDeviceAttr name, int device) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, name, device), "cudaDeviceGetAttribute");
  return value;
}

// Every launch goes to the current device, and so does every question about it. Python makes it
// current, with torch's guard: to restore the one before by hand would make a context there, some
// 500 MB, where nothing else needs one.
inline void require_current(int device) {
  int current = 0;
  check_cuda(cudaGetDevice(&current), "cudaGetDevice");
  if (current != device)
    throw std::runtime_error("CUDA device " + std::to_string(device) +
                             " must be current for a launch on it; it is device " +
                             std::to_string(current));
}

}  // namespace winit_cuda
