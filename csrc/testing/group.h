// Threads of a block that run in step, 32 or one: their registers and the instructions.
#pragma once

#include <algorithm>
#include <cstring>

#include "testing/access.h"
#include "testing/arithmetic.h"

namespace winit_cuda {
namespace emulation {

constexpr uint32_t kEnded = ~0u;  // where a thread is that has returned

// Some threads of a block, `kWidth` at most.
template <int kWidth>
class Group {
 public:
  // `are_new`: the registers have not been this kernel's yet.
  Group(Block& block, unsigned char* registers, bool are_new, const int* threads, int count)
      : block_(block), registers_(registers) {
    for (int i = 0; i < kWidth; ++i) {
      thread_[i] = i < count ? static_cast<uint32_t>(threads[i]) : 0;
      at_[i] = i < count ? 0 : kEnded;
      on_[i] = false;
    }
    if (are_new) set_constants();
    const uint32_t* places = block.kernel.places;
    std::copy_n(thread_, kWidth, lanes<uint32_t>(places[0]));
    std::fill_n(lanes<uint32_t>(places[1]), kWidth, block.index);
    std::fill_n(lanes<uint32_t>(places[2]), kWidth, block.threads);
    std::fill_n(lanes<uint32_t>(places[3]), kWidth, block.blocks);
  }

  // Until every thread waits at a barrier or has ended.
  void run() {
    while (choose()) step_until_parted();
  }

  int waiting() const {
    return static_cast<int>(std::count(std::begin(waits_), std::end(waits_), true));
  }
  // The barrier that a thread waits at; the first one's where there are several.
  const uint32_t* waits_at() const {
    for (int i = 0; i < kWidth; ++i)
      if (waits_[i]) return &at_[i];
    return nullptr;
  }
  bool waits_elsewhere(uint32_t barrier) const {
    for (int i = 0; i < kWidth; ++i)
      if (waits_[i] && at_[i] != barrier) return true;
    return false;
  }
  void go_on() { std::fill(std::begin(waits_), std::end(waits_), false); }

 private:
  // Puts those threads on that are furthest behind. `next_` is where others stand.
  bool choose() {
    here_ = next_ = kEnded;
    for (int i = 0; i < kWidth; ++i)
      if (!waits_[i]) here_ = std::min(here_, at_[i]);
    if (here_ == kEnded) return false;
    all_on_ = true;
    for (int i = 0; i < kWidth; ++i) {
      on_[i] = !waits_[i] && at_[i] == here_;
      all_on_ = all_on_ && on_[i];
      if (!waits_[i] && !on_[i]) next_ = std::min(next_, at_[i]);
    }
    return true;
  }

  void move_to(uint32_t instruction) {
    for (int i = 0; i < kWidth; ++i)
      if (on_[i]) at_[i] = instruction;
  }

  void step_until_parted() {
    while (here_ < next_) {
      const Instruction& instruction = block_.kernel.instructions[here_];
      switch (instruction.operation) {
        case Operation::bra:
          if (!branch(instruction)) return;
          break;
        case Operation::bar_sync:
        case Operation::ret:
          return stop(instruction);
        default:
          if (instruction.guard == kNoRegister)
            execute(instruction);
          else
            execute_guarded(instruction);
          ++here_;
      }
    }
    move_to(here_);
  }

  bool passes(const Instruction& instruction, int lane) const {
    if (instruction.guard == kNoRegister) return true;
    const uint32_t value = read<uint32_t>(instruction.guard, lane);
    return value != instruction.guarded_by_zero;
  }

  // False: the threads part.
  bool branch(const Instruction& instruction) {
    const auto target = static_cast<uint32_t>(instruction.immediate);
    int jump = 0, stay = 0;
    for (int i = 0; i < kWidth; ++i)
      if (on_[i]) ++(passes(instruction, i) ? jump : stay);
    if (jump == 0 || stay == 0) {
      here_ = jump == 0 ? here_ + 1 : target;
      return true;
    }
    for (int i = 0; i < kWidth; ++i)
      if (on_[i]) at_[i] = passes(instruction, i) ? target : here_ + 1;
    return false;
  }

