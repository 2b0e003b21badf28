#include "testing/executor.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "testing/group.h"

namespace winit_cuda {
namespace emulation {
namespace {

void put_in_order(std::vector<int>& numbers, Order order, std::mt19937& random) {
  std::iota(numbers.begin(), numbers.end(), 0);
  if (order == Order::kBackward) std::reverse(numbers.begin(), numbers.end());
  if (order == Order::kRandom) std::shuffle(numbers.begin(), numbers.end(), random);
}

// Every thread comes to the same barrier, or none does.
template <class Groups>
bool all_wait(const Groups& groups, int threads) {
  int waiting = 0;
  const uint32_t* barrier = nullptr;
  for (const auto& group : groups) {
    waiting += group.waiting();
    if (!barrier) barrier = group.waits_at();
  }
  if (waiting == 0) return false;
  if (waiting != threads)
    throw Fault(std::to_string(waiting) + " of " + std::to_string(threads) +
                " threads of a block wait at a barrier; the others have ended");
  for (const auto& group : groups)
    if (group.waits_elsewhere(*barrier))
      throw Fault("threads of a block wait at different barriers");
  return true;
}

// Aligned for vectors; nothing is in it.
unsigned char* registers_of(Room& room, int64_t bytes) {
  const auto words = static_cast<size_t>(bytes / 8 + 8);
  if (words > room.register_words) {
    room.registers.reset(new uint64_t[words]);
    room.register_words = words;
  }
  auto* first = reinterpret_cast<unsigned char*>(room.registers.get());
  return first + (64 - reinterpret_cast<uintptr_t>(first) % 64) % 64;
}

template <int kWidth>
void run_block(Block& block, const std::vector<int>& threads, Room& room, bool is_first) {
  const int count = static_cast<int>(threads.size());
  const int groups = (count + kWidth - 1) / kWidth;
  // Where nothing waits, the groups run one after the other in the same registers.
  const bool apart = block.kernel.has_barrier;
  const int64_t bytes = (block.kernel.lane_bytes * kWidth + 63) / 64 * 64;
  unsigned char* registers = registers_of(room, bytes * (apart ? groups : 1));
  const auto make = [&](int group) {
    const int begin = group * kWidth;
    return Group<kWidth>(block, registers + (apart ? group : 0) * bytes,
                         is_first && (apart || group == 0), &threads[begin],
                         std::min(kWidth, count - begin));
  };
  if (!apart) {
    for (int group = 0; group < groups; ++group) make(group).run();
    return;
  }
  std::vector<Group<kWidth>> all;
  for (int group = 0; group < groups; ++group) all.push_back(make(group));
  do {
    for (Group<kWidth>& group : all) group.go_on();
    for (Group<kWidth>& group : all) group.run();
    block.moment.now = ++room.moment;
  } while (all_wait(all, count));
}

}  // namespace

void run(const Kernel& kernel, const LaunchShape& shape, const unsigned char* parameters,
         DeviceMemory& memory, Room& room, Order order, bool in_step, std::mt19937& random) {
  constexpr int64_t kMostShared = 256 * 1024;
  if (!room.watched_shared) {
    room.watched_shared = std::make_unique<Watched>(kMostShared);
    room.shared.resize(kMostShared / 8 + 1);
  }
  auto* shared = reinterpret_cast<unsigned char*>(room.shared.data());
  shared += reinterpret_cast<uintptr_t>(shared) % 16;
  const int64_t shared_bytes = kernel.dynamic_shared_offset + shape.shared_bytes;
  std::vector<int> blocks(shape.blocks), threads(shape.threads);
  put_in_order(blocks, order, random);
  const uint32_t launch_began = ++room.moment;
  for (const int index : blocks) {
    std::memset(shared, 0xFF, static_cast<size_t>(shared_bytes));  // NaN, and no small number
    put_in_order(threads, order, random);
    ++room.moment;
    Block block{kernel,
                memory,
                parameters,
                static_cast<uint32_t>(index),
                shape.blocks,
                shape.threads,
                shared,
                shared_bytes,
                *room.watched_shared,
                Moment{launch_began, room.moment, room.moment}};
    const bool is_first = index == blocks[0];
    if (in_step)
      run_block<kInStep>(block, threads, room, is_first);
    else
      run_block<1>(block, threads, room, is_first);
  }
}

}  // namespace emulation
}  // namespace winit_cuda
