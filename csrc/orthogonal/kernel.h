// The bodies of the kernels for orthogonal matrices: reflectors of their normals, and many small
// matrices.
#pragma once

#include <algorithm>

#include "fill/kernel.h"
#include "orthogonal/orthogonal.h"
#include "orthogonal/reflectors.h"
#include "orthogonal/rounding.h"
#include "platform/grid.h"
#include "values/child_key.h"

namespace winit_cuda {

// Reflectors.

// A block takes so many columns, next to each other in memory, and deals their rows out to so many
// lanes: few columns have many blocks then, and a lane has few rows.
constexpr int kReflectorColumns = 16, kReflectorLanes = 32;

inline BlockGrid reflectors_grid(const Reflectors& reflectors) {
  constexpr int kThreads = kReflectorColumns * kReflectorLanes;
  return {(reflectors.columns + kReflectorColumns - 1) / kReflectorColumns, kThreads,
          (kThreads + kReflectorColumns) * static_cast<int64_t>(sizeof(double))};
}

template <class Real, class Block>
WINIT_HD void make_reflectors(const Reflectors& reflectors, const Block& block) {
  Real* vectors = static_cast<Real*>(reflectors.vectors);
  const int lane = block.thread() / kReflectorColumns;
  const int place = block.thread() % kReflectorColumns;
  double* squares = block.template shared<double>();
  double* scales = squares + kReflectorLanes * kReflectorColumns;
  for (int64_t group = block.index(); group * kReflectorColumns < reflectors.columns;
       group += block.blocks()) {
    const int64_t column = group * kReflectorColumns + place;
    const bool is_there = column < reflectors.columns;
    double square = 0;
    if (is_there) {
      // From the group's first column on, so that the lanes of a row read it at once.
      const int64_t start = group * kReflectorColumns + lane;
      // Loads in flight: a row that waits for the one before it would wait for memory every time.
      WINIT_UNROLL_FOUR
      for (int64_t row = start; row < reflectors.rows; row += kReflectorLanes) {
        const double x = row < column ? 0 : vectors[row * reflectors.columns + column];
        square = fused(x, x, square);
      }
    }
    // Two barriers a group: nobody reads `squares` behind the second, and `scales` are written
    // behind the first, when all have done with those of the group before.
    squares[lane * kReflectorColumns + place] = square;
    block.sync();
    if (is_there && lane == 0) {
      for (int other = 1; other < kReflectorLanes; ++other)
        square += squares[other * kReflectorColumns + place];
      Real& entry = vectors[column * reflectors.columns + column];
      const ReflectorHead head = reflector_head(entry, square, column == reflectors.rows - 1);
      entry = static_cast<Real>(head.head);
      static_cast<Real*>(reflectors.signs)[column] = static_cast<Real>(head.sign);
      scales[place] = head.scale;
    }
    block.sync();
    if (is_there) {
      WINIT_UNROLL_FOUR
      for (int64_t row = lane; row < reflectors.rows; row += kReflectorLanes) {
        Real& entry = vectors[row * reflectors.columns + column];
        if (row < column) entry = 0;
        if (row > column) entry = static_cast<Real>(static_cast<double>(entry) * scales[place]);
      }
    }
  }
}

// Many small matrices: a block a matrix, all of it in float64.
//
// The normals are made, and the reflectors of them; then the reflectors are multiplied out in place
// from the last to the first, as LAPACK's org2r does. A thread has one column and every `lanes`-th
// row of it. How many lanes there are depends on the matrix alone, and so does the order of every
// sum.

// What a block needs for a matrix: the places, in bytes, of what its threads share.
struct BatchPlan {
  int64_t m, n;  // of the tall matrix
  int lanes;
  int64_t table, signs, reflectors, partials, key, matrix;  // matrix: -1 where it is in `workspace`
  BlockGrid grid;
};

// A lane has four rows or more, and a block about 256 threads; more where columns are long.
inline int batch_lanes(int64_t m, int64_t n) {
  const int64_t fitting = n <= 128 ? 256 / n : 2;
  return static_cast<int>(std::max<int64_t>(1, std::min({fitting, int64_t{32}, (m + 3) / 4})));
}

inline BatchPlan plan_batch(const OrthogonalBatch& batch, int64_t shared_limit) {
  BatchPlan plan{};
  plan.m = std::max(batch.rows, batch.columns);
  plan.n = std::min(batch.rows, batch.columns);
  plan.lanes = batch_lanes(plan.m, plan.n);
  int64_t bytes = 0;
  const auto reserve = [&](int64_t doubles) {
    const int64_t place = bytes;
    bytes += doubles * static_cast<int64_t>(sizeof(double));
    return place;
  };
  plan.table = reserve(kTableSize<double>);
  plan.signs = reserve(plan.n);
  plan.reflectors = reserve(3 * plan.m);
  plan.partials = reserve(2 * plan.lanes * plan.n);
  plan.key = reserve(1);
  const int64_t without = bytes;
  plan.matrix = reserve(plan.m * plan.n + 3);  // whole blocks of words are written
  if (bytes > shared_limit) {
    plan.matrix = -1;
    bytes = without;
  }
  plan.grid = {batch.count, static_cast<int>(plan.lanes * plan.n), bytes};
  return plan;
}

// Bytes of workspace for so many blocks.
inline int64_t batch_workspace(const BatchPlan& plan, int64_t blocks) {
  if (plan.matrix >= 0) return 0;
  return std::min(blocks, plan.grid.blocks) * (plan.m * plan.n + 3) *
         static_cast<int64_t>(sizeof(double));
}

// A thread's place in its block, and what the block shares.
template <class Block>
struct BatchThread {
  const Block& block;
  double* matrix;  // m x n
  double* signs;
  double* reflectors;  // three columns, in turn
  double* partials;    // two rows of sums, in turn
  int64_t m, n;
  int lanes, lane, column;
};

// Sums over the lanes of a column, always in the same order. `turn` alternates from call to call,
// so that no thread writes what another still reads.
template <class Block>
WINIT_HD double sum_lanes(const BatchThread<Block>& at, int turn, double partial) {
  double* sums = at.partials + turn * at.lanes * at.n;
  sums[at.lane * at.n + at.column] = partial;
  at.block.sync();
  double sum = sums[at.column];
  for (int lane = 1; lane < at.lanes; ++lane) sum += sums[lane * at.n + at.column];
  return sum;
}

// The normals at and below the diagonal; those above are made along where a block has both.
template <class Map, class Block>
WINIT_HD void make_normals(const BatchThread<Block>& at, const Map& map, const StreamKey& key) {
  const int length = static_cast<int>(at.m * at.n), n = static_cast<int>(at.n);
  for (int first = 4 * at.block.thread(); first < length; first += 4 * at.block.threads()) {
    const int row = first / n, column = first - row * n;
    if (column > row && column + 4 <= n) continue;
    double values[4];
    make_block(map, key, Domain::kOrthogonal, static_cast<uint64_t>(first / 4), values);
    for (int i = 0; i < 4; ++i) at.matrix[first + i] = values[i];
  }
  at.block.sync();
}

// Normals into reflectors, zero above the diagonal.
template <class Block>
WINIT_HD void make_batch_reflectors(const BatchThread<Block>& at) {
  const int m = static_cast<int>(at.m), n = static_cast<int>(at.n), lanes = at.lanes;
  double* entries = at.matrix + at.column;
  double square = 0;
  for (int row = at.lane; row < m; row += lanes) {
    const double x = row < at.column ? 0 : entries[row * n];
    square = fused(x, x, square);
  }
  square = sum_lanes(at, 1, square);
  const ReflectorHead head = reflector_head(entries[at.column * n], square, at.column == m - 1);
  at.block.sync();  // all lanes have read the first entry
  if (at.lane == 0) at.signs[at.column] = head.sign;
  for (int row = at.lane; row < m; row += lanes) {
    double& entry = entries[row * n];
    entry = row < at.column ? 0 : row == at.column ? head.head : entry * head.scale;
  }
  at.block.sync();
}

// One column of reflectors, from row `row` on, to where the block reads it.
template <class Block>
WINIT_HD void publish(const BatchThread<Block>& at, int reflector) {
  const int m = static_cast<int>(at.m), n = static_cast<int>(at.n);
  double* shared = at.reflectors + reflector % 3 * m;
  for (int row = at.lane; row < m; row += at.lanes) shared[row] = at.matrix[row * n + reflector];
}

// H_0 H_1 ... H_{n-1} [I; 0] in the place of the reflectors. Reflector i meets the columns behind
// it and makes its own: three reflectors in turn and two rows of sums need one barrier for each.
template <class Block>
WINIT_HD void multiply_batch_out(const BatchThread<Block>& at) {
  const int m = static_cast<int>(at.m), n = static_cast<int>(at.n), lanes = at.lanes;
  double* entries = at.matrix + at.column;
  if (at.column == 0) publish(at, n - 1);  // read behind the first barrier
  for (int i = n - 1; i >= 0; --i) {
    const double* v = at.reflectors + i % 3 * m;
    // The lane's first row from i on.
    const int begin = i + (at.lane - i % lanes + lanes) % lanes;
    double along = 0;
    if (at.column > i) {
      for (int row = begin; row < m; row += lanes) along = fused(v[row], entries[row * n], along);
    } else if (at.column == 0 && i > 0) {
      publish(at, i - 1);
    }
    along = sum_lanes(at, i % 2, along);
    if (at.column == i) {
      const double head = v[i];
      for (int row = begin; row < m; row += lanes)
        entries[row * n] = fused(-v[row], head, row == i ? 1.0 : 0.0);
    } else if (at.column > i) {
      for (int row = begin; row < m; row += lanes)
        entries[row * n] = fused(-v[row], along, entries[row * n]);
    }
  }
  at.block.sync();
}

WINIT_HD void store_rounded(const Target& target, int64_t offset, double value) {
  with_element(target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    static_cast<T*>(target.pointer)[offset] = round_entry<T>(value);
  });
}

