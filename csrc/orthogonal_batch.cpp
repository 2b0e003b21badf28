#include "orthogonal_batch.h"

#include <vector>

#include "child_key.h"
#include "fill_dispatch.h"
#include "floating_point.h"
#include "limits.h"
#include "orthogonal.h"
#include "parallel.h"

namespace winit_cuda {
namespace {

// The elements of the box from `begin` on, from contiguous ones.
void scatter(const Target& target, int64_t begin, int64_t count, const void* elements) {
  with_itemsize(item_size(target.dtype), [&](auto item) {
    using Item = typename decltype(item)::type;
    const Item* next = static_cast<const Item*>(elements);
    for_each_run(target.box, begin, begin + count, [&](const Run& run) {
      Item* place = static_cast<Item*>(target.pointer) + run.offset;
      for (int64_t i = 0; i < run.count; ++i) place[i * run.stride] = *next++;
    });
  });
}

Box row_of(int64_t count) {
  Box box;
  box.rank = 1;
  box.size[0] = count;
  box.stride[0] = 1;
  box.index_stride[0] = 1;
  return box;
}

}  // namespace

void orthogonal_batch_cpu(const OrthogonalBatch& batch, int threads) {
  const int64_t length = batch.rows * batch.columns;
  const size_t bytes = static_cast<size_t>(length * item_size(batch.target.dtype));
  parallel_for(batch.count, 1, threads, [&](int64_t begin, int64_t end) {
    const DefaultFloatingPoint environment;
    std::vector<uint64_t> matrix((bytes + 7) / 8);
    const Target whole{matrix.data(), batch.target.dtype, row_of(length)};
    for (int64_t j = begin; j < end; ++j) {
      const Source source{child_of(batch.source.key, static_cast<uint64_t>(j)), nullptr,
                          Domain::kElement};
      orthogonal_cpu({whole, source, batch.rows, batch.columns, batch.gain});
      scatter(batch.target, j * length, length, matrix.data());
    }
  });
}

}  // namespace winit_cuda
