// One launch that fills many tensors: on a CUDA device, and on the CPU by the serial launcher.
#pragma once

#include "cuda/fills.h"
#include "many/layout.h"

namespace winit_cuda {

// How much of the descriptors goes into a kernel's parameters: from CUDA 12.1 on, on Volta and
// later, these take up to 32,764 bytes, of which two pointers lie in front.
constexpr size_t kParameterBytes = 32764;
constexpr size_t kDescriptorBytes = (kParameterBytes - 2 * sizeof(void*)) / 16 * 16;

// The keys of a run, two words for each fill of the list in turn: at hand, or in the memory of the
// device, for the kernel to read. The other pointer is null.
struct ManyKeys {
  const uint64_t* here;
  const uint64_t* there;
};

// Fills what `descriptors` say. `memory` is where write_descriptors has put them for the device to
// read; null passes them, at most kDescriptorBytes, among the kernel's parameters. No call
// allocates, copies or waits, so all of it may be captured in a CUDA graph.
void fill_many_cuda(const ManyDescriptors& descriptors, const ManyKeys& keys,
                    const unsigned char* memory, const Launch& launch);
void fill_many_serial(const ManyDescriptors& descriptors, const ManyKeys& keys,
                      const unsigned char* memory);

}  // namespace winit_cuda
