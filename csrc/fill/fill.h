// What a fill is, and the entry points that do one: on the CPU, on a CUDA device, and the CUDA
// kernels run on the CPU.
#pragma once

#include <cstddef>

#include "fill/box.h"
#include "fill/tiles.h"
#include "platform/stream.h"
#include "values/dtype.h"
#include "values/maps.h"
#include "values/philox.h"

namespace winit_cuda {

// The tensor: memory, element type and elements.
struct Target {
  void* pointer;
  DType dtype;
  Box box;
};

// Where the words come from. The kernels may find their key in memory instead, so that a CUDA graph
// can replay with another one; the CPU fills look at `key` alone.
struct Source {
  StreamKey key;
  const uint64_t* key_pointer;  // (seed, stream) in the target's memory, or null
  Domain domain;
};

enum class Distribution : int {
  kUniform,
  kNormal,
  kTruncNormal,
  kSymmetricTruncNormal,
  kTailNormal
};

// The numbers of a distribution, in the precision the target's dtype computes in.
template <class Real>
union Numbers {
  UniformNumbers<Real> uniform;
  NormalNumbers<Real> normal;
  TruncNormalNumbers<Real> trunc_normal;
  SymmetricTruncNormalNumbers<Real> symmetric_trunc_normal;
  TailNormalNumbers<Real> tail_normal;
};

struct RandomFill {
  Target target;
  Source source;
  Distribution distribution;
  Numbers<float> numbers;          // for every dtype but float64
  Numbers<double> double_numbers;  // for float64
  float rescaling = 1;             // what the map's values are multiplied by, a power of two
};

// A bit pattern of 1, 2, 4 or 8 bytes in every element.
struct ConstantFill {
  void* pointer;
  Box box;
  int itemsize;
  uint64_t bits;
};

// `one` at the elements with k == center and d == o mod rows_per_group and d < limit, where an
// element's index is (o * (row_length / channel_length) + d) * channel_length + k; zero elsewhere.
// The identity of a matrix is the case channel_length = 1, center = 0.
struct DiracFill {
  void* pointer;
  Box box;
  int itemsize;
  uint64_t one;
  int64_t row_length, channel_length, center, rows_per_group, limit;
};

// The place of the one in row `o`, or -1 where the row has none.
WINIT_HD int64_t dirac_column(const DiracFill& fill, int64_t o) {
  const int64_t channel = o % fill.rows_per_group;
  return channel < fill.limit ? channel * fill.channel_length + fill.center : -1;
}

// CPU. `threads` is the most that may be used.
void fill_cpu(const RandomFill& fill, int threads);
void fill_cpu(const ConstantFill& fill, int threads);
void fill_cpu(const DiracFill& fill, int threads);
// Local elements [begin, end), in row-major order, on the calling thread; the caller sees to the
// floating-point environment. Of a random fill's source `key` and `domain` count.
void fill_range_cpu(const RandomFill& fill, int64_t begin, int64_t end);
void fill_range_cpu(const ConstantFill& fill, int64_t begin, int64_t end);
// The same for tiles of a fill whose box has them (fill/tiles.h).
void fill_tiles_cpu(const RandomFill& fill, const Tiles& tiles, int64_t begin, int64_t end);

// The CUDA kernels run on CPU memory, thread by thread (testing/serial.cpp).
void fill_serial(const RandomFill& fill);
void fill_serial(const ConstantFill& fill);
void fill_serial(const DiracFill& fill);

// CUDA. A build without it throws std::runtime_error, here and wherever a name ends in _cuda.
void fill_cuda(const RandomFill& fill, const Launch& launch);
void fill_cuda(const ConstantFill& fill, const Launch& launch);
void fill_cuda(const DiracFill& fill, const Launch& launch);

// The bare words of a stream, for tests of the engine.
void words_cpu(const StreamKey& key, Domain domain, uint64_t index, int64_t count, uint32_t* words);
void words_serial(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
                  uint32_t* words);
void words_cuda(const StreamKey& key, Domain domain, uint64_t index, int64_t count, uint32_t* words,
                const Launch& launch);

// (seed, stream) of children 0, 1, ... of the source's key (values/child_key.h).
void split_keys_serial(const Source& source, int64_t count, uint64_t* words);
void split_keys_cuda(const Source& source, int64_t count, uint64_t* words, const Launch& launch);

// The instruction sets of the CPU fills.
const char* simd_active();
bool simd_usable(const char* name);
void simd_force(const char* name);  // null: the best one again

}  // namespace winit_cuda
