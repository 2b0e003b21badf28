// The floating-point environment that the values are defined in.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace winit_cuda {

// The register that says how to round, whether to flush small values to zero and what traps, and
// its contents where nobody has changed them.
#if defined(__x86_64__)
struct FloatingPointControl {
  static constexpr uint64_t kMask = 0xFFC0;     // all but the sticky exception flags
  static constexpr uint64_t kDefault = 0x1F80;  // exceptions masked, to nearest, no flushing
  static uint64_t read() { return _mm_getcsr(); }
  static void write(uint64_t control) { _mm_setcsr(static_cast<unsigned>(control)); }
};
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
struct FloatingPointControl {
  static constexpr uint64_t kMask = ~uint64_t{0};
  static constexpr uint64_t kDefault = 0;  // no traps, to nearest, no flushing, IEEE half precision
  static uint64_t read() {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
  }
  static void write(uint64_t control) { __asm__ volatile("msr fpcr, %0" : : "r"(control)); }
};
#else
struct FloatingPointControl {
  static constexpr uint64_t kMask = 0, kDefault = 0;
  static uint64_t read() { return 0; }
  static void write(uint64_t) {}
};
#endif

// A user may have set flush-to-zero or another rounding in the calling thread
// (torch.set_flush_denormal); the values do not depend on it. Writing the register costs more than
// reading it, and is rarely needed.
class DefaultFloatingPoint {
 public:
  DefaultFloatingPoint() : saved_(FloatingPointControl::read()) {
    if (is_changed()) FloatingPointControl::write(FloatingPointControl::kDefault);
  }
  ~DefaultFloatingPoint() {
    if (is_changed()) FloatingPointControl::write(saved_);
  }
  DefaultFloatingPoint(const DefaultFloatingPoint&) = delete;
  DefaultFloatingPoint& operator=(const DefaultFloatingPoint&) = delete;

 private:
  bool is_changed() const {
    return (saved_ & FloatingPointControl::kMask) != FloatingPointControl::kDefault;
  }

  uint64_t saved_;
};

}  // namespace winit_cuda
