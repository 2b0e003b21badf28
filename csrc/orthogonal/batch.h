// Many small orthogonal matrices at once, each of a key of its own.
#pragma once

#include "fill/fill.h"

namespace winit_cuda {

// Matrix j of `count` is gain Q for child j (values/child_key.h) of the source's key, with Q as in
// orthogonal.h: its row-major elements are those of the target's box from j rows columns on,
// counted in the row-major order of the box.
struct OrthogonalBatch {
  Target target;
  Source source;
  int64_t count, rows, columns;
  double gain;
  double* workspace;  // of orthogonal_batch_workspace bytes, in the target's memory
};

// The kernels take matrices whose longer and shorter side are at most these.
constexpr int64_t kBatchLongest = 1024, kBatchShortest = 256;

void orthogonal_batch_cpu(const OrthogonalBatch& batch, int threads);
void orthogonal_batch_serial(const OrthogonalBatch& batch);
void orthogonal_batch_cuda(const OrthogonalBatch& batch, const Launch& launch);
int64_t orthogonal_batch_workspace_serial(const OrthogonalBatch& batch);
int64_t orthogonal_batch_workspace_cuda(const OrthogonalBatch& batch, int device);

}  // namespace winit_cuda
