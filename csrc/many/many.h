// One fill of many tensors: a list of fills of one device, set up once, run as often as wanted,
// each time with other keys. Every value is the one that the fill alone would write.
//
// On the CPU the list is one stretch of work that the threads share (many/cpu.cpp). On CUDA it is
// one launch (many/cuda.cu), whose descriptors many/layout.h lays out.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>

#include "fill/fill.h"
#include "platform/memory.h"
#include "values/child_key.h"
#include "values/distributions.h"

namespace winit_cuda {

// A bit pattern of 1, 2, 4 or 8 bytes in every element. Constants of one tensor are torch's work.
struct ConstantFill {
  void* pointer;
  Box box;
  int itemsize;
  uint64_t bits;
};

// Calls visit(Type<T>) with an unsigned integer of the item size.
WINIT_CALLS_EITHER
template <class Visit>
WINIT_HD void with_itemsize(int itemsize, const Visit& visit) {
  switch (itemsize) {
    case 1:
      return visit(Type<uint8_t>{});
    case 2:
      return visit(Type<uint16_t>{});
    case 4:
      return visit(Type<uint32_t>{});
    default:
      return visit(Type<uint64_t>{});
  }
}

// Each has at least one element. A random fill's `source` says nothing: its key comes with the run.
struct FillList {
  using Fill = std::variant<RandomFill, ConstantFill>;
  Vector<Fill> fills;
  Vector<std::shared_ptr<const void>> tables;  // that fills point into

  void add(const Target& target, const OwnedLaw& law);
  void add(const ConstantFill& fill);
};

// A fill and the memory that it writes, which may be other than its own.
struct PlacedFill {
  const FillList::Fill* fill;
  void* pointer;
  int64_t bytes;  // that it surely writes: all of a contiguous one, the first element of another
  int64_t units;  // of work on the CPU
};
PlacedFill placed(const FillList::Fill& fill);

// Fills that run together.
struct PlacedFills {
  Vector<PlacedFill> fills;
  Vector<int64_t> starts;  // of the fills in the work of all, and where that ends

  void reserve(size_t count);
  void add(const PlacedFill& fill);
};

// Two fills that write the same memory, by their numbers: which of them came last would be left to
// chance. Seen are fills that begin at one address, and contiguous ones that overlap at all;
// strided views of one memory may well lie between each other. The fills of all lists are counted,
// one list after the other.
struct Overlap {
  size_t first, second;
};
std::optional<Overlap> find_overlap(std::initializer_list<const PlacedFills*> lists);

// The keys of a run, which threads ask for as they come to a fill. It owns nothing.
class ListKeys {
 public:
  // Two words (seed, stream) for each fill in turn.
  explicit ListKeys(const uint64_t* words) : words_(words) {}
  // The children of a key with these names, one for each fill in turn.
  ListKeys(const StreamKey& parent, const std::string_view* names)
      : parent_(parent), names_(names) {}

  StreamKey operator[](size_t fill) const {
    if (words_) return make_stream_key(words_[2 * fill], words_[2 * fill + 1]);
    return StreamKey{parent_.rounds, named_stream(seed_of(parent_), parent_.stream, names_[fill])};
  }

 private:
  const uint64_t* words_ = nullptr;
  StreamKey parent_{};
  const std::string_view* names_ = nullptr;
};

// Fails at nothing. The keys of constants are not looked at.
void fill_many_cpu(const PlacedFills& list, const ListKeys& keys, int threads);

}  // namespace winit_cuda
