// The instruction sets of the CPU's fills, and the one of them that is in use.
//
// Each operation has a table of what depends on it (passes.h). CMakeLists.txt compiles the
// operation's isa.cpp once for each instruction set, and each fills in a row. Which row counts is
// decided here and nowhere else.
#pragma once

#include <type_traits>
#include <vector>

// Calls X(name) for each instruction set of the processor's family.
#if defined(__x86_64__)
#define WINIT_FOR_EACH_ISA(X) X(portable) X(sse2) X(avx2) X(avx512)
#elif defined(__aarch64__)
#define WINIT_FOR_EACH_ISA(X) X(portable) X(neon)
#else
#define WINIT_FOR_EACH_ISA(X) X(portable)
#endif

namespace winit_cuda {

// A processor that has one has those before it.
enum class Isa : int {
#define WINIT_ISA_NAME(name) name,
  WINIT_FOR_EACH_ISA(WINIT_ISA_NAME)
#undef WINIT_ISA_NAME
};

template <Isa isa>
using IsaOf = std::integral_constant<Isa, isa>;

// The best one of this processor, unless another was chosen.
Isa active_isa();

// What row(IsaOf<isa>) returns, a pointer, for the one in use.
template <class Row>
static inline auto of_active_isa(const Row& row) {
  switch (active_isa()) {
#define WINIT_ISA_CASE(name) \
  case Isa::name:            \
    return row(IsaOf<Isa::name>{});
    WINIT_FOR_EACH_ISA(WINIT_ISA_CASE)
#undef WINIT_ISA_CASE
  }
  return row(IsaOf<Isa::portable>{});
}

// By name, for information and tests.
std::vector<const char*> isa_names();  // of this processor
const char* active_isa_name();
void choose_isa(const char* name);  // null: the best one again

}  // namespace winit_cuda
