// Groups of elements as a thread stores them: rounded to the tensor's dtype and packed into units
// of 16 bytes.
#pragma once

#include "platform/tuning.h"
#include "values/dtype.h"

namespace winit_cuda {

constexpr int kStoreBytes = tuning::kStoreBytes, kStoreWords = kStoreBytes / 4;

struct alignas(kStoreBytes) StoreUnit {
  uint32_t words[kStoreWords];
};

// How a unit is stored: plainly. benchmarks/gpu/tune has other ways.
struct PlainStore {
  static WINIT_HD_MEMBER void put(StoreUnit* to, const StoreUnit& unit) { *to = unit; }
};

// Two elements in the low bits of the result, the first below the second. A device that rounds two
// values in one instruction does so; it rounds once, to nearest even, as round_to does.
template <class T>
WINIT_HD uint32_t round_pair(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<T, BFloat16>) {
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
  } else if constexpr (std::is_same_v<T, Half>) {
    uint32_t pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
  }
#endif
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  if constexpr (std::is_same_v<T, Float8E4M3FN>) {
    uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(second), "f"(first));
    return pair;
  } else if constexpr (std::is_same_v<T, Float8E5M2>) {
    uint16_t pair;
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(second), "f"(first));
    return pair;
  }
#endif
  return static_cast<uint32_t>(round_to<T>(first).bits) |
         static_cast<uint32_t>(round_to<T>(second).bits) << (8 * sizeof(T));
}

// The units of a group of elements, which fill them to the last byte.
template <class T, int kUnits>
WINIT_HD void pack(const float* values, StoreUnit (&units)[kUnits]) {
  constexpr int kInWord = 4 / static_cast<int>(sizeof(T));
  for (int i = 0; i < kStoreWords * kUnits; ++i) {
    const float* first = values + kInWord * i;
    uint32_t word;
    if constexpr (kInWord == 1)
      word = bits_of(first[0]);
    else if constexpr (kInWord == 2)
      word = round_pair<T>(first[0], first[1]);
    else
      word = round_pair<T>(first[0], first[1]) | round_pair<T>(first[2], first[3]) << 16;
    units[i / kStoreWords].words[i % kStoreWords] = word;
  }
}
template <class T, int kUnits>
WINIT_HD void pack(const double* values, StoreUnit (&units)[kUnits]) {
  for (int i = 0; i < kStoreWords * kUnits; ++i) {
    const uint64_t bits = bits_of(values[i / 2]);
    units[i / kStoreWords].words[i % kStoreWords] =
        static_cast<uint32_t>(i % 2 ? bits >> 32 : bits);
  }
}

// Element i of packed units.
template <class T>
WINIT_HD T unpack(const StoreUnit* units, int i) {
  constexpr int kSize = static_cast<int>(sizeof(T));
  const uint32_t* words = units[kSize * i / kStoreBytes].words;
  const int word = kSize * i % kStoreBytes / 4;
  const uint32_t bits = words[word] >> (8 * (kSize * i % 4));
  if constexpr (std::is_same_v<T, double>)
    return double_of(static_cast<uint64_t>(words[word + 1]) << 32 | bits);
  else if constexpr (std::is_same_v<T, float>)
    return float_of(bits);
  else
    return T{static_cast<decltype(T::bits)>(bits)};
}

}  // namespace winit_cuda
