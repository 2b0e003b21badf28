#include "orthogonal/batch.h"

#include "orthogonal/orthogonal.h"
#include "platform/floating_point.h"
#include "platform/parallel.h"
#include "values/child_key.h"

namespace winit_cuda {

void orthogonal_batch_cpu(const OrthogonalBatch& batch, int threads) {
  const auto make = [&](int64_t j, int threads_of_one) {
    const Source source{child_of(batch.source.key, static_cast<uint64_t>(j)), nullptr,
                        Domain::kElement};
    orthogonal_cpu({batch.target, source, batch.rows, batch.columns, 0, batch.rows, 0,
                    batch.columns, batch.gain, j * batch.rows * batch.columns},
                   threads_of_one);
  };
  if (batch.count < threads) {
    for (int64_t j = 0; j < batch.count; ++j) make(j, threads);
    return;
  }
  parallel_for(batch.count, 1, threads, [&](int64_t begin, int64_t end) {
    const DefaultFloatingPoint environment;
    for (int64_t j = begin; j < end; ++j) make(j, 1);
  });
}

}  // namespace winit_cuda
