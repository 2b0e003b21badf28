// The SparseSimd of the instruction set that the fills use.
#pragma once

#include <cstring>

#include "sparse/lanes.h"

namespace winit_cuda {

static inline const SparseSimd& active_sparse_simd() {
  const char* name = simd_active();
#if defined(__x86_64__)
  if (std::strcmp(name, kAvx512Sparse.name) == 0) return kAvx512Sparse;
  if (std::strcmp(name, kAvx2Sparse.name) == 0) return kAvx2Sparse;
#elif defined(__aarch64__)
  if (std::strcmp(name, kNeonSparse.name) == 0) return kNeonSparse;
#endif
  static_cast<void>(name);
  return kPortableSparse;
}

}  // namespace winit_cuda
