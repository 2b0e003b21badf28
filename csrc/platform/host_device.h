// What a function needs to be compiled for the host and for the device from one source.
//
// Free functions are `static` and always inlined: the CPU fills compile the same headers under
// several instruction sets, and the linker must never pick the wide-vector copy of a function for a
// narrow CPU.
#pragma once

#if !defined(__GNUC__) && !defined(__clang__)
#error "winit_cuda needs GCC or Clang: MSVC and Windows are not supported"
#endif

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define WINIT_HD static __host__ __device__ __forceinline__
#define WINIT_HD_MEMBER __host__ __device__ __forceinline__
#else
#define WINIT_HD static inline __attribute__((always_inline))
#define WINIT_HD_MEMBER inline __attribute__((always_inline))
#endif

#define WINIT_NO_INLINE __attribute__((noinline))

// Before a template for host and device that is handed a function of the host alone: nvcc would
// warn of the call, which the device never makes.
#if defined(__CUDACC__)
#define WINIT_CALLS_EITHER _Pragma("nv_exec_check_disable")
#else
#define WINIT_CALLS_EITHER
#endif

// Before a loop of a kernel: unrolled whole, not at all, or four times.
#if defined(__CUDA_ARCH__)
#define WINIT_UNROLL _Pragma("unroll")
#define WINIT_ROLLED _Pragma("unroll 1")
#define WINIT_UNROLL_FOUR _Pragma("unroll 4")
#else
#define WINIT_UNROLL
#define WINIT_ROLLED
#define WINIT_UNROLL_FOUR
#endif

namespace winit_cuda {

WINIT_HD uint32_t bits_of(float value) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(value);
#else
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
#endif
}

WINIT_HD float float_of(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
#endif
}

WINIT_HD uint64_t bits_of(double value) {
#if defined(__CUDA_ARCH__)
  return static_cast<uint64_t>(__double_as_longlong(value));
#else
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
#endif
}

WINIT_HD double double_of(uint64_t bits) {
#if defined(__CUDA_ARCH__)
  return __longlong_as_double(static_cast<long long>(bits));
#else
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
#endif
}

// a * b + c, rounded once. The compilers never contract on their own (-ffp-contract=off,
// --fmad=false).
WINIT_HD float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

WINIT_HD double fused(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return __fma_rn(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}

}  // namespace winit_cuda
