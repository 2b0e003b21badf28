#include "orthogonal/orthogonal.h"

#include <algorithm>

#include "orthogonal/passes.h"
#include "orthogonal/reflectors.h"
#include "orthogonal/rounding.h"
#include "orthogonal/write.h"
#include "platform/floating_point.h"
#include "platform/interruption.h"
#include "platform/memory.h"
#include "platform/parallel.h"
#include "platform/tuning.h"
#include "values/child_key.h"

namespace winit_cuda {
namespace {

// One reflector after the other, in float64: for matrices of so few elements that a panel is not
// worth it.
class SmallMatrix {
 public:
  SmallMatrix(const OrthogonalFill& fill, Rooms& rooms)
      : part_(upright(fill)),
        vectors_(rooms.get<double>(times(part_.rows, part_.columns))),
        product_(rooms.get<double>(times(part_.rows, part_.columns))),
        signs_(rooms.get<double>(part_.columns)),
        along_(rooms.get<double>(part_.columns)) {}

  void make(const StreamKey& key) {
    reflectors_cpu(reflectors_of(vectors_, signs_, DType::kFloat64, part_.rows, part_.columns, 0,
                                 part_.columns),
                   {key, nullptr, Domain::kElement}, 1);
    multiply_out();
  }

  void write(const OrthogonalFill& fill) const {
    with_element(fill.target.dtype, [&](auto element) {
      using T = typename decltype(element)::type;
      constexpr int64_t kTogether = 256;
      T line[kTogether];
      for (int64_t i = 0; i < fill.row_count; ++i)
        for (int64_t begin = 0; begin < fill.column_count; begin += kTogether) {
          const int64_t count = std::min(kTogether, fill.column_count - begin);
          for (int64_t j = 0; j < count; ++j)
            line[j] =
                round_entry<T>(value(fill, fill.first_row + i, fill.first_column + begin + j));
          store_elements(fill.target, fill.first_element + i * fill.column_count + begin, count,
                         line);
        }
    });
  }

 private:
  // H_0 ... H_{n-1} [I; 0] for the m x n reflectors, from the last to the first: reflector i meets
  // rows and columns from i on, the others are still those of the identity.
  void multiply_out() {
    const int64_t m = part_.rows, n = part_.columns;
    const double* const vectors = vectors_;
    double *const product = product_, *const along = along_;
    std::fill_n(product, m * n, 0.0);
    for (int64_t i = n - 1; i >= 0; --i) {
      product[i * n + i] = 1;
      std::fill_n(along, n, 0.0);
      for (int64_t row = i; row < m; ++row) {
        const double v = vectors[row * n + i];
        for (int64_t column = i; column < n; ++column)
          along[column] += v * product[row * n + column];
      }
      for (int64_t row = i; row < m; ++row) {
        const double v = vectors[row * n + i];
        for (int64_t column = i; column < n; ++column)
          product[row * n + column] -= v * along[column];
      }
    }
  }

  double value(const OrthogonalFill& fill, int64_t first, int64_t second) const {
    const int64_t row = part_.turned ? second : first, column = part_.turned ? first : second;
    return fill.gain * signs_[column] * product_[row * part_.columns + column];
  }

  UprightPart part_;
  double *vectors_, *product_, *signs_, *along_;
};

bool is_small(int64_t rows, int64_t columns) {
  const int64_t smaller = std::min(rows, columns), larger = std::max(rows, columns);
  return times(times(larger, smaller), smaller) <= tuning::kFewMultiplications;
}

int64_t bytes_for(const OrthogonalLines& lines, int threads) {
  if (!is_small(lines.fills->rows, lines.fills->columns))
    return orthogonal_blocked_bytes(lines, threads);
  Rooms rooms;
  SmallMatrix(*lines.fills, rooms);
  return rooms.bytes();
}

void write(const OrthogonalLines& lines, const StreamKey& key, int threads, void* memory) {
  const DefaultFloatingPoint environment;
  if (!is_small(lines.fills->rows, lines.fills->columns))
    return orthogonal_blocked_cpu(lines, key, threads, memory);
  Rooms rooms(memory);
  SmallMatrix matrix(*lines.fills, rooms);
  matrix.make(key);
  for (int64_t i = 0; i < lines.fill_count; ++i) matrix.write(lines.fills[i]);
}

// What a small matrix needs is at hand.
class Workspace {
 public:
  explicit Workspace(int64_t bytes) {
    if (bytes > kFew) memory_ = get_memory(bytes);
  }
  unsigned char* place() { return memory_ ? static_cast<unsigned char*>(memory_->place()) : few_; }

