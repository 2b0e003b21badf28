#include "platform/faults.h"

#include <atomic>

namespace winit_cuda {
namespace {

std::atomic<int64_t> passing_of[] = {{-1}, {-1}, {-1}};

}  // namespace

void inject(Fault fault, int64_t passing) { passing_of[static_cast<int>(fault)].store(passing); }

bool fails(Fault fault) {
  std::atomic<int64_t>& passing = passing_of[static_cast<int>(fault)];
  return passing.load(std::memory_order_relaxed) >= 0 && passing.fetch_sub(1) == 0;
}

}  // namespace winit_cuda
