// Memory for intermediate results.
#pragma once

#include <cstddef>
#include <cstdint>

namespace winit_cuda {

// Memory that begins with a line of the cache and is not written: threads that write to it first
// share the work of getting it. Large blocks ask for huge pages, which cost the system a hundredth
// of the time that small ones do.
class Memory {
 public:
  explicit Memory(size_t bytes);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* get() const { return place_; }

 private:
  size_t bytes_;
  void* place_;
};

template <class Real>
class Workspace {
 public:
  explicit Workspace(int64_t count) : memory_(static_cast<size_t>(count) * sizeof(Real)) {}
  Real* get() const { return static_cast<Real*>(memory_.get()); }

 private:
  Memory memory_;
};

}  // namespace winit_cuda
