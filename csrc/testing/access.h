// An access of a thread to memory: where it goes, and the checks that it is the thread's to make.
#pragma once

#include <cstdio>

#include "testing/executor.h"

namespace winit_cuda {
namespace emulation {

// What the groups of a block share.
struct Block {
  const Kernel& kernel;
  DeviceMemory& memory;
  const unsigned char* parameters;
  uint32_t index, blocks, threads;
  unsigned char* shared;
  int64_t shared_bytes;
  Watched& watched_shared;
  Moment moment;
};

// What breaks a rule is a Fault.
struct Touch {
  Block& block;
  const Instruction& instruction;
  uint32_t thread;
  uint64_t address;
  int bytes;  // a power of two

  // Where the bytes are on the host, once the access is checked and noted.
  template <Access kAccess>
  unsigned char* reach() const {
    if ((address & (size() - 1)) != 0) fail("a misaligned access");
    switch (instruction.space) {
      case Space::kShared:
        return reach_shared<kAccess>(address);
      case Space::kParameter:
        return reach_parameter<kAccess>(address);
      case Space::kGeneric: {
        const uint64_t in_shared = address - reinterpret_cast<uintptr_t>(block.shared);
        if (in_shared < static_cast<uint64_t>(block.shared_bytes))
          return reach_shared<kAccess>(in_shared);
        const uint64_t in_parameters = address - reinterpret_cast<uintptr_t>(block.parameters);
        if (in_parameters < static_cast<uint64_t>(block.kernel.parameter_bytes))
          return reach_parameter<kAccess>(in_parameters);
        break;
      }
      case Space::kGlobal:
        break;
    }
    Region* region = block.memory.find(address, bytes, kAccess == Access::kRead);
    if (!region) fail(kAccess == Access::kRead ? "a load out of bounds" : "a store out of bounds");
    if (region->watched && !region->watched->takes(bytes)) region->watch_bytes();
    if (region->watched)
      note<kAccess>(*region->watched, address - region->begin, address, block.moment);
    return reinterpret_cast<unsigned char*>(static_cast<uintptr_t>(address));
  }

 private:
  uint64_t size() const { return static_cast<uint64_t>(bytes); }

  template <Access kAccess>
  unsigned char* reach_shared(uint64_t at) const {
    if (at + size() > static_cast<uint64_t>(block.shared_bytes) ||
        !block.watched_shared.takes(bytes))
      fail("an access outside shared memory", at);
    Moment moment = block.moment;
    moment.launch_began = moment.block_began;  // the blocks before had their own
    note<kAccess>(block.watched_shared, at, at, moment);
    return block.shared + at;
  }

  template <Access kAccess>
  unsigned char* reach_parameter(uint64_t at) const {
    if (kAccess != Access::kRead ||
        at + size() > static_cast<uint64_t>(block.kernel.parameter_bytes))
      fail("an access outside the parameters", at);
    return const_cast<unsigned char*>(block.parameters) + at;
  }

  template <Access kAccess>
  void note(Watched& watched, uint64_t at, uint64_t told, const Moment& moment) const {
    if (!watched.touch<kAccess>(at, bytes, thread, moment))
      fail(kAccess == Access::kRead ? "a race: a load" : "a race: a store", told);
  }

  [[noreturn]] void fail(const char* what) const { fail(what, address); }
  [[noreturn]] void fail(const char* what, uint64_t told) const {
    char text[256];
    std::snprintf(
        text, sizeof(text), "%s of %d bytes at %#llx, by thread %u of block %u, line %u of the PTX",
        what, bytes, static_cast<unsigned long long>(told), thread, block.index, instruction.line);
    throw Fault(text);
  }
};

}  // namespace emulation
}  // namespace winit_cuda
