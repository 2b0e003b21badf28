#include "cuda/fills.h"
#include "orthogonal/batch_kernel.h"
#include "testing/serial_block.h"

namespace winit_cuda {
namespace {

// So little that tests see matrices on either side of it, and fewer blocks than matrices.
constexpr int64_t kSharedLimit = 48 * 1024, kBlocks = 2;

}  // namespace

int64_t orthogonal_batch_workspace_serial(const OrthogonalBatch& batch) {
  return batch_workspace(plan_batch(batch, kSharedLimit), kBlocks);
}

void orthogonal_batch_serial(const OrthogonalBatch& batch) {
  BatchPlan plan = plan_batch(batch, kSharedLimit);
  plan.grid.blocks = std::min(plan.grid.blocks, kBlocks);
  launch_serial_blocks(plan.grid, [&](const SerialBlock& block) {
    make_orthogonal_batch(batch, plan, kQuantileDouble[0], block);
  });
}

}  // namespace winit_cuda