  void stop(const Instruction& instruction) {
    for (int i = 0; i < kWidth; ++i) {
      if (!on_[i]) continue;
      const bool stops = passes(instruction, i), ends = instruction.operation == Operation::ret;
      at_[i] = stops && ends ? kEnded : here_ + 1;
      waits_[i] = stops && !ends;
    }
  }

  void execute_guarded(const Instruction& instruction) {
    bool on[kWidth];
    std::copy(std::begin(on_), std::end(on_), on);
    const bool all_on = all_on_;
    for (int i = 0; i < kWidth; ++i) {
      on_[i] = on_[i] && passes(instruction, i);
      all_on_ = all_on_ && on_[i];
    }
    execute(instruction);
    std::copy(on, on + kWidth, on_);
    all_on_ = all_on;
  }

  // ------------------------------------------------------------------------- registers

  void set_constants() {
    for (const Constant& constant : block_.kernel.constants) {
      if (constant.bytes == 8)
        std::fill_n(lanes<uint64_t>(constant.at), kWidth, constant.value);
      else if (constant.bytes == 4)
        std::fill_n(lanes<uint32_t>(constant.at), kWidth, static_cast<uint32_t>(constant.value));
      else
        std::fill_n(lanes<uint16_t>(constant.at), kWidth, static_cast<uint16_t>(constant.value));
    }
  }
  template <class T>
  T* lanes(uint32_t reg) {
    return reinterpret_cast<T*>(registers_ + uint64_t{reg} * kWidth);
  }
  template <class T>
  T read(uint32_t reg, int lane) const {
    return reinterpret_cast<const T*>(registers_ + uint64_t{reg} * kWidth)[lane];
  }

  template <class T, class Value>
  void write(uint32_t reg, const Value& value) {
    T* result = lanes<T>(reg);
    if (all_on_) {
#pragma GCC ivdep
      for (int i = 0; i < kWidth; ++i) result[i] = static_cast<T>(value(i));
    } else {
      for (int i = 0; i < kWidth; ++i)
        if (on_[i]) result[i] = static_cast<T>(value(i));
    }
  }

  template <class T>
  T divisor(T value) const {
    if (value == 0) throw Fault("a division by zero");
    return value;
  }

  void execute(const Instruction& instruction) {
    const uint32_t* r = instruction.registers;
    switch (instruction.operation) {
#define OPERATION(name)
#define OPERATION1(name, R, A, value) \
  case Operation::name: {             \
    const A* first = lanes<A>(r[1]);  \
    write<R>(r[0], [&](int i) -> R {  \
      const A a = first[i];           \
      return value;                   \
    });                               \
    break;                            \
  }
#define OPERATION2(name, R, A, B, value) \
  case Operation::name: {                \
    const A* first = lanes<A>(r[1]);     \
    const B* second = lanes<B>(r[2]);    \
    write<R>(r[0], [&](int i) -> R {     \
      const A a = first[i];              \
      const B b = second[i];             \
      return value;                      \
    });                                  \
    break;                               \
  }
#define OPERATION3(name, R, A, B, C, value) \
  case Operation::name: {                   \
    const A* first = lanes<A>(r[1]);        \
    const B* second = lanes<B>(r[2]);       \
    const C* third = lanes<C>(r[3]);        \
    write<R>(r[0], [&](int i) -> R {        \
      const A a = first[i];                 \
      const B b = second[i];                \
      const C c = third[i];                 \
      return value;                         \
    });                                     \
    break;                                  \
  }
#define OPERATION4(name, R, A, B, C, D, value) \
  case Operation::name: {                      \
    const A* first = lanes<A>(r[1]);           \
    const B* second = lanes<B>(r[2]);          \
    const C* third = lanes<C>(r[3]);           \
    const D* fourth = lanes<D>(r[4]);          \
    write<R>(r[0], [&](int i) -> R {           \
      const A a = first[i];                    \
      const B b = second[i];                   \
      const C c = third[i];                    \
      const D d = fourth[i];                   \
      return value;                            \
    });                                        \
    break;                                     \
  }
#include "testing/operations.h"
      case Operation::ld:
        return each_on([&](int i) { load(instruction, i); });
      case Operation::st:
        return each_on([&](int i) { store(instruction, i); });
      case Operation::atom_add_u32:
        return each_on([&](int i) { add(instruction, i); });
      case Operation::cvta_shared:
        return convert_address(instruction, block_.shared);
      case Operation::cvta_param:
        return convert_address(instruction, block_.parameters);
      default:
        throw Fault("an instruction that the device does not know");
    }
  }

