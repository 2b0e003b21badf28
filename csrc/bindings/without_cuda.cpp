// The CUDA entry points of a build without CUDA, of all layers: only the bindings call them.
#if !defined(WINIT_CUDA_WITH_CUDA)

#include <stdexcept>

#include "fill/fill.h"
#include "many/layout.h"
#include "orthogonal/orthogonal.h"
#include "orthogonal/reflectors.h"
#include "platform/stream.h"
#include "sparse/sparse.h"

namespace winit_cuda {
namespace {

constexpr const char* kMissing = "winit_cuda was built without CUDA";

[[noreturn]] void refuse() { throw std::runtime_error(kMissing); }

}  // namespace

void fill_cuda(const RandomFill&, const Launch&) { refuse(); }
void sparse_cuda(const SparseFill&, const SparseColumns*, int64_t, const Launch&) { refuse(); }
void reflectors_cuda(const Reflectors&, const Source&, const Launch&) { refuse(); }
void orthogonal_batch_cuda(const OrthogonalBatch&, const Launch&) { refuse(); }
int64_t orthogonal_batch_workspace_cuda(const OrthogonalBatch&, int) { refuse(); }
void split_keys_cuda(const Source&, int64_t, uint64_t*, const Launch&) { refuse(); }
void words_cuda(const StreamKey&, Domain, uint64_t, int64_t, uint32_t*, const Launch&) { refuse(); }
void fill_many_cuda(const ManyDescriptors&, const ManyKeys&, const unsigned char*, const Launch&) {
  refuse();
}
CudaStatus cuda_status() { return {0, kMissing, 0, 0}; }
int cuda_current_device() { return -1; }
void set_cuda_device(int) { refuse(); }

}  // namespace winit_cuda

#endif
