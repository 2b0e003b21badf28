#include "reflectors.h"

#include "distributions.h"
#include "parallel.h"

namespace winit_cuda {

RandomFill reflector_normals(const Reflectors& reflectors, const Source& source) {
  RandomFill fill{};
  fill.target = {reflectors.vectors, reflectors.dtype, Box{}};
  fill.target.box.rank = 1;
  fill.target.box.size[0] = reflectors.rows * reflectors.columns;
  fill.target.box.stride[0] = 1;
  fill.target.box.index_stride[0] = 1;
  fill.source = source;
  fill.source.domain = Domain::kOrthogonal;
  const DistributionNumbers standard = normal_numbers(0, 1);
  fill.distribution = standard.distribution;
  fill.numbers = standard.numbers;
  fill.double_numbers = standard.double_numbers;
  return fill;
}

void reflectors_cpu(const Reflectors& reflectors, const Source& source, int threads) {
  fill_cpu(reflector_normals(reflectors, source), threads);
  parallel_for(reflectors.columns, 16, threads, [&](int64_t begin, int64_t end) {
    for (int64_t column = begin; column < end; ++column) {
      if (reflectors.dtype == DType::kFloat64)
        make_reflector(static_cast<double*>(reflectors.vectors),
                       static_cast<double*>(reflectors.signs), reflectors.rows, reflectors.columns,
                       column);
      else
        make_reflector(static_cast<float*>(reflectors.vectors),
                       static_cast<float*>(reflectors.signs), reflectors.rows, reflectors.columns,
                       column);
    }
  });
}

}  // namespace winit_cuda
