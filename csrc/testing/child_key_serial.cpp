#include "cuda/fills.h"
#include "fill/child_key_kernels.h"
#include "testing/serial_launch.h"

namespace winit_cuda {

void split_keys_serial(const Source& source, int64_t count, uint64_t* words) {
  launch_serial([&](const ThreadIndex& at) { write_child_keys(source, count, words, at); });
}

}  // namespace winit_cuda
