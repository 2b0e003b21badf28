// What the bindings of all fills share: the arguments that each begins with, and what they mean.
#pragma once

#include <pybind11/pybind11.h>

#include "bindings/box.h"
#include "fill/fill.h"
#include "platform/floating_point.h"
#include "values/distributions.h"

namespace winit_cuda {

// The arguments that every fill begins with.
struct Place {
  uintptr_t pointer;
  int dtype;
  int64_t count;
  pybind11::handle box;
  int device;
  uintptr_t stream;
  int threads;
  DefaultFloatingPoint environment = {};  // for as long as the fill is set up and runs

  Target target() const {
    return {reinterpret_cast<void*>(pointer), dtype_of(dtype), box_of(count, box, true)};
  }
};

inline Source source_of(int device, uintptr_t key_pointer, uint64_t seed, uint64_t stream) {
  const uint64_t* words = reinterpret_cast<const uint64_t*>(key_pointer);
  if (words && device == kCpu)
    return {make_stream_key(words[0], words[1]), nullptr, Domain::kElement};
  return {make_stream_key(seed, stream), words, Domain::kElement};
}

inline RandomFill random_fill(const Target& target, const Source& source,
                              const DistributionNumbers& numbers) {
  RandomFill fill{};
  fill.target = target;
  fill.source = source;
  numbers.put_into(fill);
  return fill;
}

// Each binding spells out the common arguments once, by this.
#define WINIT_PLACE                                                              \
  uintptr_t pointer, int dtype, int64_t numel, pybind11::handle box, int device, \
      uintptr_t cuda_stream, int threads
#define WINIT_GIVEN_PLACE \
  Place { pointer, dtype, numel, box, device, cuda_stream, threads }
#define WINIT_KEY uintptr_t key_pointer, uint64_t seed, uint64_t stream

}  // namespace winit_cuda
