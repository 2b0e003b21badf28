// The memory that an emulated kernel may touch, and who has touched it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace winit_cuda {
namespace emulation {

enum class Access { kRead, kWrite, kAdd };

// Which thread, of which block of which launch, between which two barriers. `moment` grows from
// barrier to barrier, block to block and launch to launch.
struct Moment {
  uint32_t launch_began, block_began, now;
};

// Who read and wrote last, for each unit of 2^unit_bits bytes. Two threads at one unit, one of
// which writes, are a race where no barrier stands between them, or where they belong to two blocks
// of one launch; integers may be added to by all. A page that nobody touches costs nothing.
class Watched {
 public:
  static constexpr int kWord = 2, kByte = 0;  // bits of a unit
  explicit Watched(uint64_t bytes, int unit_bits = kWord);
  bool takes(int count) const { return count >> unit_bits_ > 0; }

  // Whether an access of a thread to `count` bytes from `at` on is no race. They are whole units.
  template <Access kAccess>
  bool touch(uint64_t at, int count, uint32_t thread, const Moment& moment) {
    bool right = true;
    Touch* const end = &touches_[(at + static_cast<uint64_t>(count)) >> unit_bits_];
    for (Touch* touch = &touches_[at >> unit_bits_]; touch != end; ++touch)
      right = note<kAccess>(*touch, thread, moment) && right;
    return right;
  }

 private:
  // Readers: several threads, threads of several blocks. Writers: one that only added.
  static constexpr uint32_t kSeveral = ~0u, kSeveralBlocks = ~0u - 1, kAdding = 1u << 31;

  struct Touch {
    uint32_t written, writer, read, reader;
  };

  // Whether no barrier stands between `thread` and another one that was there at `when`.
  static bool meets(uint32_t when, uint32_t other, uint32_t thread, const Moment& moment) {
    if (when < moment.launch_began) return false;
    return when < moment.block_began || other == kSeveralBlocks ||
           (when == moment.now && other != thread);
  }

  template <Access kAccess>
  static bool note(Touch& touch, uint32_t thread, const Moment& moment) {
    const bool both_add = kAccess == Access::kAdd && (touch.writer & kAdding);
    bool right = both_add || !meets(touch.written, touch.writer & ~kAdding, thread, moment);
    if constexpr (kAccess != Access::kRead) {
      right = right && !meets(touch.read, touch.reader, thread, moment);
      touch.written = moment.now;
      touch.writer = kAccess == Access::kAdd ? thread | kAdding : thread;
      return right;
    }
    if (touch.read != moment.now)
      touch.reader = meets(touch.read, touch.reader, thread, moment) ? kSeveralBlocks : thread;
    else if (touch.reader != thread && touch.reader != kSeveralBlocks)
      touch.reader = kSeveral;
    touch.read = moment.now;
    return right;
  }

  struct Release {
    uint64_t bytes;
    void operator()(Touch* touches) const;
  };
  int unit_bits_;
  std::unique_ptr<Touch[], Release> touches_;
};

// A stretch of memory.
struct Region {
  uint64_t begin, end;
  bool writable;
  std::shared_ptr<Watched> watched;  // or null, where nothing writes
  bool is_written = false;           // by the launch that runs;
  std::string before = {};           // what was there then

  // From the first access to less than a word on.
  void watch_bytes() { watched = std::make_shared<Watched>(end - begin, Watched::kByte); }
  bool holds(uint64_t address, int count) const {
    return address >= begin && address + static_cast<uint64_t>(count) <= end;
  }
};

// The bytes of some regions, by where they begin.
using Contents = std::map<uint64_t, std::string>;

// The device's own memory: what tests hand over, and the tables of the program. Address space that
// a test has reserved for the sake of its strides is not copied.
class DeviceMemory {
 public:
  void add(uint64_t begin, uint64_t bytes, bool writable);
  void remove(uint64_t begin);
  // Null where the bytes lie in no region that may be read, or written.
  Region* find(uint64_t address, int count, bool is_read);

  void begin_launch();
  // What the launch has written, whether it is this, and the way back to what was there before.
  Contents written() const;
  bool has(const Contents& contents) const;
  void restore() const;

 private:
  std::vector<Region> regions_;
  size_t last_ = 0;
};

}  // namespace emulation
}  // namespace winit_cuda
