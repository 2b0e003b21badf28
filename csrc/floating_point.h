// The floating-point environment that the values are defined in.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace winit_cuda {

// A user may have set flush-to-zero or another rounding in the calling thread
// (torch.set_flush_denormal); the values do not depend on it.
class DefaultFloatingPoint {
#if defined(__x86_64__)
 public:
  DefaultFloatingPoint() : saved_(_mm_getcsr()) { _mm_setcsr(0x1F80); }
  ~DefaultFloatingPoint() { _mm_setcsr(saved_); }
  DefaultFloatingPoint(const DefaultFloatingPoint&) = delete;
  DefaultFloatingPoint& operator=(const DefaultFloatingPoint&) = delete;

 private:
  unsigned saved_;
#else
 public:
  DefaultFloatingPoint() {}
  ~DefaultFloatingPoint() {}
#endif
};

}  // namespace winit_cuda
