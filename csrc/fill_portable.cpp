// The CPU fills for any processor.
#include "fill_simd.h"
#include "lanes_scalar.h"

namespace winit_cuda {
namespace {

struct Portable : Scalar32 {
  static void store(float* out, float value) { *out = value; }
  static void stream(float* out, float value) { *out = value; }
  static void store_half(uint16_t* out, float value) { *out = round_to<Half>(value).bits; }
  static void store_bfloat16(uint16_t* out, float value) { *out = round_to<BFloat16>(value).bits; }
};

}  // namespace

const SimdFills kPortableFills = {"portable", simd::fill_any<Portable>,
                                  simd::words_range<Portable>};

}  // namespace winit_cuda
