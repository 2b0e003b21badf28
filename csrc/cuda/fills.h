// The CUDA side of the core: the same fills on a device, and on the CPU by a serial launcher that
// runs the very same kernel bodies thread by thread (fill/kernel.h).
//
// No call synchronizes. `stream` is a cudaStream_t as torch gives it; the device is set for the
// launch and restored. Without a CUDA build the device functions throw std::runtime_error.
#pragma once

#include <string>

#include "fill/fill.h"
#include "orthogonal/batch.h"
#include "orthogonal/reflectors.h"
#include "sparse/sparse.h"

namespace winit_cuda {

struct Launch {
  int device;
  void* stream;
};

void fill_cuda(const RandomFill& fill, const Launch& launch);
void fill_cuda(const ConstantFill& fill, const Launch& launch);
void fill_cuda(const DiracFill& fill, const Launch& launch);
void sparse_cuda(const SparseFill& fill, const Launch& launch);
void reflectors_cuda(const Reflectors& reflectors, const Source& source, const Launch& launch);
void orthogonal_batch_cuda(const OrthogonalBatch& batch, const Launch& launch);
int64_t orthogonal_batch_workspace_cuda(const OrthogonalBatch& batch, int device);
void split_keys_cuda(const Source& source, int64_t count, uint64_t* words, const Launch& launch);
void words_cuda(const StreamKey& key, Domain domain, uint64_t index, int64_t count, uint32_t* words,
                const Launch& launch);

void fill_serial(const RandomFill& fill);
void fill_serial(const ConstantFill& fill);
void fill_serial(const DiracFill& fill);
void sparse_serial(const SparseFill& fill);
void reflectors_serial(const Reflectors& reflectors, const Source& source);
void orthogonal_batch_serial(const OrthogonalBatch& batch);
int64_t orthogonal_batch_workspace_serial(const OrthogonalBatch& batch);
void split_keys_serial(const Source& source, int64_t count, uint64_t* words);
void words_serial(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
                  uint32_t* words);

// Zero where there is no CUDA build, no driver or no device.
int cuda_device_count();

}  // namespace winit_cuda
