// What is done once for a kernel on a device, before it is launched there.
//
// The driver loads a kernel, with the tables of its file, when it is first used. That allocates and
// copies, which the driver may refuse while a CUDA graph is captured, by this thread or another. So
// a kernel is loaded by a call of its own, in a thread whose capture mode is relaxed; drivers from
// CUDA 12.3 on would do without. A capture that breaks all the same says what helps.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <cstdint>

#include "cuda/device.h"

namespace winit_cuda {

// On which devices something was done for a kernel. Threads that come at once may all do it, so it
// is for what may be done again; nobody waits.
class DoneOnDevices {
 public:
  template <class Work>
  void once(int device, const Work& work) {
    // No machine has more devices; they would only be a little slower.
    const uint64_t bit = device < 64 ? uint64_t{1} << device : 0;
    if (done_.load(std::memory_order_acquire) & bit) return;
    work();
    done_.fetch_or(bit, std::memory_order_release);
  }

 private:
  std::atomic<uint64_t> done_{0};
};

// Lets the calling thread do what a capture forbids, as long as this lives.
class RelaxedCapture {
 public:
  RelaxedCapture() {
    check_cuda(cudaThreadExchangeStreamCaptureMode(&other_), "cudaThreadExchangeStreamCaptureMode");
  }
  ~RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&other_); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  cudaStreamCaptureMode other_ = cudaStreamCaptureModeRelaxed;
};

// Loads a kernel on the current device, and returns what it takes.
inline cudaFuncAttributes load(const void* kernel) {
  cudaFuncAttributes attributes;
  const cudaError_t error = cudaFuncGetAttributes(&attributes, kernel);
  const bool is_captured =
      error == cudaErrorStreamCaptureUnsupported || error == cudaErrorStreamCaptureInvalidated;
  check_cuda(error, is_captured
                        ? "this driver loads no kernel while a CUDA graph is captured (call "
                          "the function once before the capture)"
                        : "loading a kernel");
  return attributes;
}

// To be called before each launch, on the current device.
template <auto* kKernel>
void prepare(int device) {
  static DoneOnDevices loaded;
  loaded.once(device, [] {
    const RelaxedCapture relaxed;
    load(reinterpret_cast<const void*>(kKernel));
  });
}

// The same for a kernel with dynamic shared memory, of which it may then have all there is: more
// than 48 KB have to be asked for. A limit for each launch would be another thread's, too.
template <auto* kKernel>
void prepare_with_shared_memory(int device) {
  static DoneOnDevices prepared;
  prepared.once(device, [device] {
    const RelaxedCapture relaxed;
    const void* kernel = reinterpret_cast<const void*>(kKernel);
    const int own = static_cast<int>(load(kernel).sharedSizeBytes);
    check_cuda(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device) - own),
        "cudaFuncSetAttribute");
  });
}

}  // namespace winit_cuda
