// What a fill is, and the entry points that do one: on the CPU, on a CUDA device, and the CUDA
// kernels run on the CPU.
#pragma once

#include <cstddef>

#include "fill/box.h"
#include "fill/tiles.h"
#include "platform/stream.h"
#include "values/dtype.h"
#include "values/law.h"
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

struct RandomFill {
  Target target;
  Source source;
  Law law;
};

// Gives the key of a fill when all else is there: from the draw on nothing fails, so that after an
// error neither the generator nor the tensor has changed. Called once. It refers to the caller's
// callable and owns nothing.
class KeyDraw {
 public:
  template <class Callable>
  KeyDraw(const Callable& callable) : callable_(&callable), call_(&call<Callable>) {}

  StreamKey operator()() const { return call_(callable_); }

 private:
  template <class Callable>
  static StreamKey call(const void* callable) {
    return (*static_cast<const Callable*>(callable))();
  }

  const void* callable_;
  StreamKey (*call_)(const void*);
};

// CPU. `threads` is the most that may be used.
void fill_cpu(const RandomFill& fill, int threads);
// Local elements [begin, end), in row-major order, on the calling thread; the caller sees to the
// floating-point environment. Of the source `key` and `domain` count.
void fill_range_cpu(const RandomFill& fill, int64_t begin, int64_t end);
// The same for tiles of a fill whose box has them (fill/tiles.h).
void fill_tiles_cpu(const RandomFill& fill, const Tiles& tiles, int64_t begin, int64_t end);

// CUDA. A build without it throws std::runtime_error, here and wherever a name ends in _cuda.
void fill_cuda(const RandomFill& fill, const Launch& launch);

// The bare words of a stream, for tests of the engine.
void words_cpu(const StreamKey& key, Domain domain, uint64_t index, int64_t count, uint32_t* words);
void words_cuda(const StreamKey& key, Domain domain, uint64_t index, int64_t count, uint32_t* words,
                const Launch& launch);

// (seed, stream) of children 0, 1, ... of a key (values/child_key.h).
void split_keys_cpu(const StreamKey& key, int64_t count, uint64_t* words);
void split_keys_cuda(const Source& source, int64_t count, uint64_t* words, const Launch& launch);

}  // namespace winit_cuda
