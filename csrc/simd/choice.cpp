#include "simd/choice.h"

#include <atomic>
#include <stdexcept>
#include <string>

namespace winit_cuda {
namespace {

constexpr const char* kNames[] = {
#define WINIT_ISA_NAME(name) #name,
    WINIT_FOR_EACH_ISA(WINIT_ISA_NAME)
#undef WINIT_ISA_NAME
};

Isa best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  // F16C is older than AVX2, and some compilers do not know its name here.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512cd"))
    return Isa::avx512;
  return avx2 ? Isa::avx2 : Isa::sse2;  // which all of the family have
#elif defined(__aarch64__)
  return Isa::neon;
#else
  return Isa::portable;
#endif
}

const Isa kBest = best_isa();
std::atomic<Isa> active{kBest};

}  // namespace

Isa active_isa() { return active.load(std::memory_order_relaxed); }

std::vector<const char*> isa_names() { return {kNames, kNames + static_cast<int>(kBest) + 1}; }

const char* active_isa_name() { return kNames[static_cast<int>(active_isa())]; }

void choose_isa(const char* name) {
  if (!name) return active.store(kBest);
  for (int isa = 0; isa <= static_cast<int>(kBest); ++isa)
    if (std::string(name) == kNames[isa]) return active.store(static_cast<Isa>(isa));
  throw std::invalid_argument(std::string("set_simd: '") + name +
                              "' is not an instruction set this build and processor can use");
}

}  // namespace winit_cuda
