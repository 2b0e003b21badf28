// Memory for intermediate results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace winit_cuda {

struct FreeRoom {
  size_t alignment;
  void operator()(void* memory) const { operator delete(memory, std::align_val_t{alignment}); }
};

using Memory = std::unique_ptr<void, FreeRoom>;

// Memory that begins with a line of the cache and is not written: threads that write to it first
// share the work of getting it. Large rooms ask for huge pages, which cost the system a hundredth
// of the time that small ones do.
Memory get_memory(size_t bytes);

template <class Real>
class Room {
 public:
  explicit Room(int64_t count) : memory_(get_memory(static_cast<size_t>(count) * sizeof(Real))) {}
  Real* get() const { return static_cast<Real*>(memory_.get()); }

 private:
  Memory memory_;
};

}  // namespace winit_cuda
