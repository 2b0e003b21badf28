#include "room.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace winit_cuda {

Memory get_memory(size_t bytes) {
  constexpr size_t kLine = 64, kHugePage = size_t{1} << 21;
  const size_t alignment = bytes < 2 * kHugePage ? kLine : kHugePage;
  Memory memory(operator new(bytes, std::align_val_t{alignment}), FreeRoom{alignment});
#if defined(__linux__)
  if (alignment == kHugePage) madvise(memory.get(), bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

}  // namespace winit_cuda