  // ------------------------------------------------------------------------- memory

  template <class Run>
  void each_on(const Run& run) {
    for (int i = 0; i < kWidth; ++i)
      if (on_[i]) run(i);
  }

  // Shared memory and parameters have addresses among all others, too.
  void convert_address(const Instruction& instruction, const unsigned char* base) {
    const uint64_t* offset = lanes<uint64_t>(instruction.registers[1]);
    write<uint64_t>(instruction.registers[0],
                    [&](int i) { return reinterpret_cast<uintptr_t>(base) + offset[i]; });
  }

  uint64_t address_of(const Instruction& instruction, int lane) const {
    const auto offset = static_cast<uint64_t>(instruction.immediate);
    if (instruction.address_bytes == 8)
      return offset + read<uint64_t>(instruction.registers[4], lane);
    return static_cast<uint32_t>(offset + read<uint32_t>(instruction.registers[4], lane));
  }

  template <Access kAccess>
  unsigned char* reach(const Instruction& instruction, int lane, int bytes) {
    return Touch{block_, instruction, thread_[lane], address_of(instruction, lane), bytes}
        .reach<kAccess>();
  }

  void load(const Instruction& instruction, int lane) {
    const int bytes = instruction.bytes;
    const unsigned char* from = reach<Access::kRead>(instruction, lane, instruction.count * bytes);
    if (instruction.count == 1 && bytes == instruction.register_bytes && bytes >= 4) {
      const uint32_t result = instruction.registers[0];
      if (bytes == 4)
        std::memcpy(lanes<uint32_t>(result) + lane, from, 4);
      else
        std::memcpy(lanes<uint64_t>(result) + lane, from, 8);
      return;
    }
    for (int i = 0; i < instruction.count; ++i, from += bytes) {
      if (instruction.registers[i] == kNoRegister) continue;
      uint64_t value = 0;
      std::memcpy(&value, from, static_cast<size_t>(bytes));
      std::memcpy(lane_of(instruction.registers[i], instruction.register_bytes, lane), &value,
                  instruction.register_bytes);
    }
  }

  void store(const Instruction& instruction, int lane) {
    const int bytes = instruction.bytes;
    unsigned char* to = reach<Access::kWrite>(instruction, lane, instruction.count * bytes);
    for (int i = 0; i < instruction.count; ++i, to += bytes)
      std::memcpy(to, lane_of(instruction.registers[i], instruction.register_bytes, lane),
                  static_cast<size_t>(bytes));
  }

  // registers: what was there, what is added, -, -, the address.
  void add(const Instruction& instruction, int lane) {
    unsigned char* cell = reach<Access::kAdd>(instruction, lane, 4);
    uint32_t before;
    std::memcpy(&before, cell, 4);
    const uint32_t after = before + read<uint32_t>(instruction.registers[1], lane);
    std::memcpy(cell, &after, 4);
    if (instruction.registers[0] != kNoRegister)
      lanes<uint32_t>(instruction.registers[0])[lane] = before;
  }

  unsigned char* lane_of(uint32_t reg, int bytes, int lane) {
    return registers_ + uint64_t{reg} * kWidth + static_cast<uint64_t>(lane) * bytes;
  }

  Block& block_;
  unsigned char* registers_;
  uint32_t thread_[kWidth], at_[kWidth];
  bool waits_[kWidth] = {}, on_[kWidth];
  bool all_on_ = false;
  uint32_t here_ = 0, next_ = 0;
};

}  // namespace emulation
}  // namespace winit_cuda
