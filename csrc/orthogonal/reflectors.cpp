#include "orthogonal/reflectors.h"

#include <algorithm>

#include "platform/floating_point.h"
#include "platform/parallel.h"
#include "values/distributions.h"

namespace winit_cuda {

RandomFill reflector_normals(const Reflectors& reflectors, const Source& source) {
  RandomFill fill{};
  fill.target = {reflectors.vectors, reflectors.dtype, Box{}};
  Box& box = fill.target.box;
  box.index_offset = reflectors.first_index;
  const bool is_whole = reflectors.columns == reflectors.whole_columns;
  box.rank = is_whole ? 1 : 2;
  box.size[0] = is_whole ? reflectors.rows * reflectors.columns : reflectors.rows;
  box.stride[0] = is_whole ? 1 : reflectors.columns;
  box.index_stride[0] = is_whole ? 1 : static_cast<uint64_t>(reflectors.whole_columns);
  if (!is_whole) {
    box.size[1] = reflectors.columns;
    box.stride[1] = 1;
    box.index_stride[1] = 1;
  }
  fill.source = source;
  fill.source.domain = Domain::kOrthogonal;
  fill.law = normal_law(reflectors.dtype, 0, 1).law;
  return fill;
}

namespace {

template <class Real>
void make_reflectors_cpu(const Reflectors& reflectors, int64_t begin, int64_t end) {
  constexpr int64_t kColumns = 64;
  for (int64_t column = begin; column < end; column += kColumns)
    make_reflector_columns<kColumns>(static_cast<Real*>(reflectors.vectors),
                                     static_cast<Real*>(reflectors.signs), reflectors.rows,
                                     reflectors.columns, column, std::min(column + kColumns, end));
}

}  // namespace

void reflectors_cpu(const Reflectors& reflectors, const Source& source, int threads) {
  fill_cpu(reflector_normals(reflectors, source), threads);
  parallel_for(reflectors.columns, 64, threads, [&](int64_t begin, int64_t end) {
    const DefaultFloatingPoint environment;
    if (reflectors.dtype == DType::kFloat64)
      make_reflectors_cpu<double>(reflectors, begin, end);
    else
      make_reflectors_cpu<float>(reflectors, begin, end);
  });
}

}  // namespace winit_cuda