 private:
  static constexpr int64_t kFew = 4096;
  alignas(Rooms::kLine) unsigned char few_[kFew];
  Memory memory_;
};

}  // namespace

bool is_slow_on_cpu(int64_t rows, int64_t columns) {
  return active_panel_passes<float>().lanes == 1 && !is_small(rows, columns);
}

UprightPart upright(const OrthogonalFill& fill) {
  if (fill.rows >= fill.columns)
    return {fill.rows,         fill.columns,      fill.first_row, fill.row_count,
            fill.first_column, fill.column_count, false};
  return {fill.columns,   fill.rows, fill.first_column, fill.column_count, fill.first_row,
          fill.row_count, true};
}

LineRange range_of(const OrthogonalFill& fill, bool& are_columns) {
  const UprightPart part = upright(fill);
  are_columns = (part.column_count <= part.row_count) != part.turned;
  return are_columns ? LineRange{fill.first_column, fill.column_count}
                     : LineRange{fill.first_row, fill.row_count};
}

void orthogonal_cpu(const OrthogonalLines* lines, int64_t count, int threads, const KeyDraw& draw) {
  int64_t bytes = 0;
  for (int64_t i = 0; i < count; ++i) bytes = std::max(bytes, bytes_for(lines[i], threads));
  Workspace workspace(bytes);
  const StreamKey key = draw();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t child = lines[i].child;
    if (i > 0) check_interruption();
    write(lines[i], child == kOwnKey ? key : child_of(key, static_cast<uint64_t>(child)), threads,
          workspace.place());
  }
}

void orthogonal_batch_cpu(const OrthogonalBatch& batch, int threads, const KeyDraw& draw) {
  const auto matrix = [&](int64_t j) {
    return OrthogonalFill{batch.target,
                          batch.rows,
                          batch.columns,
                          0,
                          batch.rows,
                          0,
                          batch.columns,
                          batch.gain,
                          j * batch.rows * batch.columns};
  };
  bool are_columns;
  const OrthogonalFill first = matrix(0);
  const LineRange range = range_of(first, are_columns);
  const auto lines_of = [&](const OrthogonalFill& fill) {
    return OrthogonalLines{&fill, 1, &range, 1, are_columns};
  };
  constexpr int64_t kMatricesBetweenLooks = 16;  // large ones look by themselves
  // Fewer matrices than threads are made one after the other, by all of them.
  const bool is_few = batch.count < threads;
  const int64_t bytes = bytes_for(lines_of(first), is_few ? threads : 1);
  Workspace workspace(is_few ? bytes : times(bytes, threads));
  unsigned char* const memory = workspace.place();
  const StreamKey key = draw();
  const auto make = [&](int64_t begin, int64_t end, int worker) {
    for (int64_t j = begin; j < end; ++j) {
      if (j % kMatricesBetweenLooks == 0) check_interruption();
      const OrthogonalFill fill = matrix(j);
      write(lines_of(fill), child_of(key, static_cast<uint64_t>(j)), is_few ? threads : 1,
            memory + worker * bytes);
    }
  };
  if (is_few) return make(0, batch.count, 0);
  parallel_for(batch.count, 1, threads, make);
}

}  // namespace winit_cuda
