// Runs the blocks of one launch of a kernel, instruction by instruction, many threads at a time.
//
// The threads of a block go in groups. A group runs those of its threads that are furthest behind,
// in step with each other, so that threads that part meet again; at a barrier it waits until every
// group has come. What runs beside what says nothing about a real device, where any order is
// possible: the order of threads and of blocks, and how many go in step, are to be chosen, and
// every access is checked: bounds, alignment, races. What breaks a rule ends the launch with a
// message.
#pragma once

#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "testing/memory.h"
#include "testing/program.h"

namespace winit_cuda {
namespace emulation {

// What a kernel did wrong.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Order : int { kForward, kBackward, kRandom };

struct LaunchShape {
  uint32_t blocks, threads;
  int64_t shared_bytes;  // beside the kernel's own
};

// The threads in step: many for speed, one for every order that the barriers allow.
constexpr int kInStep = 32;

// What a block of a launch has while it runs, kept from launch to launch.
struct Room {
  std::unique_ptr<uint64_t[]> registers;
  size_t register_words = 0;
  std::vector<uint64_t> shared;
  std::unique_ptr<Watched> watched_shared;
  uint32_t moment = 0;
};

// Throws Fault.
void run(const Kernel& kernel, const LaunchShape& shape, const unsigned char* parameters,
         DeviceMemory& memory, Room& room, Order order, bool in_step, std::mt19937& random);

}  // namespace emulation
}  // namespace winit_cuda
