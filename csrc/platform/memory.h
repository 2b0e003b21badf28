// The memory of the CPU core: all that a call needs, got before anything is drawn or written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

namespace winit_cuda {

// Sizes are never negative and do not wrap: those that are too large stay at kTooLarge, and no
// memory has that.
constexpr int64_t kTooLarge = std::numeric_limits<int64_t>::max();
inline int64_t times(int64_t a, int64_t b) {
  return b > 0 && a > kTooLarge / b ? kTooLarge : a * b;
}
inline int64_t plus(int64_t a, int64_t b) { return a > kTooLarge - b ? kTooLarge : a + b; }
// The next multiple of `unit`.
inline int64_t rounded_up(int64_t size, int64_t unit) { return plus(size, unit - 1) / unit * unit; }

// Names the bytes that could not be had. Needs no memory itself.
class OutOfMemory : public std::exception {
 public:
  explicit OutOfMemory(int64_t bytes);
  const char* what() const noexcept override { return text_; }

 private:
  char text_[64];
};

class MemoryBlock {
 public:
  explicit MemoryBlock(size_t bytes);
  ~MemoryBlock();
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;

  void* place() const { return place_; }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  void* place_;
};

struct KeepBlock {
  void operator()(MemoryBlock* block) const;
};
using Memory = std::unique_ptr<MemoryBlock, KeepBlock>;

// Memory that begins with a line of the cache and is not written: threads that write to it first
// share the work of getting it. Large rooms ask for huge pages, which cost the system a hundredth
// of the time that small ones do. Throws OutOfMemory.
//
// The largest block of up to 64 MB is kept for the next room: a model has many matrices of a size,
// and getting memory takes a tenth of the time that a tall one does. The system may take back what
// is in it meanwhile.
Memory get_memory(int64_t bytes);

// Gives back what is kept, and says how many bytes that were.
size_t free_kept_memory();

// Rooms one behind the other in one block, each from a line of the cache on. Without a block they
// are only counted: whatever works in rooms is made once without, to learn how many bytes it needs,
// and then with them.
class Rooms {
 public:
  static constexpr int64_t kLine = 64;

  Rooms() = default;
  explicit Rooms(void* block) : block_(static_cast<unsigned char*>(block)) {}

  template <class T>
  T* get(int64_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= kLine);
    const int64_t begin = bytes_;
    const int64_t bytes = times(count, static_cast<int64_t>(sizeof(T)));
    bytes_ = plus(bytes_, rounded_up(bytes, kLine));
    return block_ ? reinterpret_cast<T*>(block_ + begin) : nullptr;
  }
  int64_t bytes() const { return bytes_; }

 private:
  unsigned char* block_ = nullptr;
  int64_t bytes_ = 0;
};

// Small memory, for lists that grow. Throws OutOfMemory.
void* get_piece(int64_t bytes);
void free_piece(void* piece);

template <class T>
struct PieceAllocator {
  using value_type = T;
  PieceAllocator() = default;
  template <class Other>
  PieceAllocator(const PieceAllocator<Other>&) {}

  T* allocate(size_t count) {
    static_assert(alignof(T) <= alignof(std::max_align_t));
    return static_cast<T*>(
        get_piece(times(static_cast<int64_t>(count), static_cast<int64_t>(sizeof(T)))));
  }
  void deallocate(T* piece, size_t) { free_piece(piece); }

  template <class Other>
  bool operator==(const PieceAllocator<Other>&) const {
    return true;
  }
  template <class Other>
  bool operator!=(const PieceAllocator<Other>&) const {
    return false;
  }
};
template <class T>
using Vector = std::vector<T, PieceAllocator<T>>;

}  // namespace winit_cuda
