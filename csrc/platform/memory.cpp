#include "platform/memory.h"

#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "platform/faults.h"

namespace winit_cuda {
namespace {

constexpr size_t kLine = Rooms::kLine, kHugePage = size_t{1} << 21;
constexpr size_t kPage = size_t{1} << 16;  // a multiple of every system's
constexpr size_t kMostKept = size_t{64} << 20;

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

// Without a lock, which a forked child might find taken.
std::atomic<MemoryBlock*> kept{nullptr};

using Block = std::unique_ptr<MemoryBlock>;

Block exchange_kept(Block block) { return Block(kept.exchange(block.release())); }

// The one place that memory comes from: what get() gives, or OutOfMemory.
template <class Get>
auto checked(int64_t bytes, const Get& get) {
  constexpr int64_t kMost = kTooLarge / 2;  // what is rounded up does not wrap
  if (bytes > kMost || fails(Fault::kAllocation)) throw OutOfMemory(bytes);
  try {
    return get(static_cast<size_t>(bytes));
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(bytes);
  }
}

}  // namespace

OutOfMemory::OutOfMemory(int64_t bytes) {
  std::snprintf(text_, sizeof(text_), "out of memory: it needs %" PRId64 " bytes%s", bytes,
                bytes == kTooLarge ? " or more" : "");
}

MemoryBlock::MemoryBlock(size_t bytes)
    : bytes_(is_large(bytes) ? (bytes + kPage - 1) / kPage * kPage : bytes) {
  place_ = is_large(bytes) ? get_huge_pages(bytes_) : operator new(bytes_, std::align_val_t{kLine});
}

MemoryBlock::~MemoryBlock() {
  if (is_large(bytes_))
    free_huge_pages(place_, bytes_);
  else
    operator delete(place_, std::align_val_t{kLine});
}

void KeepBlock::operator()(MemoryBlock* block) const {
  Block larger(block);
  if (!is_large(larger->bytes()) || larger->bytes() > kMostKept) return;
  Block other = exchange_kept(nullptr);
  if (other && other->bytes() > larger->bytes()) std::swap(larger, other);
#if defined(MADV_FREE)
  madvise(larger->place(), larger->bytes(), MADV_FREE);
#endif
  exchange_kept(std::move(larger));
}

Memory get_memory(int64_t bytes) {
  return checked(bytes, [](size_t size) {
    if (is_large(size)) {
      Block block = exchange_kept(nullptr);
      if (block && block->bytes() >= size) return Memory(block.release());
    }
    return Memory(new MemoryBlock(size));
  });
}

void* get_piece(int64_t bytes) {
  return checked(bytes, [](size_t size) { return operator new(size); });
}

void free_piece(void* piece) { operator delete(piece); }

size_t free_kept_memory() {
  const Block block = exchange_kept(nullptr);
  return block ? block->bytes() : 0;
}

}  // namespace winit_cuda