// How far behind the pointer local element `number` lies.
WINIT_HD int64_t offset_of(const Box& box, int64_t number) {
  int64_t offset = 0;
  for (int d = box.rank - 1; d >= 0; --d) {
    const int64_t above = d > 0 ? number / box.size[d] : 0;
    offset += (number - above * box.size[d]) * box.stride[d];
    number = above;
  }
  return offset;
}

// gain Q diag(sigma), or its transpose, to matrix j.
template <class Block>
WINIT_HD void store_matrix(const BatchThread<Block>& at, const OrthogonalBatch& batch, int64_t j) {
  const int length = static_cast<int>(at.m * at.n), n = static_cast<int>(at.n);
  const int columns = static_cast<int>(batch.columns);
  const bool wide = batch.rows < batch.columns;
  for (int element = at.block.thread(); element < length; element += at.block.threads()) {
    const int row = element / columns, column = element - row * columns;
    const int reflector = wide ? row : column;
    const double entry = at.matrix[wide ? column * n + row : element];
    store_rounded(batch.target, offset_of(batch.target.box, j * length + element),
                  batch.gain * at.signs[reflector] * entry);
  }
}

// `table` is the normal law's, of float64 (values/quantile.h).
template <class Block>
WINIT_HD void make_orthogonal_batch(const OrthogonalBatch& batch, const BatchPlan& plan,
                                    const double* table, const Block& block) {
  double* shared_table = block.template shared<double>(plan.table);
  uint64_t* child_stream_cell = block.template shared<uint64_t>(plan.key);
  for (int i = block.thread(); i < kTableSize<double>; i += block.threads())
    shared_table[i] = table[i];
  const int n = static_cast<int>(plan.n);
  double* matrix = plan.matrix < 0 ? batch.workspace + block.index() * (plan.m * plan.n + 3)
                                   : block.template shared<double>(plan.matrix);
  const BatchThread<Block> at{block,
                              matrix,
                              block.template shared<double>(plan.signs),
                              block.template shared<double>(plan.reflectors),
                              block.template shared<double>(plan.partials),
                              plan.m,
                              plan.n,
                              plan.lanes,
                              block.thread() / n,
                              block.thread() % n};
  const NormalMap<Scalar64> map(NormalNumbers<double>{0, 1, shared_table});
  const StreamKey parent = key_of(batch.source);
  for (int64_t j = block.index(); j < batch.count; j += block.blocks()) {
    if (block.thread() == 0) *child_stream_cell = child_of(parent, static_cast<uint64_t>(j)).stream;
    block.sync();  // and all have stored the matrix before, whose place the normals take
    make_normals(at, map, StreamKey{parent.rounds, *child_stream_cell});
    make_batch_reflectors(at);
    multiply_batch_out(at);
    store_matrix(at, batch, j);
  }
}

}  // namespace winit_cuda
