#include "room.h"

#include <atomic>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace winit_cuda {
namespace {

constexpr size_t kLine = 64, kHugePage = size_t{1} << 21;
constexpr size_t kMostKept = size_t{64} << 20;

bool is_large(size_t bytes) { return bytes >= 2 * kHugePage; }

std::align_val_t alignment_of(size_t bytes) {
  return std::align_val_t{is_large(bytes) ? kHugePage : kLine};
}

// Without a lock, which a forked child might find taken.
std::atomic<MemoryBlock*> kept{nullptr};

using Block = std::unique_ptr<MemoryBlock>;

Block exchange_kept(Block block) { return Block(kept.exchange(block.release())); }

}  // namespace

MemoryBlock::MemoryBlock(size_t bytes)
    : bytes_(bytes), place_(operator new(bytes, alignment_of(bytes))) {
#if defined(__linux__)
  if (is_large(bytes)) madvise(place_, bytes, MADV_HUGEPAGE);
#endif
}

MemoryBlock::~MemoryBlock() { operator delete(place_, alignment_of(bytes_)); }

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

Memory get_memory(size_t bytes) {
  if (is_large(bytes)) {
    Block block = exchange_kept(nullptr);
    if (block && block->bytes() >= bytes) return Memory(block.release());
  }
  return Memory(new MemoryBlock(bytes));
}

void free_kept_memory() { exchange_kept(nullptr); }

}  // namespace winit_cuda
