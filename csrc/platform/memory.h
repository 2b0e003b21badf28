// Memory for intermediate results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace winit_cuda {

class MemoryBlock {
 public:
  explicit MemoryBlock(size_t bytes);
  ~MemoryBlock();
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;

  void* place() const { return place_; }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  void* place_;
};

struct KeepBlock {
  void operator()(MemoryBlock* block) const;
};
using Memory = std::unique_ptr<MemoryBlock, KeepBlock>;

// Memory that begins with a line of the cache and is not written: threads that write to it first
// share the work of getting it. Large rooms ask for huge pages, which cost the system a hundredth
// of the time that small ones do.
//
// The largest block of up to 64 MB is kept for the next room: a model has many matrices of a size,
// and getting memory takes a tenth of the time that a tall one does. The system may take back what
// is in it meanwhile.
Memory get_memory(size_t bytes);

// Gives back what is kept, and says how many bytes that were.
size_t free_kept_memory();

template <class Real>
class Room {
 public:
  explicit Room(int64_t count) : memory_(get_memory(static_cast<size_t>(count) * sizeof(Real))) {}
  Real* get() const { return static_cast<Real*>(memory_->place()); }

 private:
  Memory memory_;
};

}  // namespace winit_cuda
