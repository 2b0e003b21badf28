#include "platform/memory.h"

#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace winit_cuda {
namespace {

constexpr size_t kLine = 64, kHugePage = size_t{1} << 21;
constexpr size_t kPage = size_t{1} << 16;  // a multiple of every system's

bool is_large(size_t bytes) { return bytes >= 2 * kHugePage; }

#if defined(__linux__)
// Of the system's own, not malloc's: what malloc takes back it hands out again as small pieces,
// with huge pages around each.
void* get_huge_pages(size_t bytes) {
  const size_t reserved = bytes + kHugePage;
  void* const begin =
      mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) throw std::bad_alloc();
  char* const first = static_cast<char*>(begin);
  const size_t before = -reinterpret_cast<uintptr_t>(first) % kHugePage;
  const size_t after = kHugePage - before;
  if (before > 0) munmap(first, before);
  munmap(first + before + bytes, after);
  madvise(first + before, bytes, MADV_HUGEPAGE);
  return first + before;
}
void free_huge_pages(void* place, size_t bytes) { munmap(place, bytes); }
#else
void* get_huge_pages(size_t bytes) { return operator new(bytes, std::align_val_t{kLine}); }
void free_huge_pages(void* place, size_t) { operator delete(place, std::align_val_t{kLine}); }
#endif

}  // namespace

Memory::Memory(size_t bytes)
    : bytes_(is_large(bytes) ? (bytes + kPage - 1) / kPage * kPage : bytes) {
  place_ = is_large(bytes) ? get_huge_pages(bytes_) : operator new(bytes_, std::align_val_t{kLine});
}

Memory::~Memory() {
  if (is_large(bytes_))
    free_huge_pages(place_, bytes_);
  else
    operator delete(place_, std::align_val_t{kLine});
}

}  // namespace winit_cuda
