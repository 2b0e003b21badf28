// What one CUDA launch is told of the tensors it fills: plain bytes, that lie among the kernel's
// parameters or in device memory.
//
// A ManyHeader; a ManyTensor for each tensor; then, at offsets from `shared`, what tensors have in
// common or seldom have: the numbers of laws, Rows of strided tensors, tables of one-sided
// truncated laws. A contiguous tensor whose law another one has too takes 56 bytes.
#pragma once

#include <cstddef>
#include <vector>

#include "many/many.h"

namespace winit_cuda {

struct ManyHeader {
  uint32_t tiles;  // of all tensors
  uint32_t tensors;
  uint32_t shared;  // bytes from the header on
  uint32_t unused;
};

constexpr uint32_t kNowhere = ~0u;  // an offset

// A tensor has a grid of its own, whose blocks are called tiles here. A block of the launch runs
// some tiles, of one tensor or of several. 2^32 tiles are more than any device's memory.
struct ManyTensor {
  void* pointer;
  int64_t count;          // elements, of a tensor without rows
  uint64_t index_offset;  // of its first element
  uint64_t seed_or_bits;  // a constant has bits in place of a key
  uint64_t stream;
  uint32_t first_tile;  // how many tiles the tensors before it have
  uint32_t numbers;     // offset of its PackedNumbers; a constant has none
  uint32_t rows;        // offset of its Rows, unless it is contiguous and aligned
  uint8_t dtype;        // a DType; of a constant: its item size
  uint8_t law;          // a listed Distribution (many/maps.h), or kConstant
};
constexpr uint8_t kConstant = 0xFF;
static_assert(sizeof(ManyTensor) == 56, "no more than it has to be: parameters are few");

template <class N>
struct PackedNumbers {
  N numbers;        // without the pointer to the table
  uint32_t table;   // offset of the law's own table of quantiles; kNowhere: the normal law's
  float rescaling;  // as in Law
};

// The fills [first, first + count) of a list, but for the keys.
struct ManyDescriptors {
  size_t first, count;
  uint32_t tiles;
  std::vector<unsigned char> bytes;
};

// As many fills from `first` on as `capacity` bytes hold, at least one.
ManyDescriptors describe(const FillList& list, size_t first, size_t capacity);

// Copies the descriptors to `out` with the keys of a run; `keys` are those of the whole list, or
// null where the kernel reads them from elsewhere.
void write_descriptors(const ManyDescriptors& descriptors, const uint64_t* keys,
                       unsigned char* out);

// How much of the descriptors goes into a kernel's parameters: from CUDA 12.1 on, on Volta and
// later, these take up to 32,764 bytes, of which two pointers lie in front.
constexpr size_t kParameterBytes = 32764;
constexpr size_t kDescriptorBytes = (kParameterBytes - 2 * sizeof(void*)) / 16 * 16;

// The keys of a run, two words for each fill of the list in turn: at hand, or in the memory of the
// device, for the kernel to read. The other pointer is null.
struct ManyKeys {
  const uint64_t* here;
  const uint64_t* there;
};

// Fills what `descriptors` say. `memory` is where write_descriptors has put them for the device to
// read; null passes them, at most kDescriptorBytes, among the kernel's parameters. No call
// allocates, copies or waits, so all of it may be captured in a CUDA graph.
void fill_many_cuda(const ManyDescriptors& descriptors, const ManyKeys& keys,
                    const unsigned char* memory, const Launch& launch);

}  // namespace winit_cuda
