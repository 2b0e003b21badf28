// The floating-point environment that the values are defined in.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace winit_cuda {

// A user may have set flush-to-zero or another rounding in the calling thread
// (torch.set_flush_denormal); the values do not depend on it. Writing the register costs more than
// reading it, and is rarely needed.
class DefaultFloatingPoint {
#if defined(__x86_64__)
 public:
  DefaultFloatingPoint() : saved_(_mm_getcsr()) {
    if ((saved_ & kControl) != kDefault) _mm_setcsr(kDefault);
  }
  ~DefaultFloatingPoint() {
    if ((saved_ & kControl) != kDefault) _mm_setcsr(saved_);
  }
  DefaultFloatingPoint(const DefaultFloatingPoint&) = delete;
  DefaultFloatingPoint& operator=(const DefaultFloatingPoint&) = delete;

 private:
  static constexpr unsigned kControl = 0xFFC0;  // all but the sticky exception flags
  static constexpr unsigned kDefault = 0x1F80;  // exceptions masked, to nearest, no flushing
  unsigned saved_;
#else
 public:
  DefaultFloatingPoint() {}
  ~DefaultFloatingPoint() {}
#endif
};

}  // namespace winit_cuda
